//! Rollouts: the same change to many tenants, in waves.
//!
//! A rollout makes ordinary deployments, a bounded number at once, and judges them wave by wave. Its rows say all there is
//! to know: a daemon that is started again looks at them and at the operations that they name, and goes on.
//!
//! | module | subject |
//! | --- | --- |
//! | [`plan`] | what comes next, from how the rollout stands; no I/O |
//! | [`drive`] | looks, decides and records, until the rollout has ended |
//! | [`ahead`] | evaluates the tenants of a wave together, before their operations ask for it |
//! | [`follow`] | a rollout's events from any number on, then live |
//! | [`news`] | that there is something to look at |

mod ahead;
mod drive;
mod follow;
mod news;
mod plan;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use berth_domain::rollout::{NewRolloutEvent, RolloutEventKind, RolloutTenantState, Selector};
use berth_domain::{
    Invalid, Operation, OperationKind, Rollout, RolloutId, RolloutSpec, RolloutStatus, RolloutTenant,
    TenantName, Timestamp,
};
use berth_store::idempotency::IdempotencyRecord;
use berth_store::rollouts::RolloutChange;
use berth_store::{StoreError, TenantRecord};
use chrono::SubsecRound as _;
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::hub::locked;
use crate::ports::Clock;

pub use follow::{RolloutBatch, RolloutFollower};

pub(crate) use ahead::Evaluations;
pub(crate) use drive::drive_all;
use news::News;

/// How often a wish is recorded again when the rollout changed in between.
const ATTEMPTS: u32 = 20;

/// What the rollouts of this daemon share.
#[derive(Default)]
pub(crate) struct Fleet {
    /// Counts everything that a rollout may want to know of.
    news: News,
    /// The rollouts that are driven here, and what interrupts their preparations.
    driven: Mutex<HashMap<RolloutId, CancellationToken>>,
    evaluations: Evaluations,
    /// Held by whoever counts how many operations rollouts have, until it has written one more.
    counting: tokio::sync::Mutex<()>,
    /// What those who follow rollouts read.
    reads: Arc<follow::Reads>,
}

impl Fleet {
    /// Something happened: an operation ended, a rollout was changed.
    pub(crate) fn look_again(&self) {
        self.news.tell();
    }

    /// Interrupts what a rollout prepares.
    fn interrupt(&self, id: RolloutId) {
        if let Some(token) = locked(&self.driven).get(&id) {
            token.cancel();
        }
    }
}

/// What somebody wishes of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Begin nothing until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Begin nothing any more, and end.
    Abort {
        /// Whether the operations that run are asked to stop as well.
        cancel_operations: bool,
    },
}

impl Wish {
    /// How a rollout stands once the wish is granted, and the event that tells of it; nothing where it stands so already.
    fn grant(self, rollout: &mut Rollout, by: &str, now: Timestamp) -> Option<NewRolloutEvent> {
        use RolloutStatus::{Aborting, Paused, Running};
        let (kind, words) = match (self, rollout.status) {
            (Self::Pause, Running) => (RolloutEventKind::Paused, "asked to pause"),
            (Self::Resume, Paused) => (RolloutEventKind::Resumed, "asked to go on"),
            (Self::Abort { .. }, Running | Paused) => (RolloutEventKind::AbortRequested, "asked to abort"),
            (Self::Abort { cancel_operations: true }, Aborting) if !rollout.cancel_operations => {
                (RolloutEventKind::AbortRequested, "asked to cancel what runs")
            }
            _ => return None,
        };
        rollout.status = match self {
            Self::Pause => Paused,
            Self::Resume => Running,
            Self::Abort { cancel_operations } => {
                rollout.cancel_operations |= cancel_operations;
                Aborting
            }
        };
        Some(NewRolloutEvent::new(now, kind, format!("{by} {words}")))
    }

    /// How a rollout will stand once the wish is granted.
    #[must_use]
    pub fn granted(self, rollout: &Rollout) -> Rollout {
        let mut granted = rollout.clone();
        if self.grant(&mut granted, "", rollout.created_at).is_some() {
            granted.last_seq += 1;
        }
        granted
    }
}

/// Why no rollout came about.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// The selection does not do.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// The rollout that a specification comes to now: its tenants, in the order of their turns. Nothing is written yet.
    ///
    /// # Errors
    /// The selection names a tenant that there is not, or selects nobody.
    pub async fn plan_rollout(
        &self,
        spec: RolloutSpec,
        by: &str,
        now: Timestamp,
    ) -> Result<Rollout, SelectError> {
        let tenants = match &spec.select {
            Selector::Tenants(names) => self.named(names).await?,
            select => self.selected(select).await?,
        };
        if tenants.is_empty() {
            let rule = "selects no tenant that was deployed before";
            return Err(Invalid::one("/select", "selects-none", rule).into());
        }
        Ok(Rollout::new(spec, tenants, by.to_owned(), now.trunc_subsecs(3)))
    }

    async fn named(&self, names: &[TenantName]) -> Result<Vec<TenantName>, SelectError> {
        let mut invalid = Invalid::default();
        for (i, name) in names.iter().enumerate() {
            match self.shared.records.tenant(name).await {
                Ok(_) => {}
                Err(StoreError::NotFound { .. }) => {
                    invalid.push(
                        format!("/select/tenants/{i}"),
                        "exists",
                        format!("there is no tenant “{name}”"),
                    );
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(invalid.or(names.to_vec())?)
    }

    async fn selected(&self, select: &Selector) -> Result<Vec<TenantName>, StoreError> {
        let wanted = |tenant: TenantRecord| {
            let is_wanted = tenant.deployed_revision.is_some() && select.matches(&tenant.spec);
            is_wanted.then_some(tenant.spec.name)
        };
        self.shared.records.of_tenants(wanted).await
    }

    /// Writes a rollout down; it begins at once.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyReplay`]
    pub async fn submit_rollout(
        &self,
        rollout: &Rollout,
        once: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let (tenants, waves) = (rollout.tenants.len(), rollout.waves.len());
        let (tenants, waves) = (counted(tenants, "tenant"), counted(waves, "wave"));
        let message = format!("a rollout over {tenants} in {waves} accepted");
        let first = NewRolloutEvent::new(rollout.created_at, RolloutEventKind::Accepted, message);
        self.shared.records.create_rollout(rollout, first, once).await?;
        self.shared.fleet.look_again();
        Ok(())
    }

    /// Grants a wish. One that is granted already changes nothing.
    ///
    /// # Errors
    /// [`StoreError::RolloutFinished`], [`StoreError::NotFound`], [`StoreError::IdempotencyReplay`]
    pub async fn wish(
        &self,
        id: RolloutId,
        wish: Wish,
        by: &str,
        once: Option<&IdempotencyRecord>,
    ) -> Result<Rollout, StoreError> {
        let mut attempt = 1;
        loop {
            let mut rollout = self.shared.records.rollout(id).await?;
            if rollout.status.is_final() {
                return Err(StoreError::RolloutFinished { rollout: id, status: rollout.status });
            }
            let events = wish.grant(&mut rollout, by, self.shared.clock.now()).into_iter().collect();
            let change = RolloutChange { events, ..RolloutChange::default() };
            match self.shared.records.record_rollout(&mut rollout, change, once).await {
                Err(StoreError::RolloutChanged) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
                Ok(_) => {
                    if wish != Wish::Resume {
                        self.shared.fleet.interrupt(id);
                    }
                    self.shared.fleet.look_again();
                    return Ok(rollout);
                }
            }
        }
    }

    /// Follows a rollout from the event after number `after`.
    pub fn follow_rollout(&self, id: RolloutId, after: i64) -> RolloutFollower {
        let fleet = &self.shared.fleet;
        RolloutFollower {
            records: Arc::clone(&self.shared.records),
            turns: self.shared.hub.turns(),
            reads: Arc::clone(&fleet.reads),
            news: fleet.news.subscribe(),
            rollout: id,
            cursor: after,
            ended: false,
        }
    }

    /// Lets go of the platforms that nobody uses any more.
    pub(crate) async fn release_platforms(&self) {
        match self.used_platforms().await {
            Ok(used) => self.shared.builder.release_platforms(&used).await,
            Err(error) => tracing::warn!(%error, "cannot tell which platforms are used; all are kept"),
        }
    }

    async fn used_platforms(&self) -> Result<Vec<String>, StoreError> {
        let mut used = Vec::new();
        for (id, _) in self.shared.records.unfinished_rollouts().await? {
            used.extend(self.shared.records.rollout_platform(id).await?);
        }
        // Afterwards: a rollout that ended in between has its tenants say what they were brought to.
        used.extend(self.shared.records.platforms().await?);
        Ok(used)
    }
}

/// An operation that deploys a tenant for a rollout.
fn deployment(rollout: &Rollout, tenant: TenantRecord, clock: &dyn Clock) -> Operation {
    let (name, machine, by) = (tenant.spec.name, tenant.spec.machine, rollout.requested_by.clone());
    let now = clock.now().trunc_subsecs(3);
    Operation {
        id: clock.id(),
        rollout: Some(rollout.id),
        ..Operation::queued(name, machine, OperationKind::Deploy, false, by, now)
    }
}

/// A tenant that stands elsewhere now, and the event that tells of it.
fn moved(
    tenant: &RolloutTenant,
    state: RolloutTenantState,
    words: &str,
    now: Timestamp,
) -> (RolloutTenant, NewRolloutEvent) {
    let message = format!("{}: {words}", tenant.tenant);
    let problem = state.is_failure().then(|| words.to_owned());
    let tenant = RolloutTenant { state, problem, ..tenant.clone() };
    let kind = match state {
        RolloutTenantState::Deploying => RolloutEventKind::TenantStarted,
        _ => RolloutEventKind::TenantFinished,
    };
    let event = NewRolloutEvent::new(now, kind, message).of_tenant(&tenant);
    (tenant, event)
}

/// A number of things, for a person.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Tenants that an operation of somebody else's works on, until they are tried again.
type Busy = HashSet<TenantName>;
