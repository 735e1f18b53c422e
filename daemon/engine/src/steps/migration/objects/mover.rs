//! What moves objects, and writes down in the database what it has put into new buckets: that outlives the daemon, and whoever goes on
//! reads it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::{MigrationId, MovePhase, OperationId, TenantName};
use berth_store::{Hold, MovedInto, MovedObject, StoreError};

use super::super::super::Context;
use super::super::target::{came_to_nothing, is_still_of};
use super::pair::Pair;
use crate::error::StepError;
use crate::ports::{
    Bounds, Buckets, Ledger, LedgerEntry, LedgerError, Moved, ObjectsMove, ObjectsPass, Tell,
};
use crate::records::Records;

/// How often it is looked whether the migration came to nothing meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// How long what was begun may take to end once nobody wants it any more. Parts of objects are thrown away meanwhile: nobody else knows of
/// them, and a store may keep them for ever.
pub(super) const ENDING: Duration = Duration::from_secs(5);

/// Moves objects for an operation, also beside its step.
#[derive(Clone)]
pub(super) struct Mover {
    buckets: Arc<dyn Buckets>,
    records: Arc<dyn Records>,
    hold: Hold,
    migration: MigrationId,
    operation: OperationId,
    tenant: TenantName,
    /// Whoever cancels these ends nothing else of the operation.
    pub(super) bounds: Bounds,
}

impl Mover {
    /// For the operation that takes the tenant in.
    pub(super) fn of(context: &Context) -> Result<Self, StepError> {
        let (shared, bounds) = (&context.shared, context.bounds(context.shared.options.timeouts.state));
        Ok(Self {
            buckets: Arc::clone(&shared.buckets),
            records: Arc::clone(&shared.records),
            hold: context.hold(),
            migration: context.migration()?,
            operation: context.operation,
            tenant: context.tenant.clone(),
            bounds: Bounds { cancel: bounds.cancel.child_token(), ..bounds },
        })
    }

    /// Moves what is new or another since the last time.
    pub(super) async fn pass(&self, pair: &Pair, pass: ObjectsPass, tell: Tell) -> Result<Moved, StepError> {
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
        let what = ObjectsMove { from: pair.from.clone(), into: pair.into.clone(), ledger, pass };
        let moved = self.buckets.move_objects(what, &self.bounds, tell).await;
        moved.map_err(|error| pair.named(error))
    }

    /// Waits for passes, unless the migration comes to nothing meanwhile. Then what they have begun is given up before this ends.
    pub(super) async fn while_wanted<T>(
        &self,
        passes: impl Future<Output = Result<T, StepError>>,
    ) -> Result<T, StepError> {
        let mut passes = pin!(passes);
        let unwanted = tokio::select! {
            done = &mut passes => return done,
            unwanted = self.unwanted() => unwanted,
        };
        self.bounds.cancel.cancel();
        if tokio::time::timeout(ENDING, passes).await.is_err() {
            tracing::warn!("objects may be left half sent in a bucket, whose store does not answer");
        }
        Err(unwanted)
    }

    /// Waits until the migration came to nothing, and tells why.
    async fn unwanted(&self) -> StepError {
        loop {
            tokio::time::sleep(LOOK).await;
            let arrival = match self.records.arrival(self.migration).await {
                Ok(record) => record.arrival,
                Err(error) => return error.into(),
            };
            match is_still_of(&arrival, self.operation) {
                Err(error) => return error,
                Ok(()) if arrival.phase == MovePhase::Failed => return came_to_nothing(&arrival),
                Ok(()) => {}
            }
        }
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
    async fn after(&self, after: Option<&str>, limit: usize) -> Result<Vec<LedgerEntry>, LedgerError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let known = self.records.moved_objects(&self.into, after, limit).await.map_err(unwritten)?;
        Ok(known.into_iter().map(|MovedObject { key, noted }| LedgerEntry { key, noted }).collect())
    }

    async fn note(&self, entries: Vec<LedgerEntry>) -> Result<(), LedgerError> {
        let objects =
            entries.into_iter().map(|LedgerEntry { key, noted }| MovedObject { key, noted }).collect();
        self.records.note_moved_objects(self.hold, &self.into, objects).await.map_err(unwritten)
    }
}

fn unwritten(error: StoreError) -> LedgerError {
    LedgerError(Box::new(StepError::from(error)))
}
