//! What two daemons that do not know each other can count on.
#![allow(clippy::unwrap_used)]

mod answers;
mod codes;
mod discretion;
mod requests;
mod sealing;
mod server;
mod statements;
mod support;
mod tickets;
mod urls;
