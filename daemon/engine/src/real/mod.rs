//! The builder and the machines for real: the `nix` command, and SSH with the agent behind it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`platform`] | the flake that tenants are built on: given by reference, or carried with the daemon |
//! | [`builder`] | evaluating, building and copying with `nix` |
//! | `rebuild` | the same builder's `nixos-rebuild` |
//! | `folder` | folders that go with who made them |
//! | [`machines`] | sessions over SSH |
//! | [`vaults`] | vaults behind this daemon's own server |
//! | [`buckets`] | tenants' buckets, into the same vaults and back |
//! | [`offsite`] | repositories that lie elsewhere, into the same vaults |
//! | `in_time` | work on threads of its own |
//! | `restic` | this host's restic, for what is read out of a vault here |
//! | `errors` | what their failures mean to a client |

pub mod buckets;
pub mod builder;
mod errors;
mod folder;
mod in_time;
pub mod machines;
pub mod offsite;
pub mod platform;
mod rebuild;
mod restic;
pub mod vaults;

pub use buckets::LocalBuckets;
pub use builder::NixBuilder;
pub use machines::SshMachines;
pub use offsite::LocalOffsites;
pub use platform::PlatformSource;
pub use vaults::LocalVaults;
