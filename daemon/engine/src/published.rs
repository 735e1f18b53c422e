//! An event on its way to those who follow.

use std::ops::Deref;
use std::sync::OnceLock;

use berth_domain::Event;
use bytes::Bytes;

/// For how many kinds of readers an event is written at the most.
pub const FORMS: usize = 2;

/// About how many bytes an event without a message is when it is written.
const ENVELOPE: usize = 200;

/// An event, and what was written of it for each kind of reader: once, however many follow.
#[derive(Debug)]
pub struct Published {
    event: Event,
    forms: [OnceLock<Bytes>; FORMS],
}

impl Published {
    /// What is written of it for the readers of a kind, numbered from 0 and below [`FORMS`].
    ///
    /// # Panics
    /// If there is no such kind.
    pub fn form(&self, kind: usize, write: impl FnOnce(&Event) -> Bytes) -> &Bytes {
        self.forms[kind].get_or_init(|| write(&self.event))
    }

    /// About how many bytes it takes, written for one kind of reader.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + ENVELOPE + 2 * self.event.message.len()
    }
}

impl From<Event> for Published {
    fn from(event: Event) -> Self {
        Self { event, forms: Default::default() }
    }
}

impl Deref for Published {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

impl PartialEq for Published {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}
