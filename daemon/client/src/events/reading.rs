//! What a frame of the stream means in this API.

use serde::Deserialize;

use super::followed::Followed;
use super::sse::Frame;

/// A frame, understood.
pub(super) enum Reading<T: Followed> {
    Event(Box<T::Event>),
    /// Events before this number are gone.
    Gap {
        oldest: i64,
    },
    /// It ended; nothing follows.
    End(Box<T>),
    /// An event of a kind that this client does not know; its number if it has one.
    Unknown {
        seq: Option<i64>,
    },
}

#[derive(Deserialize)]
struct GapData {
    oldest: i64,
}

pub(super) fn read<T: Followed>(frame: &Frame) -> Result<Reading<T>, serde_json::Error> {
    match frame.event.as_str() {
        "gap" => serde_json::from_str(&frame.data).map(|GapData { oldest }| Reading::Gap { oldest }),
        "end" => serde_json::from_str(&frame.data).map(|ended| Reading::End(Box::new(ended))),
        kind if T::knows(kind) => {
            serde_json::from_str(&frame.data).map(|event| Reading::Event(Box::new(event)))
        }
        _ => Ok(Reading::Unknown { seq: frame.id.as_ref().and_then(|id| id.parse().ok()) }),
    }
}
