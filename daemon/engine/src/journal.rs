//! One operation's rows and events.
//!
//! Steps report without waiting; what they report is written in batches, and handed to followers only after it is
//! in the database: what a client has seen survives the daemon.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, Operation, OperationId, Progress, StepName};
use berth_store::{Store, StoreError};
use chrono::Utc;
use tokio_util::sync::CancellationToken;

use crate::hub::{Hub, locked};
use crate::ports::{Report, Sink};

/// How long reports may wait before they are written.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// The journal of one operation. Clones write to the same one.
#[derive(Clone)]
pub struct Journal {
    shared: Arc<Shared>,
}

struct Shared {
    id: OperationId,
    store: Store,
    hub: Arc<Hub>,
    waiting: Mutex<Vec<NewEvent>>,
    progress: Mutex<Option<(StepName, Progress)>>,
    operation: tokio::sync::Mutex<Operation>,
    /// Cancelled as soon as the row says that somebody wished it, whichever daemon heard that.
    cancel: CancellationToken,
}

impl Journal {
    /// The journal of `operation`, which `cancel` stops.
    pub fn new(store: Store, hub: Arc<Hub>, operation: Operation, cancel: CancellationToken) -> Self {
        let shared = Shared {
            id: operation.id,
            store,
            hub,
            waiting: Mutex::default(),
            progress: Mutex::default(),
            operation: tokio::sync::Mutex::new(operation),
            cancel,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The operation's id.
    pub fn id(&self) -> OperationId {
        self.shared.id
    }

    /// The operation as last written.
    pub async fn operation(&self) -> Operation {
        self.shared.operation.lock().await.clone()
    }

    /// Notes an event; it is written soon.
    pub fn note(&self, event: NewEvent) {
        locked(&self.shared.waiting).push(event);
    }

    /// A sink for a step's reports.
    pub fn sink(&self, step: StepName) -> Sink {
        let journal = self.clone();
        Arc::new(move |report| journal.report(step, report))
    }

    fn report(&self, step: StepName, report: Report) {
        let now = Utc::now();
        let event = match report {
            Report::Line(line) => NewEvent::new(now, EventKind::Log, line),
            Report::Warning(text) => NewEvent::new(now, EventKind::Warning, text),
            Report::Progress(progress) => {
                *locked(&self.shared.progress) = Some((step, progress));
                let mut event = NewEvent::new(now, EventKind::StepProgress, "");
                event.progress = Some(progress);
                event
            }
        };
        self.note(event.of_step(step));
    }

    /// Writes a change of the operation together with everything that waits, in one transaction.
    ///
    /// # Errors
    /// The database failed; what waited still waits.
    pub async fn write(
        &self,
        change: impl FnOnce(&mut Operation) -> Option<NewEvent>,
    ) -> Result<(), StoreError> {
        let mut operation = self.shared.operation.lock().await;
        let mut changed = operation.clone();
        let last = change(&mut changed);
        let waiting = std::mem::take(&mut *locked(&self.shared.waiting));
        let events: Vec<_> = waiting.iter().cloned().chain(last).collect();
        if let Some((name, progress)) = locked(&self.shared.progress).take()
            && let Some(step) = changed.step_mut(name)
        {
            step.progress = Some(progress);
        }
        match self.shared.store.record(&mut changed, events).await {
            Ok(numbered) => {
                if changed.cancel_requested {
                    self.shared.cancel.cancel();
                }
                *operation = changed;
                self.shared.hub.publish(self.shared.id, &numbered);
                Ok(())
            }
            Err(error) => {
                locked(&self.shared.waiting).splice(0..0, waiting);
                Err(error)
            }
        }
    }

    /// Writes what waits, if anything does.
    async fn flush(&self) -> Result<(), StoreError> {
        if locked(&self.shared.waiting).is_empty() {
            return Ok(());
        }
        self.write(|_| None).await
    }

    /// Writes what waits every now and then until `stop`.
    pub async fn keep_flushing(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FLUSH_EVERY)).await.is_some() {
            if let Err(error) = self.flush().await {
                tracing::warn!(operation = %self.shared.id, %error, "events wait: the database failed");
            }
        }
    }
}
