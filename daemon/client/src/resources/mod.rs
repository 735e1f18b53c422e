//! The routes, a file per resource. Each method is one route; its errors are those of [`crate::ClientError`].

mod backups;
mod bundles;
mod drills;
pub mod machines;
mod migration;
pub mod nixops4;
pub mod operations;
pub mod provider;
pub mod rollouts;
pub mod services;
mod snapshots;
pub mod tenants;
pub mod tokens;
mod vaults;
