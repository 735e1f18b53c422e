//! What runs on a machine: facts, activation, probes, logs; JSON lines on stdio, no open port.
//!
//! The daemon starts `berth-agent` over SSH and speaks [`berth_protocol`] with it. It obeys the manifest that stands in
//! a system's closure and knows no service by itself. It does one thing at a time, so it is plain blocking code
//! without a runtime, and is up within milliseconds.
//!
//! What must outlive the connection does: an activation runs in a transient systemd unit of its own (this same
//! program, called `run-activation`), and whoever asks again for the same operation finds it.
//!
//! | module | subject |
//! | --- | --- |
//! | [`entry`] | the program's command line |
//! | `serve` | calls in, answers out |
//! | `client` | the other end of standard input and output |
//! | `system` | a system in the store, and its manifest |
//! | `facts` | what is this machine? |
//! | `activation` | switching to a system |
//! | `secrets` | the files that services read their secrets from |
//! | `probe` | does the running system serve? |
//! | `dry_run` | what a switch would do |
//! | `quiet` | waiting until nothing switches the machine |
//! | `commit` | making a system the one that boots |
//! | `by_hand` | a deployment without the daemon |
//! | `logs` | journal lines |
//! | `wipe` | removing what a system's state contract lists |
//! | `units` | what systemd says of units |
//! | `lock` | one change of the machine at a time |
//! | `accounts` | users and groups |
//! | `files` | files that appear as a whole |
//! | `programs` | other programs: found, run, bounded |
//! | `failure` | failures as the protocol says them |

mod accounts;
mod activation;
mod by_hand;
mod client;
mod commit;
mod dry_run;
pub mod entry;
mod facts;
mod failure;
mod files;
mod lock;
mod logs;
mod probe;
mod programs;
mod quiet;
mod secrets;
mod serve;
mod system;
mod units;
mod wipe;

pub use entry::run;
