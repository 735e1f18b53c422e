//! The handle that the API holds: submit, cancel, follow.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{
    BundleId, EventKind, Operation, OperationId, OperationKind, Snapshot, SnapshotId, StepName, TenantSpec,
};
use berth_seal::Keys;
use berth_store::idempotency::IdempotencyRecord;
use berth_store::{DepartureRecord, StoreError};
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backups::{self, BackupOptions};
use crate::bundles::Spool;
use crate::conditions::{self, CheckOptions};
use crate::error::StepError;
use crate::exports::Exports;
use crate::follow::Follower;
use crate::hub::{Hub, locked};
use crate::moved::{self, MovedOptions};
use crate::offsite::{Contents, Place};
use crate::ports::{Bounds, Buckets, Builder, Clock, Machines, Offsites, Vaults};
use crate::records::Records;
use crate::retries::Retries;
use crate::rollouts::{self, Fleet};
use crate::tenure::Tenure;
use crate::worker;

/// How long somebody may wait who wants to know what a repository that lies elsewhere holds: less than what stands before a daemon waits.
const LOOK: Duration = Duration::from_secs(50);

/// How many may look at once: each may take the memory that a repository's keys and index ask for.
const LOOKS: usize = 2;

/// What bounds the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How many operations may run at once.
    pub parallel_operations: usize,
    /// How many of an operation's newest events are kept once it has ended.
    pub keep_events: i64,
    /// How many generations of its system a machine keeps.
    pub keep_generations: u32,
    /// When each part gives up.
    pub timeouts: Timeouts,
    /// This daemon's own id: the same whenever it is started again, and no other daemon's on the same database. What a
    /// daemon of that id left behind is taken up at once.
    pub replica: String,
    /// How long an operation is held without renewal; as long, others wait for a daemon that does not answer any more.
    pub lease: Duration,
    /// When what failed is tried again.
    pub retries: Retries,
    /// How deployed tenants are checked.
    pub checks: CheckOptions,
    /// How backup plans are kept.
    pub backups: BackupOptions,
    /// How tenants leave for another provider.
    pub migration: MigrationOptions,
    /// How long tenants are kept that have moved to another provider.
    pub moved: MovedOptions,
}

/// How tenants leave for another provider.
#[derive(Debug, Clone)]
pub struct MigrationOptions {
    /// Databases that are larger, in bytes, are told by what changes in them, where that can be.
    pub replicate_databases_above: u64,
}

impl Default for MigrationOptions {
    fn default() -> Self {
        Self { replicate_databases_above: 1 << 30 }
    }
}

/// When each part of an operation gives up.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// Preparing the platform and evaluating a configuration.
    pub evaluate: Duration,
    /// Building.
    pub build: Duration,
    /// Reaching the machine and starting the agent.
    pub connect: Duration,
    /// Copying.
    pub copy: Duration,
    /// Switching the machine.
    pub activate: Duration,
    /// Waiting until the services are healthy.
    pub verify: Duration,
    /// How much longer than that a machine waits for the commit before it puts its previous system back by itself.
    pub dead_man: Duration,
    /// Starting the machine anew, from the wish until it is back.
    pub reboot: Duration,
    /// Copying a tenant's state into its vault, or back.
    pub state: Duration,
    /// Everything that should be quick: facts, commit, logs.
    pub brief: Duration,
    /// Waiting for people at another provider, and for what they decide to come about.
    pub consent: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            evaluate: Duration::from_secs(10 * 60),
            build: Duration::from_secs(2 * 60 * 60),
            connect: Duration::from_secs(20),
            copy: Duration::from_secs(2 * 60 * 60),
            activate: Duration::from_secs(15 * 60),
            verify: Duration::from_secs(3 * 60),
            dead_man: Duration::from_secs(60),
            reboot: Duration::from_secs(10 * 60),
            state: Duration::from_secs(12 * 60 * 60),
            brief: Duration::from_secs(60),
            consent: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

impl Timeouts {
    /// How long a machine waits for the commit, from the end of the switch on.
    pub(crate) fn commit(&self) -> Duration {
        self.verify + self.dead_man
    }

    /// How long a step of such an operation may be attempted.
    pub(crate) fn of(&self, kind: OperationKind, step: StepName) -> Duration {
        match step {
            // All state is read as well.
            StepName::Verify if kind == OperationKind::Drill => self.verify + self.state,
            StepName::Render | StepName::Evaluate | StepName::Compare => self.evaluate,
            StepName::Build => self.build,
            StepName::Copy => self.copy,
            StepName::Empty => self.build,
            StepName::Wipe | StepName::Activate | StepName::DryActivate | StepName::Commit => self.activate,
            StepName::Verify => self.verify,
            StepName::Reboot => self.reboot,
            StepName::Precopy
            | StepName::Capture
            | StepName::Prune
            | StepName::Restore
            | StepName::Unpack
            | StepName::PutInPlace
            | StepName::Bundle => self.state,
            StepName::Agree
            | StepName::Receive
            | StepName::Rehearse
            | StepName::HandOver
            | StepName::GoLive => self.consent,
            StepName::Prepare | StepName::TryOut => self.build,
            StepName::Forget => self.brief,
        }
    }

    /// What a step may take on top: for reaching the machine, for asking it about itself, for reading logs.
    pub(crate) fn around(&self) -> Duration {
        self.connect * 3 + self.brief * 2
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            parallel_operations: 4,
            keep_events: 50_000,
            keep_generations: 10,
            timeouts: Timeouts::default(),
            checks: CheckOptions::default(),
            backups: BackupOptions::default(),
            migration: MigrationOptions::default(),
            moved: MovedOptions::default(),
            replica: uuid::Uuid::now_v7().to_string(),
            lease: Duration::from_secs(15),
            retries: Retries::default(),
        }
    }
}

/// What an engine is made of.
pub struct Parts {
    /// The database.
    pub records: Arc<dyn Records>,
    /// What seals customers' secrets.
    pub keys: Keys,
    /// Evaluates and builds.
    pub builder: Arc<dyn Builder>,
    /// Reaches machines.
    pub machines: Arc<dyn Machines>,
    /// Keeps snapshots.
    pub vaults: Arc<dyn Vaults>,
    /// Copies tenants' buckets into vaults, and back.
    pub buckets: Arc<dyn Buckets>,
    /// Reads repositories that lie elsewhere.
    pub offsites: Arc<dyn Offsites>,
    /// Where bundles are made, and who signs them.
    pub exports: Exports,
    /// The bundles that somebody brings here.
    pub spool: Spool,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Runs operations. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub records: Arc<dyn Records>,
    pub keys: Keys,
    pub hub: Arc<Hub>,
    pub builder: Arc<dyn Builder>,
    pub machines: Arc<dyn Machines>,
    pub vaults: Arc<dyn Vaults>,
    pub buckets: Arc<dyn Buckets>,
    pub offsites: Arc<dyn Offsites>,
    pub exports: Arc<Exports>,
    pub spool: Arc<Spool>,
    pub clock: Arc<dyn Clock>,
    pub options: EngineOptions,
    /// Something was queued.
    pub queued: Notify,
    /// Cancelled when the daemon stops: no operation is begun, running ones are left for the successor.
    pub stopping: CancellationToken,
    /// The operations that run here.
    pub running: Mutex<BTreeMap<OperationId, Arc<Tenure>>>,
    /// How many operations may still be begun.
    pub slots: Arc<Semaphore>,
    /// How many more may look into repositories that lie elsewhere.
    pub looks: Semaphore,
    pub tasks: TaskTracker,
    pub fleet: Fleet,
}

impl Engine {
    /// An engine that does nothing until [`Engine::start`].
    pub fn new(parts: Parts, options: EngineOptions) -> Self {
        let Parts { records, keys, builder, machines, vaults, buckets, offsites, exports, spool, clock } =
            parts;
        Self {
            shared: Arc::new(Shared {
                records,
                keys,
                hub: Arc::default(),
                builder,
                machines,
                vaults,
                buckets,
                offsites,
                exports: Arc::new(exports),
                spool: Arc::new(spool),
                clock,
                slots: Arc::new(Semaphore::new(options.parallel_operations)),
                looks: Semaphore::new(LOOKS),
                options,
                queued: Notify::new(),
                stopping: CancellationToken::new(),
                running: Mutex::default(),
                tasks: TaskTracker::new(),
                fleet: Fleet::default(),
            }),
        }
    }

    /// Begins to claim what is queued, what a predecessor left running, and what nobody holds any more.
    pub fn start(&self) {
        if let Some(listener) = self.shared.records.listen() {
            self.shared.tasks.spawn(worker::listen(Arc::clone(&self.shared), listener));
        }
        self.shared.tasks.spawn(worker::work(self.clone()));
        self.shared.tasks.spawn(rollouts::drive_all(self.clone()));
        self.shared.tasks.spawn(conditions::check_all(self.clone()));
        self.shared.tasks.spawn(backups::keep_all(self.clone()));
        self.shared.tasks.spawn(moved::keep_all(self.clone()));
    }

    /// Stops: nothing new is begun; what runs is interrupted and left for the successor to resume. Returns when
    /// nothing runs any more.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// What seals customers' secrets.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// Where bundles are.
    pub fn exports(&self) -> &Exports {
        &self.shared.exports
    }

    /// The bundles that somebody brings here.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.shared.spool
    }

    /// Has a bundle that is all here compared with what is signed, unless that is going on.
    pub fn examine_bundle(&self, id: BundleId) {
        let (spool, stop) = (Arc::clone(&self.shared.spool), self.shared.stopping.clone());
        self.shared.tasks.spawn(async move {
            if let Err(error) = spool.examine(id, stop).await {
                tracing::warn!(bundle = %id, %error, "a bundle could not be verified");
            }
        });
    }

    /// What a repository that lies elsewhere holds, and all that the snapshot tells that is asked for, or else the newest whole one.
    /// Nothing is changed.
    ///
    /// # Errors
    /// [`StepError::Failed`] with a code of its own for each sort of trouble.
    pub async fn look_offsite(
        &self,
        place: &Place,
        snapshot: Option<SnapshotId>,
    ) -> Result<Contents, StepError> {
        let (begun, stop) = (Instant::now(), self.shared.stopping.child_token());
        let turn = tokio::time::timeout(LOOK, stop.run_until_cancelled(self.shared.looks.acquire()));
        let late = |_| StepError::retryable("timeout", "others look into repositories just now: ask again");
        let _turn = turn.await.map_err(late)?.ok_or(StepError::Stopping)?;
        let timeout = LOOK.saturating_sub(begun.elapsed());
        self.shared.offsites.look(place, snapshot, &Bounds { cancel: stop, timeout }).await
    }

    /// How many operations run here.
    pub fn running(&self) -> usize {
        locked(&self.shared.running).len()
    }

    /// Writes an operation down and wakes the worker.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`] when the tenant has an unfinished one; [`StoreError::IdempotencyReplay`].
    pub async fn submit(
        &self,
        operation: &Operation,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        self.shared.records.create_operation(operation, accepted(operation), idempotency).await?;
        self.shared.queued.notify_one();
        Ok(())
    }

    /// The same for a drill of a snapshot, whose machine is lent to it at the same time.
    ///
    /// # Errors
    /// [`StoreError::OperationRunning`] while another drill of the tenant goes on, [`StoreError::NotDeployed`], whatever keeps
    /// the machine from being lent, [`StoreError::IdempotencyReplay`].
    pub async fn submit_drill(
        &self,
        operation: &Operation,
        snapshot: &Snapshot,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        self.shared.records.create_drill(operation, snapshot, accepted(operation), idempotency).await?;
        self.shared.queued.notify_one();
        Ok(())
    }

    /// The same for an operation that is to find out what deploying `spec` would change.
    ///
    /// # Errors
    /// As [`Engine::submit`], and whatever refuses to make the tenant that.
    pub async fn submit_preview(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        self.shared.records.create_preview(operation, spec, accepted(operation), idempotency).await?;
        self.shared.queued.notify_one();
        Ok(())
    }

    /// The same for an operation that moves a tenant away, with its ticket.
    ///
    /// # Errors
    /// As [`Engine::submit`].
    pub async fn submit_departure(
        &self,
        operation: &Operation,
        record: &DepartureRecord,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        self.shared.records.create_departure(operation, record, accepted(operation), idempotency).await?;
        self.shared.queued.notify_one();
        Ok(())
    }

    /// The same for a rollback, which makes the tenant `spec` at the same time; `expected` is the tenant's version that was
    /// looked at.
    ///
    /// # Errors
    /// As [`Engine::submit`], and whatever refuses to make the tenant that.
    pub async fn submit_rollback(
        &self,
        operation: &Operation,
        spec: &TenantSpec,
        expected: i64,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<(), StoreError> {
        let records = &self.shared.records;
        records.create_rollback(operation, spec, expected, accepted(operation), idempotency).await?;
        self.shared.queued.notify_one();
        Ok(())
    }

    /// Asks an operation to stop; it ends as `cancelled` at the next point at which that is safe.
    ///
    /// # Errors
    /// [`StoreError::Finished`] when it has ended; [`StoreError::IdempotencyReplay`].
    pub async fn cancel(
        &self,
        id: OperationId,
        by: &str,
        idempotency: Option<&IdempotencyRecord>,
    ) -> Result<Operation, StoreError> {
        let event = NewEvent::new(
            self.shared.clock.now(),
            EventKind::CancelRequested,
            format!("{by} asked to cancel"),
        );
        let (operation, event) = self.shared.records.request_cancel(id, event, idempotency).await?;
        if let Some(event) = event {
            self.shared.hub.publish(id, &[event]);
        }
        if let Some(tenure) = locked(&self.shared.running).get(&id) {
            tenure.cancel();
        }
        // One that is still queued is ended by the worker.
        self.shared.queued.notify_one();
        Ok(operation)
    }

    /// Follows an operation from the event after number `after`.
    pub fn follow(&self, id: OperationId, after: i64) -> Follower {
        self.shared.hub.follow(Arc::clone(&self.shared.records), id, after)
    }
}

/// The first event of an operation.
pub(crate) fn accepted(operation: &Operation) -> NewEvent {
    let message = format!("{} of {} accepted", operation.kind, operation.tenant);
    NewEvent::new(operation.created_at, EventKind::Accepted, message)
}
