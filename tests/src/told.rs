//! An operation followed to its end, with all that it told.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::{Client, Update};
use berth_domain::operation::OperationError;
use berth_domain::{Event, EventKind, Operation, OperationId, OperationStatus, StepName, StepStatus};
use tokio::time::{Instant, timeout};

/// Longer than any operation here takes.
const LIMIT: Duration = Duration::from_secs(180);

/// What an operation told, and how it ended.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its events, from the first on.
    pub events: Vec<Event>,
    /// The operation as it ended.
    pub operation: Operation,
    /// From the call until its first event was there.
    pub first_event_after: Duration,
    /// From the call until its end was there.
    pub ended_after: Duration,
}

impl Told {
    /// Follows an operation from its first event to its end.
    ///
    /// # Errors
    /// If the daemon goes away or the operation does not end; with what it told until then.
    pub async fn follow(client: &Client, id: OperationId) -> Result<Self> {
        Self::follow_within(client, id, LIMIT).await
    }

    /// The same for one that may take so long.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub async fn follow_within(client: &Client, id: OperationId, limit: Duration) -> Result<Self> {
        let mut events = Vec::new();
        match timeout(limit, Self::collect(client, id, &mut events)).await {
            Ok(told) => told,
            Err(_) => {
                let last: Vec<&str> =
                    events.iter().rev().take(10).map(|e: &Event| e.message.as_str()).collect();
                bail!("operation {id} does not end; its last words, newest first: {last:#?}")
            }
        }
    }

    async fn collect(client: &Client, id: OperationId, events: &mut Vec<Event>) -> Result<Self> {
        let start = Instant::now();
        let mut first_event_after = None;
        let mut watch = client.watch(id, 0);
        while let Some(update) = watch.next().await? {
            match update {
                Update::Event(event) => {
                    first_event_after.get_or_insert_with(|| start.elapsed());
                    events.push(*event);
                }
                Update::Ended(operation) => {
                    return Ok(Self {
                        events: events.clone(),
                        operation: *operation,
                        first_event_after: first_event_after.unwrap_or_default(),
                        ended_after: start.elapsed(),
                    });
                }
                Update::Gap { .. } | Update::Lost { .. } => {}
            }
        }
        bail!("the stream of operation {id} ended without an end")
    }

    /// The same, if it succeeded.
    ///
    /// # Errors
    /// If it did not; with why.
    pub fn succeeded(self) -> Result<Self> {
        let Operation { status, error, .. } = &self.operation;
        ensure!(*status == OperationStatus::Succeeded, "the operation ended as {status}: {error:#?}");
        Ok(self)
    }

    /// Why it failed.
    ///
    /// # Errors
    /// If it did not fail.
    pub fn failure(&self) -> Result<&OperationError> {
        let Operation { status, error, .. } = &self.operation;
        ensure!(*status == OperationStatus::Failed, "the operation ended as {status}: {error:#?}");
        error.as_ref().context("a failed operation says why")
    }

    /// How a step ended.
    pub fn step(&self, name: StepName) -> Option<StepStatus> {
        self.operation.step(name).map(|step| step.status)
    }

    /// The steps that began, in their order.
    pub fn started(&self) -> Vec<StepName> {
        let started = self.events.iter().filter(|event| event.kind == EventKind::StepStarted);
        started.filter_map(|event| event.step).collect()
    }
}
