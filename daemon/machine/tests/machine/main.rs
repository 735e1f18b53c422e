//! The agent's promises on real machines, reached as the daemon reaches them. Needs root and what `berth-testbed` needs;
//! says so where it is not there. With `BERTH_REQUIRE_MACHINES=1` a host that cannot boot machines fails the tests
//! instead of skipping them.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

mod activating;
mod ahead;
mod bench;
mod booting;
mod capturing;
mod checking;
mod committing;
mod following;
mod holding;
mod keeping;
mod looking;
mod losing;
mod merging;
#[path = "../shared/programs.rs"]
mod programs;
mod reaching;
mod replicating;
mod restoring;
mod returning;
mod reverting;
mod systems;
mod wiping;
