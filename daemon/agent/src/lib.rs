//! What runs on a machine: facts, activation, probes, logs; JSON lines on stdio, no open port.
//!
//! The daemon starts `berth-agent` over SSH and speaks [`berth_protocol`] with it. It obeys the manifest that stands in
//! a system's closure and knows no service by itself. It does one thing at a time, so it is plain blocking code
//! without a runtime, and is up within milliseconds.
//!
//! What must outlive the connection does: an activation runs in a transient systemd unit of its own (this same
//! program, called `run-activation`), and whoever asks again for the same operation finds it. So does what waits for its
//! commit: a timer of systemd's, which has this program put the previous system back.
//!
//! | module | subject |
//! | --- | --- |
//! | [`entry`] | the program's command line |
//! | `serve` | calls in, answers out |
//! | `client` | the other end of standard input and output |
//! | `system` | a system in the store, and its manifest |
//! | `facts` | what is this machine? |
//! | `integrity` | is the store on the disk what Nix registered? |
//! | `activation` | switching to a system, and going back |
//! | `fence` | whose requests are obeyed |
//! | `secrets` | the files that services read their secrets from |
//! | `probe` | does the running system serve? |
//! | `dry_run` | what a switch would do |
//! | `quiet` | waiting until nothing switches the machine |
//! | `reboot` | starting the machine anew |
//! | `commit` | making a system the one that boots |
//! | `by_hand` | a deployment without the daemon |
//! | `profile` | the generations of the system profile |
//! | `roots` | what must stay in the store meanwhile |
//! | `collector` | Nix's garbage collector, told of that |
//! | `data_versions` | which version of a service wrote its data |
//! | `logs` | journal lines |
//! | `wipe` | removing what a system's state contract lists |
//! | `state` | capturing and restoring what it lists, and what proves that both are equal |
//! | `directories`, `postgres` | directories and databases that a contract may claim |
//! | `systemd` | asking systemd's manager without a program in between |
//! | `units` | what systemd says of units |
//! | `transient` | units of this program's own |
//! | `follow` | reading along with such a unit until its end |
//! | `changes` | noticing that files change |
//! | `services` | the units of a manifest's services |
//! | `lock` | one change of the machine at a time |
//! | `accounts` | users and groups |
//! | `clock` | time that nobody sets |
//! | `files` | files that appear as a whole |
//! | `places` | where the agent keeps what it must know again |
//! | `programs` | other programs: found, run, bounded |
//! | `failure` | failures as the protocol says them |

mod accounts;
mod activation;
mod by_hand;
mod changes;
mod client;
mod clock;
mod collector;
mod commit;
mod data_versions;
mod directories;
mod dry_run;
pub mod entry;
mod facts;
mod failure;
mod fence;
mod files;
mod follow;
mod integrity;
mod lock;
mod logs;
mod places;
mod postgres;
mod probe;
mod profile;
mod programs;
mod quiet;
mod reboot;
mod roots;
mod secrets;
mod serve;
mod services;
mod state;
mod system;
mod systemd;
mod transient;
mod units;
mod versions;
mod wipe;

pub use entry::run;
