//! What the engine promises, with a builder and machines that do what a test tells them. The same with the real ones is
//! the matter of `tests/scenarios`.

#![allow(clippy::unwrap_used)]

mod ahead;
mod arriving;
mod backups;
mod brought;
mod bucket_moves;
mod bucket_state;
mod buckets;
mod cancelling;
mod conditions;
mod damaging;
mod drills;
mod exporting;
mod failing;
mod fakes;
mod following;
mod holding;
mod keeping;
mod moving_objects;
mod nixops4;
mod offsites;
mod previewing;
mod rebooting;
mod rebuilding;
mod rehearsing;
mod resuming;
mod retrying;
mod reverting;
mod rolling_back;
mod rollouts;
mod snapshots;
mod stage;
mod taking_in;
mod taking_in_buckets;
mod taking_over;
mod vaults;
mod walking;
