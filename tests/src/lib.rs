//! End-to-end scenarios on real machines, and benchmarks.
//!
//! Nothing here looks into Berth: a daemon is the built program with a folder of its own, a machine is one that
//! `berth-testbed` boots, and both are asked through what a user has too: the API, HTTP, the file system.
//!
//! | where | what |
//! | --- | --- |
//! | `scenarios/` | the scenarios: each test is a promise that Berth keeps on a real machine |
//! | `src/bin/bench/` | the measurements behind `tests/bench NAME` |
//! | [`browser`] | pages as a real Chromium shows them |
//! | [`bucket`] | an object store in memory |
//! | [`provider`] | NixOps4's resource provider, spoken with as `nixops4` does |
//! | [`programs`] | the built programs |
//! | [`daemon`] | a daemon with a folder of its own, to be killed and started again |
//! | [`chaos`] | faults at random instants of deployments, and what must hold after every one |
//! | [`moving`] | faults at random instants of migrations, and what must hold after every one |
//! | [`damage`] | what a power loss leaves of files |
//! | [`contract`] | whether an answer keeps `openapi/openapi.json` |
//! | [`raw`] | requests as any program could send them |
//! | [`postgres`] | a PostgreSQL of a test's own, which may crash |
//! | [`skip`] | what a test needs and this host lacks |
//! | [`sqlite_lock`] | somebody else who writes to a daemon's SQLite |
//! | [`stage`] | a daemon and the machines that it may deploy to |
//! | [`drafts`] | tenants and machines as a panel would send them |
//! | [`gitea`] | a real Gitea, where there is one: what it is made of, and what its users do with it |
//! | [`flake`] | a tenant's flake in a folder, for the tools that sysadmins use |
//! | [`told`] | an operation followed to its end, with all that it told |
//! | [`units`] | the units of a machine, to see which were restarted |
//! | [`visitor`] | somebody who asks for a page every 50 ms, to see whether it ever goes unanswered |
//! | [`web`] | a machine's services as a visitor sees them |
//! | [`workshop`] | platforms whose builds fail or wait |
//! | [`wrong_clock`] | clocks that are wrong, and jump |

pub mod browser;
pub mod bucket;
pub mod chaos;
pub mod contract;
pub mod daemon;
pub mod damage;
pub mod drafts;
pub mod flake;
pub mod gitea;
pub mod moving;
pub mod notes;
pub mod postgres;
pub mod programs;
pub mod provider;
pub mod raw;
pub mod skip;
pub mod sqlite_lock;
pub mod stage;
pub mod told;
pub mod units;
pub mod visitor;
pub mod web;
pub mod workshop;
pub mod wrong_clock;
