//! Drives the `nix` command and reads its log as typed progress.
//!
//! [`Nix`] offers what a deployment needs: [`Nix::evaluate`] a flake, [`Nix::build`] a derivation, [`Nix::copy`] paths
//! to another store, [`Nix::add_tree`] of files, and questions about the store. It works with every Nix from 2.8
//! on. Arguments are vectors; no shell is involved.
//!
//! A call that may take long takes a [`Run`] (who may cancel it, and after how long it is given up) and a sink for
//! [`Update`]s: how far it is, what builders wrote, what Nix has to say. However such a call ends (done, failed,
//! cancelled, out of time, or its future dropped), no process that it started is left behind.
//!
//! | module | subject |
//! | --- | --- |
//! | [`nix`] | [`Nix`]: how the command is called |
//! | [`evaluate`], [`build`], [`copy`], [`closure`], [`flake`], [`store`] | the operations |
//! | [`root`] | links that keep paths from being collected as garbage |
//! | [`mend`] | sending a path again that another store holds damaged |
//! | [`data`] | reads files that should hold nothing but data |
//! | [`rebuild`] | the command `nixos-rebuild` |
//! | [`nixops4`] | the command `nixops4` |
//! | [`store_path`] | store paths |
//! | [`version`] | Nix's version |
//! | [`error`] | what can go wrong |
//! | [`log`] | Nix's `internal-json` log, from its lines to [`Update`]s |
//! | `worker` | Nix's worker protocol, in which stores are asked and sent paths |
//! | `process` | child processes: run, watched, ended with all their descendants |

pub mod build;
pub mod closure;
pub mod copy;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod flake;
pub mod log;
pub mod mend;
pub mod nix;
pub mod nixops4;
mod process;
pub mod rebuild;
pub mod root;
pub mod store;
pub mod store_path;
pub mod version;
mod worker;

pub use copy::Destination;
pub use error::NixError;
pub use evaluate::Evaluation;
pub use flake::{LockedFlake, Package};
pub use log::{Level, Update};
pub use nix::{Nix, NixOptions, Run};
pub use nixops4::Applied;
pub use process::end_marked;
pub use rebuild::{NixosRebuild, RebuildError};
pub use store::PathInfo;
pub use store_path::StorePath;
pub use version::Version;
