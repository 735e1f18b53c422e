//! The client against a server that answers, stalls, breaks off and lies as it is told.
#![allow(clippy::unwrap_used)]

mod calls;
mod server;
mod watching;
