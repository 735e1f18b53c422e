//! Operations: plans them into steps, runs them, resumes and cancels them.
//!
//! A request becomes a row (an [`Operation`](berth_domain::Operation) with its steps and event 1) in one transaction;
//! everything after that is this crate's business. A worker claims the row, the runner walks its steps, each step
//! looks first whether its outcome is there already, and whatever happens is written to the operation's journal
//! before anybody is told. A daemon that ends leaves rows; its successor, or another daemon on the same database,
//! claims them, observes the machine and goes on. Who holds an operation is the database's word, and whoever does not
//! any more stops at once.
//!
//! | module | subject |
//! | --- | --- |
//! | [`engine`] | the handle that the API holds: submit, cancel, follow |
//! | [`configuration`] | spec to flake |
//! | [`ports`] | what the engine needs from the outside: a builder, machines, a clock |
//! | [`records`] | what it keeps in the database |
//! | [`real`] | builder and machines for real: the `nix` command and SSH |
//! | [`journal`] | one operation's rows and events, written in batches |
//! | [`hub`] | who waits for news of which operation |
//! | `tail` | an operation's newest events, in memory |
//! | `past` | what followers read in the database, once for all of them |
//! | `flights` | reads that many want at the same time, done once |
//! | [`follow`] | an operation's events from any number on, then live |
//! | [`worker`] | claims operations, a bounded number at once; hears what other daemons tell |
//! | [`tenure`] | how long a runner may go on: wishes, the daemon's end, the lease |
//! | [`runner`] | walks the steps of one operation; cancel, failure, resumption |
//! | `arrivals` | how a ticket stands, changed by whoever has something to say |
//! | `aside` | an operation that waits for others leaves its slot to one that does not |
//! | [`attempts`] | one step: its bounds, and again where its failure may pass by itself |
//! | [`retries`] | when what failed is tried again |
//! | [`steps`] | one file for each step |
//! | [`drivers`] | how a system gets onto its machine: what differs between drivers |
//! | [`difference`] | how the files of two configurations differ |
//! | [`nixops4_state`] | what NixOps4 knows of tenants' resources: sealed, leased, redacted |
//! | [`rollouts`] | the same change to many tenants, in waves |
//! | [`conditions`] | looks whether deployed tenants still are what was committed |
//! | [`bundles`] | bundles that somebody brings here, so that a tenant is made of one |
//! | [`backups`] | tenants' backup plans: what is due begins, what is not kept goes |
//! | [`buckets`] | tenants' buckets of object stores: whether two would share one |
//! | [`moved`] | what is left of tenants that have moved goes in time |
//! | `pinning` | certificates that a machine made for itself |
//! | `reach` | a session with a machine, the agent behind it |
//! | [`published`] | an event on its way to those who follow, written once for each kind of reader |
//! | [`eta`] | when it will probably end, from earlier operations |
//! | [`offsite`] | repositories of snapshots that lie elsewhere, of which tenants are made |
//! | `directory_sum` | what a directory has to come to |
//! | `snapshot_json` | what a service's snapshot says of itself |
//! | [`error`] | why a step ended badly |

mod arrivals;
mod aside;
mod attempts;
pub mod backups;
pub mod buckets;
pub mod bundles;
pub mod conditions;
mod configuration;
mod difference;
mod directory_sum;
mod disk;
mod drivers;
pub mod engine;
pub mod error;
pub mod eta;
mod exports;
mod flights;
pub mod follow;
mod hub;
mod journal;
pub mod moved;
pub mod nixops4_state;
pub mod offsite;
mod past;
mod pinning;
pub mod ports;
mod published;
mod reach;
pub mod real;
pub mod records;
pub mod retries;
pub mod rollouts;
mod runner;
mod snapshot_json;
mod steps;
mod tail;
mod tenure;
mod worker;

pub use backups::BackupOptions;
pub use conditions::CheckOptions;
pub use engine::{Engine, EngineOptions, MigrationOptions, Parts, Timeouts};
pub use error::{Failure, StepError};
pub use exports::Exports;
pub use follow::{Batch, Follower};
pub use moved::MovedOptions;
pub use published::Published;
pub use records::Records;
pub use retries::Retries;
pub use rollouts::RolloutFollower;
