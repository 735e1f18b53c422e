//! End-to-end scenarios on real machines, and benchmarks.
//!
//! Nothing here looks into Berth: a daemon is the built program in a folder of its own, a machine is one that
//! `berth-testbed` boots, and both are asked through what a user has too: the API, SSH, a browser.
//!
//! | where | what |
//! | --- | --- |
//! | `scenarios/` | the scenarios: each test is a promise that Berth keeps on a real machine |
//! | `src/bin/bench/` | the measurements behind `tests/bench NAME` |
//! | [`drafts`] | tenants and machines as a panel would send them |

pub mod drafts;
