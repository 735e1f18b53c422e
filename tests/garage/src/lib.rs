//! A real Garage (<https://garagehq.deuxfleurs.fr>) for tests, and whoever keeps objects in it. What does not work fails the test.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod garage;
mod owner;

pub use garage::{Garage, cache};
pub use owner::Owner;
