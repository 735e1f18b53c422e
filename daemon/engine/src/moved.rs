//! Removes what is left of tenants that have moved to another provider, once they are not to be kept any longer.
//!
//! When that is stands in the migration's row. The operation is the one by which an operator removes a tenant with its data; one
//! that fails is begun anew later, and keeps no other from its turn.

use std::time::Duration;

use berth_domain::{Departure, Mode, Operation, OperationKind, Timestamp};
use berth_store::{StoreError, TenantRecord};
use chrono::{SubsecRound as _, TimeDelta};

use crate::Engine;
use crate::engine::accepted;

/// How many are begun in one look.
const BATCH: u32 = 20;

/// After how many looks one is tried again.
const AGAIN: u32 = 6;

/// Who asks for it.
const BY: &str = "retention";

/// How long tenants are kept that have moved.
#[derive(Debug, Clone)]
pub struct MovedOptions {
    /// From the hand-over on; nothing for until somebody removes them.
    pub kept: Option<Duration>,
    /// How often it is looked whether one is to go.
    pub every: Duration,
}

impl Default for MovedOptions {
    fn default() -> Self {
        Self { kept: Some(Duration::from_secs(30 * 24 * 60 * 60)), every: Duration::from_secs(10 * 60) }
    }
}

impl MovedOptions {
    /// Until when one is kept that is handed over now.
    pub(crate) fn kept_until(&self, now: Timestamp) -> Option<Timestamp> {
        let kept = TimeDelta::from_std(self.kept?).ok()?;
        now.checked_add_signed(kept).map(|until| until.trunc_subsecs(3))
    }
}

/// Looks until the engine stops.
pub(crate) async fn keep_all(engine: Engine) {
    let stopping = engine.shared.stopping.clone();
    let MovedOptions { kept, every: pause } = engine.shared.options.moved.clone();
    if kept.is_none() {
        // Whoever has set that does not want what was handed over before to go either.
        return;
    }
    loop {
        let looking = async {
            if let Err(error) = engine.remove_what_is_not_kept().await {
                tracing::warn!(%error, "cannot tell which tenants have moved long ago");
            }
            tokio::time::sleep(pause).await;
        };
        if stopping.run_until_cancelled(looking).await.is_none() {
            return;
        }
    }
}

impl Engine {
    async fn remove_what_is_not_kept(&self) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        let again =
            TimeDelta::from_std(self.shared.options.moved.every * AGAIN).unwrap_or(TimeDelta::hours(1));
        for departure in self.shared.records.overdue_departures(now, BATCH).await? {
            self.shared.records.postpone_departure(departure.operation, now + again).await?;
            match self.remove(&departure, now).await {
                // It goes once what works on the tenant has ended.
                Ok(()) | Err(StoreError::OperationRunning { .. }) => {}
                Err(error) => {
                    tracing::warn!(tenant = %departure.tenant, %error, "cannot remove the tenant that has moved");
                }
            }
        }
        Ok(())
    }

    async fn remove(&self, departure: &Departure, now: Timestamp) -> Result<(), StoreError> {
        let tenant = match self.shared.records.tenant(&departure.tenant).await {
            Ok(tenant) if self.is_left_of(departure, &tenant).await? => tenant,
            Ok(_) | Err(StoreError::NotFound { .. }) => {
                return self.shared.records.settle_departure(departure.operation).await;
            }
            Err(error) => return Err(error),
        };
        let (name, machine, now) = (tenant.spec.name, tenant.spec.machine, now.trunc_subsecs(3));
        let operation = Operation::queued(name, machine, OperationKind::Destroy, true, BY.into(), now);
        if self.shared.records.create_removal(departure, &operation, accepted(&operation)).await? {
            tracing::info!(tenant = %departure.tenant, operation = %operation.id, "removing the tenant that has moved");
            self.shared.queued.notify_one();
        }
        Ok(())
    }

    /// Whether the tenant is what that migration left: the target has signed that it serves it, this one is to pass visitors on and
    /// nothing else, and that is what its machine was deployed with.
    async fn is_left_of(&self, departure: &Departure, tenant: &TenantRecord) -> Result<bool, StoreError> {
        let moved = |mode: &Mode| matches!(mode, Mode::Moved { .. });
        let left = departure.countersignature.is_some() && departure.has_taken(tenant.created_at);
        let Some(deployed) = tenant.deployed_revision.as_ref().filter(|_| left && moved(&tenant.spec.mode))
        else {
            return Ok(false);
        };
        Ok(moved(&self.shared.records.revision(&tenant.spec.name, deployed).await?.spec.mode))
    }
}
