//! `berth ticket …`, `berth migrate` and `berth migration`
//!
//! | module | subject |
//! | --- | --- |
//! | `ticket` | the provider that a tenant comes to |
//! | `leaving` | the provider that it leaves |
//! | `proof` | what both have signed: written to files |
//! | `verify` | the same, checked by anybody |
//! | `said` | all of it in words |

mod leaving;
mod proof;
mod said;
mod ticket;
mod verify;

pub(super) use leaving::{migrate, show};
pub(super) use ticket::run as ticket;
pub(super) use verify::run as verify;
