//! What a testbed promises, on real machines. Needs root and the prerequisites; says so where they are not
//! there. With `BERTH_REQUIRE_MACHINES=1` a host that cannot boot machines fails the tests instead of
//! skipping them.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod host;
mod image;
mod life;
mod network;
mod nix;
mod prerequisites;
mod putting_away;
