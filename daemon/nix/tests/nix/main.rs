//! berth-nix against logs of real Nix, and against the real `nix`.

#![allow(clippy::unwrap_used)]

mod cancel;
mod comparing;
mod copying;
mod golden;
mod mending;
mod real;
mod rebuild;
mod rooting;
mod support;
