//! berth-render: what it prints, and whether the real `nix` reads it back.

#![allow(clippy::unwrap_used)]

mod round_trip;
mod snapshots;
mod speed;
