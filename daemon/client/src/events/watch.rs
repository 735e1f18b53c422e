//! One update after another, each event once, until what is followed has ended.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Duration;

use berth_domain::{Operation, OperationId, Rollout, RolloutId};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use reqwest::{Response, StatusCode};
use serde::Serialize;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

use super::followed::Followed;
use super::reading::{Reading, read};
use super::sse::{Item, Parser};
use crate::call::refusal;
use crate::client::Client;
use crate::error::{ClientError, Result};
use crate::pause;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The longest pause that the daemon may ask for before connecting again.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Something to tell of an operation, or of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Update<T: Followed = Operation> {
    /// It reported something.
    Event(Box<T::Event>),
    /// Events before number `oldest` are no longer kept; those from there follow.
    Gap {
        /// The first number that there is.
        oldest: i64,
    },
    /// The connection was lost, and is tried again by itself after a while.
    Lost {
        /// How it was lost.
        reason: String,
        /// How long it is waited until then.
        wait: Duration,
    },
    /// It ended. Nothing follows.
    Ended(Box<T>),
}

/// Follows an operation or a rollout. Made by [`Client::watch`] and [`Client::watch_rollout`].
#[derive(Debug)]
pub struct Watch<T: Followed = Operation> {
    client: Client,
    id: Uuid,
    /// The number of the last event that was seen.
    after: i64,
    /// What the daemon asked for with `retry:`.
    retry: Option<Duration>,
    state: State,
    /// Whether a connection came about at all.
    connected_once: bool,
    /// Failures in a row without any event between them.
    failures: u32,
    followed: PhantomData<fn() -> T>,
}

#[derive(Debug)]
enum State {
    Apart { until: Instant },
    Connected(Box<Connection>),
    Over,
}

#[derive(Debug)]
struct Connection {
    response: Response,
    parser: Parser,
    items: VecDeque<Item>,
}

/// What a connection came to.
enum Connected {
    Stream(Box<Connection>),
    /// It is over and its last event was seen.
    NothingMore,
}

impl Client {
    /// Follows an operation from after event number `after`: 0 for all of it. Connects on the first
    /// [`Watch::next`].
    pub fn watch(&self, operation: OperationId, after: i64) -> Watch {
        self.follow(operation, after)
    }

    /// Follows a rollout in the same way.
    pub fn watch_rollout(&self, rollout: RolloutId, after: i64) -> Watch<Rollout> {
        self.follow(rollout, after)
    }

    fn follow<T: Followed>(&self, id: Uuid, after: i64) -> Watch<T> {
        Watch {
            client: self.clone(),
            id,
            after,
            retry: None,
            state: State::Apart { until: Instant::now() },
            connected_once: false,
            failures: 0,
            followed: PhantomData,
        }
    }
}

impl<T: Followed> Watch<T> {
    /// The next update, or `None` after the end. May be dropped and called again without losing anything.
    ///
    /// # Errors
    /// If the daemon refuses, or stays away for longer than the client's options allow. The watch is over then.
    pub async fn next(&mut self) -> Result<Option<Update<T>>> {
        loop {
            let step = match &mut self.state {
                State::Over => return Ok(None),
                State::Apart { until } => {
                    sleep_until(*until).await;
                    self.connect().await
                }
                State::Connected(connection) => connection.next(self.client.options.stream_silence).await,
            };
            let update = match step {
                Ok(Some(item)) => self.take(item),
                Ok(None) => continue,
                Err(error) => self.lost(error).map(Some),
            };
            match update {
                Ok(None) => {}
                Ok(Some(update)) => return Ok(Some(update)),
                Err(error) => {
                    self.state = State::Over;
                    return Err(error);
                }
            }
        }
    }

    /// The number of the last event that was yielded.
    pub fn last_seq(&self) -> i64 {
        self.after
    }

    async fn connect(&mut self) -> Result<Option<Item>> {
        match open(&self.client, T::COLLECTION, self.id, self.after).await? {
            Connected::Stream(connection) => {
                self.connected_once = true;
                self.state = State::Connected(connection);
                Ok(None)
            }
            Connected::NothingMore => {
                let ended: T = self.client.get(&["v1", T::COLLECTION, &self.id.to_string()]).read().await?;
                Ok(Some(end_frame(&ended)))
            }
        }
    }

    /// What an item of the stream is to the caller; `None` for what only concerns us.
    fn take(&mut self, item: Item) -> Result<Option<Update<T>>> {
        let frame = match item {
            Item::Retry(wait) => {
                self.retry = Some(wait.min(LONGEST_RETRY));
                return Ok(None);
            }
            Item::Frame(frame) => frame,
        };
        let reading = read::<T>(&frame).map_err(|error| self.garbled(&error.to_string()))?;
        self.failures = 0;
        match reading {
            Reading::Unknown { seq } => {
                self.after = seq.unwrap_or(self.after).max(self.after);
                Ok(None)
            }
            Reading::Gap { oldest } => {
                self.after = self.after.max(oldest - 1);
                Ok(Some(Update::Gap { oldest }))
            }
            // Seen before the connection was lost.
            Reading::Event(event) if T::seq(&event) <= self.after => Ok(None),
            Reading::Event(event) if T::seq(&event) > self.after + 1 => {
                let reason = format!("event {} came after event {}", T::seq(&event), self.after);
                let url = self.client.base.to_string();
                self.lost(ClientError::Interrupted { url, reason }).map(Some)
            }
            Reading::Event(event) => {
                self.after = T::seq(&event);
                Ok(Some(Update::Event(event)))
            }
            Reading::End(ended) => {
                self.state = State::Over;
                Ok(Some(Update::Ended(ended)))
            }
        }
    }

    /// Goes apart, to come back after a pause; or gives up.
    fn lost(&mut self, error: ClientError) -> Result<Update<T>> {
        let options = &self.client.options;
        let most = if self.connected_once { options.stream_attempts } else { options.attempts };
        self.failures += 1;
        if !may_pass(&error) || self.failures >= most {
            return Err(error);
        }
        let wait = pause::before(self.failures, self.retry.unwrap_or(options.pause));
        self.state = State::Apart { until: Instant::now() + wait };
        Ok(Update::Lost { reason: error.to_string(), wait })
    }

    fn garbled(&self, reason: &str) -> ClientError {
        ClientError::Garbled { url: self.client.base.to_string(), reason: reason.to_owned() }
    }
}

/// Whether connecting again may help.
fn may_pass(error: &ClientError) -> bool {
    error.is_absence()
        || error.problem().is_some_and(|problem| matches!(problem.status, 429 | 500 | 502..=504))
}

/// The end as the stream would have said it, for a client that comes after it.
fn end_frame(ended: &impl Serialize) -> Item {
    let data = serde_json::to_string(ended).unwrap_or_default();
    Item::Frame(super::sse::Frame { id: None, event: "end".to_owned(), data })
}

async fn open(client: &Client, collection: &str, id: Uuid, after: i64) -> Result<Connected> {
    let url = client.route(&["v1", collection, &id.to_string(), "events"]);
    let mut request = client.http.get(url.clone()).header(ACCEPT, "text/event-stream");
    if after > 0 {
        request = request.header(LAST_EVENT_ID, after.to_string());
    }
    // The answer's head has to come in time; its body takes as long as what is followed.
    let bound = client.options.timeout;
    let response = match timeout(bound, request.send()).await {
        Ok(response) => response.map_err(|error| ClientError::of(url.as_str(), &error, bound))?,
        Err(_) => return Err(ClientError::Timeout { url: url.into(), after: bound }),
    };
    match response.status() {
        StatusCode::OK if is_stream(&response) => {
            let connection = Connection { response, parser: Parser::default(), items: VecDeque::new() };
            Ok(Connected::Stream(Box::new(connection)))
        }
        StatusCode::NO_CONTENT => Ok(Connected::NothingMore),
        StatusCode::OK => {
            Err(ClientError::Garbled { url: url.into(), reason: "it is no event stream".to_owned() })
        }
        status => {
            let body = timeout(bound, response.bytes()).await;
            let body = body.ok().and_then(std::result::Result::ok).unwrap_or_default();
            Err(refusal(url.as_str(), status, &body))
        }
    }
}

fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

impl Connection {
    /// The next item; `None` if the bytes that came complete none.
    async fn next(&mut self, silence: Duration) -> Result<Option<Item>> {
        if let Some(item) = self.items.pop_front() {
            return Ok(Some(item));
        }
        let url = self.response.url().to_string();
        let chunk = match timeout(silence, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| ClientError::of(&url, &error, silence))?,
            Err(_) => return Err(ClientError::Timeout { url, after: silence }),
        };
        let Some(bytes) = chunk else {
            let reason = "the stream ended before what it tells of".to_owned();
            return Err(ClientError::Interrupted { url, reason });
        };
        let items = self.parser.push(&bytes);
        self.items.extend(items.map_err(|error| ClientError::Garbled { url, reason: error.to_string() })?);
        Ok(None)
    }
}
