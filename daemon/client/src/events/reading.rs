//! What a frame of the stream means in this API.

use berth_domain::{Event, EventKind, Operation};
use serde::Deserialize;

use super::sse::Frame;

/// A frame, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reading {
    Event(Box<Event>),
    /// Events before this number are gone.
    Gap {
        oldest: i64,
    },
    /// The operation ended; nothing follows.
    End(Box<Operation>),
    /// An event of a kind that this client does not know; its number if it has one.
    Unknown {
        seq: Option<i64>,
    },
}

#[derive(Deserialize)]
struct GapData {
    oldest: i64,
}

pub(super) fn read(frame: &Frame) -> Result<Reading, serde_json::Error> {
    match frame.event.as_str() {
        "gap" => serde_json::from_str(&frame.data).map(|GapData { oldest }| Reading::Gap { oldest }),
        "end" => serde_json::from_str(&frame.data).map(|operation| Reading::End(Box::new(operation))),
        kind if EventKind::from_word(kind).is_some() => {
            serde_json::from_str(&frame.data).map(|event| Reading::Event(Box::new(event)))
        }
        _ => Ok(Reading::Unknown { seq: frame.id.as_ref().and_then(|id| id.parse().ok()) }),
    }
}
