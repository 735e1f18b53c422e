//! What the bundle promises.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod buckets;
mod damaging;
mod documented;
mod extracting;
mod forging;
mod large;
mod reading;
mod refusing;
mod round_trip;
mod signing;
mod support;
