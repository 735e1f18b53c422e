//! What the store promises, kept by both databases: each promise is tried on SQLite, and on PostgreSQL where
//! `BERTH_TEST_POSTGRES_URL` names a server on which databases may be made.

#![allow(clippy::unwrap_used)]

mod backups;
mod concurrency;
mod conditions;
mod drills;
mod events;
mod leases;
mod machines;
mod moves;
mod news;
mod nixops4;
mod offsite;
mod opening;
mod operations;
mod paging;
mod previews;
mod repeating;
mod rollouts;
mod sealing;
mod snapshots;
mod support;
mod tenants;
mod tokens;
