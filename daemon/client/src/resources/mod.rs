//! The routes, a file per resource. Each method is one route; its errors are those of [`crate::ClientError`].

pub mod machines;
pub mod nixops4;
pub mod operations;
pub mod provider;
pub mod services;
pub mod tenants;
pub mod tokens;
