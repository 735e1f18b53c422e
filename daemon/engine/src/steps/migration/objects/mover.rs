//! What moves objects, and writes down in the database what it has put into new buckets: that outlives the daemon, and whoever goes on
//! reads it.

use std::sync::Arc;

use async_trait::async_trait;
use berth_domain::{MigrationId, TenantName};
use berth_store::{Hold, MovedInto, StoreError};

use super::super::super::Context;
use super::pair::Pair;
use crate::error::StepError;
use crate::ports::{Bounds, Buckets, Ledger, LedgerError, Moved, ObjectsMove, Tell};
use crate::records::Records;

/// Moves objects for an operation, also beside its step.
#[derive(Clone)]
pub(super) struct Mover {
    buckets: Arc<dyn Buckets>,
    records: Arc<dyn Records>,
    hold: Hold,
    migration: MigrationId,
    tenant: TenantName,
    pub(super) bounds: Bounds,
}

impl Mover {
    /// For the operation that takes the tenant in.
    pub(super) fn of(context: &Context) -> Result<Self, StepError> {
        let shared = &context.shared;
        Ok(Self {
            buckets: Arc::clone(&shared.buckets),
            records: Arc::clone(&shared.records),
            hold: context.hold(),
            migration: context.migration()?,
            tenant: context.tenant.clone(),
            bounds: context.bounds(shared.options.timeouts.state),
        })
    }

    /// Moves what is new or another since the last time.
    pub(super) async fn pass(&self, pair: &Pair, last: bool, tell: Tell) -> Result<Moved, StepError> {
        let ledger = Arc::new(Journal {
            records: Arc::clone(&self.records),
            hold: self.hold,
            into: MovedInto {
                migration: self.migration,
                tenant: self.tenant.clone(),
                service: pair.service.clone(),
                place: pair.place(),
            },
        });
        let what = ObjectsMove { from: pair.from.clone(), into: pair.into.clone(), ledger, last };
        let moved = self.buckets.move_objects(what, &self.bounds, tell).await;
        moved.map_err(|error| pair.named(error))
    }
}

/// What was put into one bucket.
struct Journal {
    records: Arc<dyn Records>,
    hold: Hold,
    into: MovedInto,
}

#[async_trait]
impl Ledger for Journal {
    async fn read(&self) -> Result<Vec<String>, LedgerError> {
        self.records.moved_objects(&self.into).await.map_err(unwritten)
    }

    async fn note(&self, lines: &str) -> Result<(), LedgerError> {
        self.records.note_moved_objects(self.hold, &self.into, lines).await.map_err(unwritten)
    }
}

fn unwritten(error: StoreError) -> LedgerError {
    LedgerError(Box::new(StepError::from(error)))
}
