//! A tenant moves from one provider to another; docs/src/migration.md goes through what a crash at each point leaves behind.
//!
//! | module | subject |
//! | --- | --- |
//! | `source` | the source's half: the ticket, the target, what is written down |
//! | `agree` | the target is shown what is to be moved, and accepts it |
//! | `copies` | the state goes into the target's vault: while the services go on, then for good |
//! | `hand_over` | the source stops for good, and the target takes over |
//! | `way_back` | a ticket for the target, with which the tenant can return |
//! | `target` | the target's half: set up, receive, put in place, go live |
//! | `ahead` | at the target: files that have arrived are restored while the source goes on |
//! | `objects` | at the target: objects of buckets that are others here |
//! | `rehearse` | at the source: a copy for a rehearsal, and what the target finds of it |
//! | `try_out` | at the target: the copy is put in place, started behind a fence, asked, and thrown away |
//! | `give_up` | what is left to be done where it came to nothing |

mod agree;
mod ahead;
mod copies;
mod give_up;
mod hand_over;
mod objects;
mod rehearse;
mod source;
mod target;
mod try_out;
mod way_back;

use berth_domain::{MigrationId, Mode, OperationKind};

use super::Context;
use super::context::missing;
use crate::error::StepError;

pub(super) use agree::agree;
pub(super) use copies::{capture, precopy};
pub(super) use hand_over::hand_over;
pub(super) use rehearse::{copy_for_a_rehearsal, rehearse};
pub(super) use target::{go_live, prepare, put_in_place, receive};
pub(super) use try_out::{throw_away, try_out};

impl Context {
    /// The migration that the operation is about.
    pub(crate) fn migration(&self) -> Result<MigrationId, StepError> {
        self.migration.ok_or_else(|| missing("migration"))
    }

    /// Whether the tenant, or a copy of it, goes to another provider.
    pub(super) fn leaves(&self) -> bool {
        matches!(self.kind, OperationKind::Migrate | OperationKind::Rehearse)
    }

    /// Whether a copy of another provider's tenant is tried out here.
    pub(crate) fn tries_out(&self) -> bool {
        self.kind == OperationKind::TryOut
    }

    /// Whether the tenant's machine was committed to forwarding to its new provider.
    pub(crate) async fn is_moved(&self) -> bool {
        let records = &self.shared.records;
        let Ok(tenant) = records.tenant(&self.tenant).await else { return false };
        let Some(revision) = tenant.deployed_revision else { return false };
        let revision = records.revision(&self.tenant, &revision).await;
        revision.is_ok_and(|revision| matches!(revision.spec.mode, Mode::Moved { .. }))
    }
}
