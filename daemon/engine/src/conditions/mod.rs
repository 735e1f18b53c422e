//! Looks whether deployed tenants still are what was committed. A check reads and never corrects.
//!
//! | module | subject |
//! | --- | --- |
//! | [`look`] | asks one machine all there is to ask |
//! | [`judge`] | what of the answers is not as it should be; no I/O |
//! | [`periodic`] | which tenants are due, a bounded number at once |

mod judge;
mod look;
mod periodic;

use std::time::Duration;

use berth_domain::{Condition, TenantName};
use berth_store::idempotency::IdempotencyRecord;
use berth_store::{StoreError, TenantRecord};
use chrono::{SubsecRound, Utc};

use crate::Engine;
use crate::error::StepError;

pub(crate) use periodic::check_all;

/// How deployed tenants are checked by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// How often each tenant is checked, give or take a tenth; never when absent.
    pub every: Option<Duration>,
    /// How many are checked at once.
    pub parallel: usize,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self { every: Some(Duration::from_secs(15 * 60)), parallel: 8 }
    }
}

/// Why a tenant could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It never was deployed, an operation works on it, or the database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The daemon itself is not able to: its platform is not prepared, or it stops.
    #[error(transparent)]
    Daemon(#[from] StepError),
}

impl Engine {
    /// Looks whether a tenant's machine still is what was committed. Nothing is kept yet.
    ///
    /// # Errors
    /// [`CheckError`]; a machine that cannot be asked is no error but a finding.
    pub async fn examine(&self, tenant: &TenantRecord) -> Result<Condition, CheckError> {
        let not_deployed = || StoreError::NotDeployed { tenant: tenant.spec.name.clone() };
        let system = tenant.deployed_system.clone().ok_or_else(not_deployed)?;
        let machine = self.shared.records.machine(&tenant.spec.machine).await?;
        let findings = self.look(&machine.spec, &system).await?;
        Ok(Condition::of(Utc::now().trunc_subsecs(3), findings))
    }

    /// Keeps what an examination of `tenant` found, and says in the log what changed by it.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`] and [`StoreError::NotDeployed`] when the tenant was worked on meanwhile;
    /// [`StoreError::IdempotencyReplay`].
    pub async fn keep_condition(
        &self,
        tenant: &TenantRecord,
        condition: &Condition,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let name = &tenant.spec.name;
        let not_deployed = || StoreError::NotDeployed { tenant: name.clone() };
        let revision = tenant.deployed_revision.as_ref().ok_or_else(not_deployed)?;
        self.shared.records.set_condition(name, revision, condition, once).await?;
        tell(name, tenant.condition.as_ref(), condition);
        Ok(())
    }
}

/// A line for what is found anew, and one for all that is over: a provider's log is not filled by what it knows.
fn tell(tenant: &TenantName, before: Option<&Condition>, now: &Condition) {
    let known = before.map_or(&[][..], |before| &before.findings);
    for finding in &now.findings {
        if !known.iter().any(|known| known.kind == finding.kind) {
            tracing::warn!(%tenant, finding = %finding.kind, "{}", finding.message);
        }
    }
    if now.sound && !known.is_empty() {
        tracing::info!(%tenant, "everything is as it should be again");
    }
}
