//! One operation's rows and events.
//!
//! Steps report without waiting; what they report is written in batches, and handed to followers only after it is
//! in the database: what a client has seen survives the daemon.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, Operation, OperationId, Progress, StepName};
use berth_store::StoreError;
use chrono::{DateTime, Utc};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::hub::locked;
use crate::ports::{Report, Sink};
use crate::tenure::Tenure;

/// How long reports may wait before they are written.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// The shortest and the longest wait before a database that failed is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// How long a database may fail before its failure is the operation's. It can only take this long while leases are
/// renewed nevertheless.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The journal of one operation. Clones write to the same one.
#[derive(Clone)]
pub(crate) struct Journal {
    entries: Arc<Entries>,
}

struct Entries {
    shared: Arc<Shared>,
    tenure: Arc<Tenure>,
    waiting: Mutex<Vec<NewEvent>>,
    /// Something waits.
    noted: Notify,
    progress: Mutex<Option<(StepName, Progress)>>,
    written: tokio::sync::Mutex<Written>,
}

/// What is in the database.
struct Written {
    operation: Operation,
    /// How many writes that took.
    writes: i64,
    /// One more, of which nobody knows whether it took place: its answer was lost. It goes before every other.
    unsure: Option<Draft>,
}

/// What is to be written.
#[derive(Clone)]
struct Draft {
    operation: Operation,
    events: Vec<NewEvent>,
}

impl Journal {
    /// The journal of an operation that was just claimed.
    pub(crate) fn new(shared: Arc<Shared>, tenure: Arc<Tenure>, operation: Operation) -> Self {
        let written = Written { operation, writes: 0, unsure: None };
        let entries = Entries {
            shared,
            tenure,
            waiting: Mutex::default(),
            noted: Notify::new(),
            progress: Mutex::default(),
            written: tokio::sync::Mutex::new(written),
        };
        Self { entries: Arc::new(entries) }
    }

    /// The operation's id.
    pub(crate) fn id(&self) -> OperationId {
        self.entries.tenure.hold().operation
    }

    /// The time, for what is written.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.entries.shared.clock.now()
    }

    /// The operation as last written.
    pub(crate) async fn operation(&self) -> Operation {
        self.entries.written.lock().await.operation.clone()
    }

    /// Notes an event; it is written soon.
    pub(crate) fn note(&self, event: NewEvent) {
        locked(&self.entries.waiting).push(event);
        self.entries.noted.notify_one();
    }

    /// A sink for a step's reports.
    pub(crate) fn sink(&self, step: StepName) -> Sink {
        let journal = self.clone();
        Arc::new(move |report| journal.report(step, report))
    }

    fn report(&self, step: StepName, report: Report) {
        let now = self.now();
        let event = match report {
            Report::Line(line) => NewEvent::new(now, EventKind::Log, line),
            Report::Warning(text) => NewEvent::new(now, EventKind::Warning, text),
            Report::NeedsReboot(text) => NewEvent::new(now, EventKind::NeedsReboot, text),
            Report::Progress(progress) => {
                *locked(&self.entries.progress) = Some((step, progress));
                let mut event = NewEvent::new(now, EventKind::StepProgress, "");
                event.progress = Some(progress);
                event
            }
        };
        self.note(event.of_step(step));
    }

    /// Writes a change of the operation together with everything that waits, in one transaction. A database that cannot
    /// be reached is asked again as long as the operation is held.
    ///
    /// # Errors
    /// The operation is not held any more, or is to be left; or the database failed for too long.
    pub(crate) async fn write<E: IntoIterator<Item = NewEvent>>(
        &self,
        change: impl FnOnce(&mut Operation) -> E,
    ) -> Result<(), StoreError> {
        let mut written = self.entries.written.lock().await;
        if let Some(draft) = written.unsure.take() {
            self.carry(&mut written, draft).await?;
        }
        let mut operation = written.operation.clone();
        let last = change(&mut operation);
        let waiting = std::mem::take(&mut *locked(&self.entries.waiting));
        if let Some((name, progress)) = locked(&self.entries.progress).take()
            && let Some(step) = operation.step_mut(name)
        {
            step.progress = Some(progress);
        }
        let events = waiting.into_iter().chain(last).collect();
        self.carry(&mut written, Draft { operation, events }).await
    }

    /// Carries a draft into the database. One that fails is kept, as it may be there all the same.
    async fn carry(&self, written: &mut Written, draft: Draft) -> Result<(), StoreError> {
        let (records, tenure) = (&self.entries.shared.records, &self.entries.tenure);
        let (mut pause, since) = (PAUSES.0, Instant::now());
        loop {
            let Draft { operation, events } = draft.clone();
            match records.record(tenure.hold(), written.writes + 1, &operation, events).await {
                Ok(recorded) => {
                    if recorded.operation.cancel_requested {
                        tenure.cancel();
                    }
                    written.writes += 1;
                    written.operation = recorded.operation;
                    self.entries.shared.hub.publish(self.id(), &recorded.events);
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    if tenure.is_over() || since.elapsed() > PATIENCE {
                        written.unsure = Some(draft);
                        return Err(error);
                    }
                    tracing::warn!(operation = %self.id(), %error, "cannot write yet");
                    tenure.end().run_until_cancelled(tokio::time::sleep(pause)).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
                Err(error) => {
                    if let StoreError::LeaseLost { .. } = error {
                        tenure.lose();
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Writes what waits, if anything does.
    async fn flush(&self) -> Result<(), StoreError> {
        if locked(&self.entries.waiting).is_empty() {
            return Ok(());
        }
        self.write(|_| []).await
    }

    /// Writes what waits, soon after it was noted, until `stop`.
    pub(crate) async fn keep_flushing(self, stop: CancellationToken) {
        let soon = async || {
            self.entries.noted.notified().await;
            tokio::time::sleep(FLUSH_EVERY).await;
        };
        while stop.run_until_cancelled(soon()).await.is_some() {
            if let Err(error) = self.flush().await {
                tracing::warn!(operation = %self.id(), %error, "events wait: they cannot be written");
            }
        }
    }
}
