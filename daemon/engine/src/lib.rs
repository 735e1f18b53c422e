//! Operations: plans them into steps, runs them, resumes and cancels them.
//!
//! A request becomes a row (an [`Operation`](berth_domain::Operation) with its steps and event 1) in one transaction;
//! everything after that is this crate's business. A worker claims the row, the runner walks its steps, each step
//! looks first whether its outcome is there already, and whatever happens is written to the operation's journal
//! before anybody is told. A daemon that ends leaves rows; its successor observes the machine and goes on.
//!
//! | module | subject |
//! | --- | --- |
//! | [`engine`] | the handle that the API holds: submit, cancel, follow |
//! | [`configuration`] | spec to flake |
//! | [`ports`] | what the engine needs from the outside: a builder and machines |
//! | [`real`] | those two for real: the `nix` command and SSH |
//! | [`journal`] | one operation's rows and events, written in batches |
//! | [`hub`] | who waits for news of which operation |
//! | [`follow`] | an operation's events from any number on, then live |
//! | [`worker`] | claims queued operations, a bounded number at once |
//! | [`runner`] | walks the steps of one operation; cancel, failure, resumption |
//! | [`steps`] | one file for each step |
//! | [`drivers`] | how a system gets onto its machine: what differs between drivers |
//! | [`difference`] | how the files of two configurations differ |
//! | [`nixops4_state`] | what NixOps4 knows of tenants' resources: sealed, leased, redacted |
//! | [`eta`] | when it will probably end, from earlier operations |
//! | [`error`] | why a step ended badly |

mod configuration;
mod difference;
mod drivers;
pub mod engine;
pub mod error;
pub mod eta;
pub mod follow;
mod hub;
mod journal;
pub mod nixops4_state;
pub mod ports;
pub mod real;
mod runner;
mod steps;
mod worker;

pub use engine::{Engine, EngineOptions, Timeouts};
pub use error::{Failure, StepError};
pub use follow::{Batch, Follower};
