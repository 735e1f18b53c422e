//! What followers of an operation read of it in the database: once for all of them.
//!
//! Events do not change once they are written, so a page that one follower has read serves every other one that wants
//! it. Pages begin at multiples of their length, so that followers who stand in different places want the same ones.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::{Operation, OperationId};
use berth_store::{EventPage, StoreError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::flights::{Flights, Outcome};
use crate::hub::locked;
use crate::published::Published;
use crate::records::{OperationRecords, Records};

/// How many events a page holds.
pub(crate) const PAGE: usize = 500;

/// How many pages are kept for those who follow behind.
const KEPT: usize = 8;

/// How often the database is asked although nobody told of news: another daemon may have written.
pub(crate) const POLL: Duration = Duration::from_secs(2);

/// Where events and operations are read.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// The events after number `after`.
    async fn events(&self, id: OperationId, after: i64, limit: u32) -> Result<EventPage, StoreError>;

    /// An operation.
    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError>;
}

#[async_trait]
impl Source for Arc<dyn Records> {
    async fn events(&self, id: OperationId, after: i64, limit: u32) -> Result<EventPage, StoreError> {
        OperationRecords::events(&**self, id, after, limit).await
    }

    async fn operation(&self, id: OperationId) -> Result<Operation, StoreError> {
        OperationRecords::operation(&**self, id).await
    }
}

/// The database as followers see it: only so many of their reads take place at once, so that requests find a connection.
#[derive(Clone)]
pub(crate) struct Reader {
    source: Arc<dyn Source>,
    turns: Arc<Semaphore>,
}

/// One operation's past.
pub(crate) struct Past {
    reader: Reader,
    operation: OperationId,
    pages: Flights<i64, Arc<Page>>,
    endings: Flights<(), Arc<Operation>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Pages that were read, the last one last.
    pages: VecDeque<Arc<Page>>,
    /// When it was last looked whether there is something new, and the read's number.
    looked: Option<(u64, Instant)>,
    /// What reads up to this number saw may be out of date.
    doubted: u64,
    /// The number of the last event that there will ever be.
    end: Option<i64>,
    ending: Option<Arc<Operation>>,
}

/// Events as they were when they were read.
#[derive(Debug)]
pub(crate) struct Page {
    /// They come after this one, a multiple of [`PAGE`].
    start: i64,
    events: Vec<Arc<Published>>,
    /// The number of the operation's last event, where it has ended and these are its last.
    end: Option<i64>,
}

impl Page {
    /// Those after number `after`.
    pub fn after(&self, after: i64) -> Vec<Arc<Published>> {
        self.events[self.events.partition_point(|event| event.seq <= after)..].to_vec()
    }

    /// Whether there was nothing more.
    fn is_last(&self) -> bool {
        self.events.len() < PAGE
    }

    fn reaches_beyond(&self, after: i64) -> bool {
        self.events.last().is_some_and(|last| last.seq > after)
    }
}

impl Reader {
    /// Reads there, when it is its turn.
    pub fn new(source: impl Source + 'static, turns: Arc<Semaphore>) -> Self {
        Self { source: Arc::new(source), turns }
    }

    async fn page(self, id: OperationId, start: i64) -> Result<Arc<Page>, StoreError> {
        // Nobody closes it.
        let _turn = self.turns.acquire().await;
        let events = self.source.events(id, start, PAGE as u32).await?.events;
        let end = match events.len() {
            PAGE => None,
            _ => {
                let operation = self.source.operation(id).await?;
                operation.status.is_final().then_some(operation.last_seq)
            }
        };
        let events = events.into_iter().map(Published::from).map(Arc::new).collect();
        Ok(Arc::new(Page { start, events, end }))
    }

    async fn operation(self, id: OperationId) -> Result<Arc<Operation>, StoreError> {
        let _turn = self.turns.acquire().await;
        self.source.operation(id).await.map(Arc::new)
    }
}

impl Past {
    /// Nothing is known yet.
    pub fn new(reader: Reader, operation: OperationId) -> Self {
        let (pages, endings) = (Flights::default(), Flights::default());
        Self { reader, operation, pages, endings, known: Mutex::default() }
    }

    /// A page that was read already and holds events after number `after`.
    pub fn kept(&self, after: i64) -> Option<Arc<Page>> {
        let start = start_of(after);
        let known = locked(&self.known);
        known.pages.iter().find(|page| page.start == start && page.reaches_beyond(after)).cloned()
    }

    /// The page with the events after number `after`; without one where the database, asked from now on, has none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn read(self: &Arc<Self>, after: i64) -> Outcome<Arc<Page>> {
        let start = start_of(after);
        let read = |number| self.page(start, number);
        self.pages.read(start, read, |page| page.reaches_beyond(after)).await
    }

    /// The page with the events after number `after`, if there are any: the look that is due.
    ///
    /// # Errors
    /// The database failed.
    pub async fn look(self: &Arc<Self>, after: i64) -> Outcome<Arc<Page>> {
        let start = start_of(after);
        // One that is under way will do: since it began somebody followed, and was told what came.
        self.pages.join(start, |number| self.page(start, number)).await.outcome
    }

    fn page(
        self: &Arc<Self>,
        start: i64,
        number: u64,
    ) -> impl Future<Output = Result<Arc<Page>, StoreError>> + use<> {
        // A read alone must not look as if somebody followed.
        let (past, reader, operation) = (Arc::downgrade(self), self.reader.clone(), self.operation);
        async move {
            let outcome = reader.page(operation, start).await;
            if let Err(error) = &outcome {
                tracing::warn!(%operation, %error, "cannot read events for those who follow");
            }
            if let Some(past) = past.upgrade() {
                locked(&past.known).note(number, &outcome);
            }
            outcome
        }
    }

    /// In how long it is to be looked whether there is something new of which nobody told; zero for now.
    pub fn due_in(&self) -> Duration {
        let known = locked(&self.known);
        match known.looked {
            Some((number, at)) if number > known.doubted => POLL.saturating_sub(at.elapsed()),
            _ => Duration::ZERO,
        }
    }

    /// There may be something new of which nobody will tell.
    pub fn doubt(&self) {
        let begun = self.pages.begun();
        let mut known = locked(&self.known);
        known.doubted = known.doubted.max(begun);
    }

    /// Notes the number of the last event that there will ever be.
    pub fn ends_with(&self, last: i64) {
        locked(&self.known).end = Some(last);
    }

    /// Whether nothing will ever come after number `after`.
    pub fn is_over(&self, after: i64) -> bool {
        locked(&self.known).end.is_some_and(|last| last <= after)
    }

    /// The operation as it ended; to be asked once it has.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ending(&self) -> Outcome<Arc<Operation>> {
        if let Some(operation) = locked(&self.known).ending.clone() {
            return Ok(operation);
        }
        let landed = self.endings.join((), |_| self.reader.clone().operation(self.operation)).await;
        let operation = landed.outcome?;
        if operation.status.is_final() {
            locked(&self.known).ending = Some(Arc::clone(&operation));
        }
        Ok(operation)
    }
}

impl Known {
    fn note(&mut self, number: u64, outcome: &Result<Arc<Page>, StoreError>) {
        // One that failed counts as well: who misses nothing need not ask again at once.
        if outcome.as_ref().map_or(true, |page| page.is_last()) {
            self.looked = Some((number, Instant::now()));
        }
        let Ok(page) = outcome else { return };
        self.end = self.end.or(page.end);
        self.pages.retain(|kept| kept.start != page.start);
        self.pages.push_back(Arc::clone(page));
        let surplus = self.pages.len().saturating_sub(KEPT);
        self.pages.drain(..surplus);
    }
}

fn start_of(after: i64) -> i64 {
    after - after.rem_euclid(PAGE as i64)
}
