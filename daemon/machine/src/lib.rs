//! Reaches a machine: an SSH session with a pinned host key, and the agent behind it.
//!
//! A [`Connector`] holds the daemon's SSH identity. [`Connector::connect`] yields a [`Session`]: one authenticated
//! connection per machine, kept open and shared by everything that follows, so that a deployment that changes nothing
//! pays for no handshake. [`Session::agent`] starts `berth-agent` on it and yields an [`Agent`] to put questions to;
//! [`Session::store_url`] and [`Session::nix_ssh_opts`] let Nix's `ssh-ng` stores travel over the same connection.
//! [`outside`] asks the services themselves, as their customers would.
//!
//! # Why the `ssh` program
//! The system's own `ssh` is driven directly, with argument vectors and a configuration file that this crate writes;
//! nobody's `~/.ssh/config`, `known_hosts` or agent is consulted. The `openssh` crate (which drives the same program)
//! was considered: it does not hand out the control socket and the configuration that a copy must share, and it
//! folds the reasons that are told apart here (no route, another host key, a refused key) into few kinds of error.
//!
//! | module | subject |
//! | --- | --- |
//! | [`connector`] | [`Connector`]: the identity, and one master connection per machine |
//! | [`session`] | [`Session`]: what can be done over that connection |
//! | [`agent`] | [`Agent`]: questions and answers |
//! | [`forward`] | [`Forward`]: a port of the machine's that leads here |
//! | [`outside`] | HTTP probes from the daemon to a machine |
//! | [`certificate`] | when the certificates expire that customers see |
//! | [`error`] | what can go wrong, told apart |
//! | `runtime` | the folder of sockets and generated files, and what its path must be like |
//! | `ssh` | the files that `ssh` reads, its processes, and what its words mean |
//! | `lines` | lines of bounded length |

pub mod agent;
pub mod certificate;
pub mod connector;
pub mod error;
pub mod forward;
mod lines;
pub mod outside;
mod runtime;
pub mod session;
mod ssh;

pub use agent::Agent;
pub use berth_protocol::StorePath;
pub use connector::{Connector, ConnectorOptions};
pub use error::MachineError;
pub use forward::Forward;
pub use session::Session;
