//! The handle that the API holds: submit, cancel, follow.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, Operation, OperationId, TenantSpec};
use berth_seal::Keys;
use berth_store::idempotency::IdempotencyRecord;
use berth_store::{Store, StoreError};
use chrono::Utc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::follow::Follower;
use crate::hub::{Hub, locked};
use crate::ports::{Builder, Machines};
use crate::worker;

/// What bounds the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How many operations may run at once.
    pub parallel_operations: usize,
    /// How many of an operation's newest events are kept once it has ended.
    pub keep_events: i64,
    /// When each part gives up.
    pub timeouts: Timeouts,
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
    /// Everything that should be quick: facts, commit, logs.
    pub brief: Duration,
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
            brief: Duration::from_secs(60),
        }
    }
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { parallel_operations: 4, keep_events: 50_000, timeouts: Timeouts::default() }
    }
}

/// Runs operations. Clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub store: Store,
    pub keys: Keys,
    pub hub: Arc<Hub>,
    pub builder: Arc<dyn Builder>,
    pub machines: Arc<dyn Machines>,
    pub options: EngineOptions,
    /// Something was queued.
    pub queued: Notify,
    /// Cancelled when the daemon stops: no operation is begun, running ones are left for the successor.
    pub stopping: CancellationToken,
    /// The operations that run here, and what cancels them.
    pub running: Mutex<HashMap<OperationId, CancellationToken>>,
    pub tasks: TaskTracker,
}

impl Engine {
    /// An engine that does nothing until [`Engine::start`].
    pub fn new(
        store: Store,
        keys: Keys,
        builder: Arc<dyn Builder>,
        machines: Arc<dyn Machines>,
        options: EngineOptions,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                keys,
                hub: Arc::default(),
                builder,
                machines,
                options,
                queued: Notify::new(),
                stopping: CancellationToken::new(),
                running: Mutex::default(),
                tasks: TaskTracker::new(),
            }),
        }
    }

    /// Takes up what a predecessor left running, then begins to claim what is queued.
    pub fn start(&self) {
        self.shared.tasks.spawn(worker::work(self.clone()));
    }

    /// Stops: nothing new is begun; what runs is interrupted and left for the successor to resume. Returns when
    /// nothing runs any more.
    pub async fn stop(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// The database.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What seals customers' secrets.
    pub fn keys(&self) -> &Keys {
        &self.shared.keys
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
        self.shared.store.create_operation(operation, accepted(operation), idempotency).await?;
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
        self.shared.store.create_preview(operation, spec, accepted(operation), idempotency).await?;
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
        let event = NewEvent::new(Utc::now(), EventKind::CancelRequested, format!("{by} asked to cancel"));
        let (operation, event) = self.shared.store.request_cancel(id, event, idempotency).await?;
        if let Some(event) = event {
            self.shared.hub.publish(id, &[event]);
        }
        if let Some(token) = locked(&self.shared.running).get(&id) {
            token.cancel();
        }
        // One that is still queued is ended by the worker.
        self.shared.queued.notify_one();
        Ok(operation)
    }

    /// Follows an operation from the event after number `after`.
    pub fn follow(&self, id: OperationId, after: i64) -> Follower {
        Follower::new(self.shared.store.clone(), self.shared.hub.channel(id), id, after)
    }
}

/// The first event of an operation.
fn accepted(operation: &Operation) -> NewEvent {
    let message = format!("{} of {} accepted", operation.kind, operation.tenant);
    NewEvent::new(operation.created_at, EventKind::Accepted, message)
}
