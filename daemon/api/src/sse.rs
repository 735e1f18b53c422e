//! The events of an operation or a rollout as a stream (server-sent events: HTML standard, section 9.2).
//!
//! An event's id is its number, so a client that lost its connection goes on where it was. Comments keep proxies from
//! closing a stream on which nothing happens, and the delay before a client comes back is spread, so that not all
//! come back at once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use berth_domain::{Event, Invalid, Operation, Rollout, RolloutId};
use berth_engine::rollouts::{RolloutBatch, RolloutFollower};
use berth_engine::{Batch, Follower};
use berth_store::StoreError;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;

use crate::metrics::OpenStream;
use crate::problem::Problem;
use crate::state::Api;

/// A comment is sent when nothing else was for this long.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Clients are told to come back after this long, in milliseconds; spread between the two.
const RETRY: (u64, u64) = (1000, 3000);

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The number of the last event that it has seen; 0 for none.
    pub after: i64,
}

impl Cursor {
    /// From `Last-Event-ID`, else from the query.
    ///
    /// # Errors
    /// A problem that names the one that holds no number of an event, of which there are `last_seq`.
    pub fn read(request: &HttpRequest, query: Option<i64>, last_seq: i64) -> Result<Self, Problem> {
        let (field, after) = match request.headers().get("Last-Event-ID") {
            Some(value) => ("Last-Event-ID", value.to_str().ok().and_then(|text| text.trim().parse().ok())),
            None => ("/after", Some(query.unwrap_or(0))),
        };
        match after {
            Some(after) if (0..=last_seq).contains(&after) => Ok(Self { after }),
            _ => {
                let rule = format!("must be the number of an event: 0 to {last_seq}");
                Err(Invalid::one(field, "event-number", rule).into())
            }
        }
    }
}

/// Who listens, and so what of the operation is told.
#[derive(Clone, Copy)]
pub struct Audience {
    /// Which of an event's written forms is theirs.
    pub form: usize,
    /// What of an event they may see.
    pub event: fn(&Event) -> Option<Event>,
    /// What the last message carries.
    pub ending: fn(&Operation) -> serde_json::Value,
}

impl Audience {
    /// Those who may read the tenant: everything.
    pub const INSIDERS: Self = Self {
        form: 0,
        event: |event| Some(event.clone()),
        // The contract's types cannot fail to be serialised.
        ending: |operation| serde_json::to_value(operation).unwrap_or_default(),
    };
}

/// An operation's events after the cursor, then live until it ends.
pub fn stream(api: Data<Api>, operation: &Operation, cursor: Cursor, audience: Audience) -> HttpResponse {
    if operation.status.is_final() && cursor.after >= operation.last_seq {
        return HttpResponse::NoContent().finish();
    }
    let follower = api.engine.follow(operation.id, cursor.after);
    respond(api, Source::Operation { follower, audience })
}

/// A rollout's events after the cursor, then live until it ends.
pub fn stream_of_rollout(api: Data<Api>, rollout: &Rollout, cursor: Cursor) -> HttpResponse {
    if rollout.status.is_final() && cursor.after >= rollout.last_seq {
        return HttpResponse::NoContent().finish();
    }
    let follower = api.engine.follow_rollout(rollout.id, cursor.after);
    respond(api, Source::Rollout { id: rollout.id, follower })
}

fn respond(api: Data<Api>, source: Source) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache, no-transform"))
        // Asks nginx not to hold back what is small.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(body(api, source))
}

/// What is followed.
enum Source {
    Operation { follower: Follower, audience: Audience },
    Rollout { id: RolloutId, follower: RolloutFollower },
}

/// What a source has to say next.
enum Said {
    /// These messages.
    Text(Bytes),
    /// Nothing more but how it ended.
    Ended,
}

impl Source {
    /// What comes next; nothing once all was said.
    async fn next(&mut self) -> Result<Option<Said>, Arc<StoreError>> {
        let mut text = BytesMut::new();
        match self {
            Self::Operation { follower, audience } => match follower.next().await? {
                Some(Batch::Events(events)) => {
                    let written = |event: &Event| written(event, audience);
                    let forms: Vec<_> =
                        events.iter().map(|event| event.form(audience.form, written)).collect();
                    text.reserve(forms.iter().map(|form| form.len()).sum());
                    forms.iter().for_each(|form| text.extend_from_slice(form));
                }
                Some(Batch::Gap { oldest }) => {
                    write(&mut text, None, "gap", &serde_json::json!({ "oldest": oldest }));
                }
                Some(Batch::End) => return Ok(Some(Said::Ended)),
                None => return Ok(None),
            },
            Self::Rollout { follower, .. } => match follower.next().await? {
                Some(RolloutBatch::Events(events)) => {
                    for event in &events {
                        write(&mut text, Some(event.seq), event.kind.word(), event);
                    }
                }
                Some(RolloutBatch::End) => return Ok(Some(Said::Ended)),
                None => return Ok(None),
            },
        }
        // A batch of which nothing is shown must not be an empty chunk, which would end the body.
        Ok(Some(Said::Text(if text.is_empty() { Bytes::from_static(b":\n\n") } else { text.freeze() })))
    }

    /// How it ended.
    async fn ending(&self, api: &Api) -> Option<serde_json::Value> {
        match self {
            Self::Operation { follower, audience } => {
                follower.ending().await.ok().map(|operation| (audience.ending)(&operation))
            }
            Self::Rollout { id, .. } => {
                // The contract's types cannot fail to be serialised.
                let rollout = api.store().rollout(*id).await.ok()?;
                Some(serde_json::to_value(rollout).unwrap_or_default())
            }
        }
    }
}

/// An event as a message; nothing where the audience may not see it.
fn written(event: &Event, audience: &Audience) -> Bytes {
    let mut text = BytesMut::new();
    if let Some(event) = (audience.event)(event) {
        write(&mut text, Some(event.seq), event.kind.word(), &event);
    }
    text.freeze()
}

/// What is left to be sent.
enum Stage {
    Greeting,
    Following,
    Over,
}

struct Sending {
    api: Data<Api>,
    source: Source,
    stage: Stage,
    _counted: OpenStream,
}

fn body(api: Data<Api>, source: Source) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let counted = api.metrics.stream_opened();
    let sending = Sending { api, source, stage: Stage::Greeting, _counted: counted };
    futures_util::stream::unfold(sending, async |mut sending| {
        let chunk = sending.next().await?;
        Some((Ok(chunk), sending))
    })
}

impl Sending {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Greeting => {
                self.stage = Stage::Following;
                Some(Bytes::from(format!("retry: {}\n\n", spread(RETRY))))
            }
            Stage::Following => self.follow().await,
            Stage::Over => None,
        }
    }

    async fn follow(&mut self) -> Option<Bytes> {
        let next = tokio::time::timeout(HEARTBEAT, self.source.next());
        match self.api.stopping.run_until_cancelled(next).await? {
            Err(_) => Some(Bytes::from_static(b": nothing new\n\n")),
            Ok(Ok(Some(Said::Text(text)))) => Some(text),
            Ok(Ok(Some(Said::Ended))) => self.end().await,
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                // The client comes back by itself and finds the database answering again, or a problem.
                tracing::warn!(%error, "an event stream ends early");
                None
            }
        }
    }

    async fn end(&mut self) -> Option<Bytes> {
        self.stage = Stage::Over;
        let ending = self.source.ending(&self.api).await?;
        let mut text = BytesMut::new();
        write(&mut text, None, "end", &ending);
        Some(text.freeze())
    }
}

fn write(text: &mut BytesMut, id: Option<i64>, kind: &str, data: &impl serde::Serialize) {
    if let Some(id) = id {
        text.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    text.extend_from_slice(format!("event: {kind}\ndata: ").as_bytes());
    // JSON as serde writes it holds no line break. The contract's types cannot fail to be serialised.
    text.extend_from_slice(&serde_json::to_vec(data).unwrap_or_default());
    text.extend_from_slice(b"\n\n");
}

fn spread((least, most): (u64, u64)) -> u64 {
    let mut random = [0; 2];
    // Without randomness all clients come back at the same time, which is no error.
    let _ = getrandom::fill(&mut random);
    least + u64::from(u16::from_le_bytes(random)) % (most - least)
}
