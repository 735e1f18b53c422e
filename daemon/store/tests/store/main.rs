//! What the store promises, kept by both databases: each promise is tried on SQLite, and on PostgreSQL where
//! `BERTH_TEST_POSTGRES_URL` names a server on which databases may be made.

#![allow(clippy::unwrap_used)]

mod concurrency;
mod events;
mod machines;
mod nixops4;
mod opening;
mod operations;
mod paging;
mod previews;
mod repeating;
mod support;
mod tenants;
mod tokens;
