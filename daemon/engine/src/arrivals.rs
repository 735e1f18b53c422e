//! How a ticket stands, changed by whoever has something to say: the source over the API, people at this provider, and the
//! operation that takes the tenant in.

use berth_domain::{Arrival, MigrationId, MovePhase, Timestamp};
use berth_store::{ArrivalRecord, Hold, StoreError};

use crate::engine::Engine;
use crate::records::Records;

/// Changes a ticket's record as it stands at that moment: `change` is called again where somebody else came in between.
///
/// # Errors
/// What `change` says, and whatever the database says.
pub(crate) async fn change<T, E: From<StoreError>>(
    records: &dyn Records,
    hold: Option<Hold>,
    id: MigrationId,
    change: impl Fn(&mut ArrivalRecord) -> Result<T, E>,
) -> Result<(ArrivalRecord, T), E> {
    loop {
        let known = records.arrival(id).await?;
        let mut record = known.clone();
        let said = change(&mut record)?;
        if record == known || records.record_arrival(hold, &record).await? {
            return Ok((record, said));
        }
    }
}

/// Notes that a migration came to nothing. Nothing happens where it is over, or the target has the tenant already.
pub(crate) fn give_up(record: &mut ArrivalRecord, why: &str, now: Timestamp) {
    let arrival = &mut record.arrival;
    if !arrival.phase.is_the_targets() && !arrival.phase.is_final() {
        fail(arrival, why, now);
    }
}

/// Notes that a migration came to nothing, wherever it stood.
pub(crate) fn fail(arrival: &mut Arrival, why: &str, now: Timestamp) {
    arrival.phase = MovePhase::Failed;
    arrival.message = Some(why.to_owned());
    arrival.ended_at = Some(now);
}

impl Engine {
    /// Changes a ticket's record as it stands at that moment: `change` is called again where somebody else came in between.
    ///
    /// # Errors
    /// What `change` says, and whatever the database says.
    pub async fn change_arrival<T, E: From<StoreError>>(
        &self,
        id: MigrationId,
        change: impl Fn(&mut ArrivalRecord) -> Result<T, E>,
    ) -> Result<(ArrivalRecord, T), E> {
        self::change(&*self.shared.records, None, id, change).await
    }

    /// Has a migration come to nothing, unless this provider has the tenant already.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn give_up_arrival(&self, id: MigrationId, why: &str) -> Result<ArrivalRecord, StoreError> {
        let now = self.shared.clock.now();
        let give_up = |record: &mut ArrivalRecord| {
            give_up(record, why, now);
            Ok::<_, StoreError>(())
        };
        Ok(self.change_arrival(id, give_up).await?.0)
    }

    /// Takes a ticket back: the same, and it can never be handed in again. Tells whether the tenant is not here.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn revoke_arrival(&self, id: MigrationId) -> Result<bool, StoreError> {
        let now = self.shared.clock.now();
        let revoke = |record: &mut ArrivalRecord| {
            give_up(record, "the ticket was taken back", now);
            let own = !record.arrival.phase.is_the_targets();
            if own {
                record.arrival.revoked_at.get_or_insert(now);
            }
            Ok::<_, StoreError>(own)
        };
        Ok(self.change_arrival(id, revoke).await?.1)
    }
}
