//! What Berth promises, kept on real machines: each test is a promise.
//!
//! Needs root and what `berth-testbed` needs; says so where it is not there. With `BERTH_REQUIRE_MACHINES=1` a host that
//! cannot boot machines fails the tests instead of skipping them. What needs no machine is tried with both databases
//! where `BERTH_TEST_POSTGRES_URL` names a PostgreSQL.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod access;
mod backups;
mod buckets;
mod building_elsewhere;
mod chaos;
mod configuration;
mod databases;
mod deleting;
mod demo;
mod deploying;
mod drills;
mod failing;
mod fleets;
mod importing;
mod mending;
mod migrating;
mod modes;
mod moving_buckets;
mod nixops4;
mod outliving;
mod previewing;
mod real_gitea;
mod rebuilding;
mod refusing;
mod rehearsing;
mod repeating;
mod replicas;
mod replicating;
mod returning;
mod reverting;
mod rolling_back;
mod secrets;
mod services;
mod skewed;
mod snapshots;
mod starting;
mod streaming;
mod surviving;
mod tickets;
mod tls;
mod tools;
mod undoing;
mod watch_page;
