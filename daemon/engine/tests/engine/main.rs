//! What the engine promises, with a builder and machines that do what a test tells them. The same with the real ones is
//! the matter of `tests/scenarios`.

#![allow(clippy::unwrap_used)]

mod cancelling;
mod failing;
mod fakes;
mod following;
mod nixops4;
mod previewing;
mod rebuilding;
mod resuming;
mod stage;
mod walking;
