//! What can be followed.

use std::fmt::Debug;

use berth_domain::rollout::RolloutEventKind;
use berth_domain::{Event, EventKind, Operation, Rollout, RolloutEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Something that reports numbered events until it ends.
pub trait Followed: Serialize + DeserializeOwned + Debug {
    /// What it reports.
    type Event: DeserializeOwned + Debug;

    /// Its kind's segment in the API's paths.
    const COLLECTION: &'static str;

    /// Whether this client knows events of that kind.
    fn knows(kind: &str) -> bool;

    /// An event's number.
    fn seq(event: &Self::Event) -> i64;
}

impl Followed for Operation {
    type Event = Event;

    const COLLECTION: &'static str = "operations";

    fn knows(kind: &str) -> bool {
        EventKind::from_word(kind).is_some()
    }

    fn seq(event: &Event) -> i64 {
        event.seq
    }
}

impl Followed for Rollout {
    type Event = RolloutEvent;

    const COLLECTION: &'static str = "rollouts";

    fn knows(kind: &str) -> bool {
        RolloutEventKind::from_word(kind).is_some()
    }

    fn seq(event: &RolloutEvent) -> i64 {
        event.seq
    }
}
