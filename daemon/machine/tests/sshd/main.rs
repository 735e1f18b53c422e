//! Sessions and agents over a real SSH server: a private `sshd` on this host, on a free port, with keys of its own.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod agents;
mod connecting;
mod copying;
mod forwarding;
mod losing;
#[path = "../shared/programs.rs"]
mod programs;
mod server;
mod sharing;
mod speaking;
