//! The daemon's main: configuration and wiring, nothing else.
//!
//! | module | subject |
//! | --- | --- |
//! | [`cli`] | `serve`, `migrate`, `rotate-secrets-key`, `check-config`, `openapi` |
//! | [`config`] | the TOML file and the `BERTH_*` variables |
//! | [`data_dir`] | the daemon's folder: who may read it, and that one daemon uses it |
//! | [`admin_token`] | the first token |
//! | [`identity`] | the key with which the daemon logs in on machines |
//! | [`secrets_key`] | the key that seals what customers give in confidence |
//! | [`rotation`] | sealing everything to another key |
//! | `opening` | the database as a daemon begins to use it; waits for one that is away |
//! | [`presence`] | says that a daemon uses the database, as long as it runs |
//! | [`replica`] | which of the daemons on one database this is |
//! | [`platform`] | the platform that the daemon carries with it |
//! | [`serve`] | wiring, and the order of starting and stopping |
//! | [`logging`] | where log lines go and what they look like |

pub mod admin_token;
pub mod cli;
pub mod config;
pub mod data_dir;
mod doors;
pub mod identity;
pub mod logging;
mod opening;
pub mod platform;
pub mod presence;
pub mod replica;
pub mod rotation;
pub mod secrets_key;
pub mod serve;
mod vault;
pub mod vault_key;

pub use cli::run;
