//! A database that is told by what changes in it: dumped once while the services go on, and from then on piece by piece, so that what is
//! left for the time in which nobody serves is what has changed last, however large it is.
//!
//! The source's server keeps what changes in a slot, from the very look on that the dump is of. Each pass that somebody follows brings
//! what came since to the repository, in a snapshot of its own, and only then lets go of it; the last one stands beside the dumps of a
//! snapshot as any other. Whoever follows loads the dump beside what is there, and makes each piece's changes in one transaction.
//!
//! | snapshot | tags beside the capture's own | holds |
//! | --- | --- | --- |
//! | the first | `replica:SERVICE`, `database:NAME`, `stream:SLOT`, `until:PLACE`, `schema:SUM` | `NAME.dump` |
//! | a piece | `replica:SERVICE`, `database:NAME`, `stream:SLOT`, `since:PLACE`, `until:PLACE` | `NAME.changes` |
//!
//! Nothing depends on it but time: what cannot be told so is dumped as ever, and said.
//!
//! | module | subject |
//! | --- | --- |
//! | [`slots`] | how long slots live |
//! | `first` | the source: its dump |
//! | `send` | the source: what has changed since |
//! | `receive` | whoever follows |

mod first;
mod receive;
mod send;
pub(super) mod slots;

use berth_delta::{Snapshot, newest};
use berth_domain::ServiceName;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::postgres::copied::Sequence;
use crate::postgres::lsn::Lsn;

pub(super) use receive::Receiving;
pub(crate) use receive::forget;
pub(super) use send::Told;

const REPLICA: &str = "replica:";
const DATABASE: &str = "database:";
const STREAM: &str = "stream:";
const SINCE: &str = "since:";
const UNTIL: &str = "until:";
const SCHEMA: &str = "schema:";

/// What a snapshot holds of a database of which it has no dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    /// Of what it is the last piece.
    pub(super) stream: String,
    /// Where that begins.
    pub(super) since: Lsn,
    /// What sequences gave last, which is not told as a change.
    pub(super) sequences: Vec<Sequence>,
    /// Whether there are large objects, which are in a file of their own.
    pub(super) objects: bool,
}

/// How the slots of an operation are called in front.
fn prefix(operation: Uuid) -> String {
    format!("berth_{}_", operation.simple())
}

/// A stream's name, which is also its slot's; another each time.
fn stream(operation: Uuid) -> String {
    // The end of such a number is made of chance.
    let random = Uuid::now_v7().simple().to_string();
    format!("{}{}", prefix(operation), random.get(20..).unwrap_or_default())
}

/// What a snapshot of a database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said<'a> {
    stream: &'a str,
    /// Nothing for the first.
    since: Option<Lsn>,
    until: Lsn,
}

impl<'a> Said<'a> {
    fn of(snapshot: &'a Snapshot, service: &ServiceName, database: &str) -> Option<Self> {
        let word = |prefix: &str| snapshot.tags.iter().find_map(|tag| tag.strip_prefix(prefix));
        let place = |prefix: &str| word(prefix).map(|place| place.parse().map(Lsn));
        if word(REPLICA) != Some(service.as_str()) || word(DATABASE) != Some(database) {
            return None;
        }
        let stream = word(STREAM).filter(|stream| is_name(stream))?;
        Some(Self { stream, since: place(SINCE).transpose().ok()?, until: place(UNTIL)?.ok()? })
    }

    fn tags(&self, service: &ServiceName, database: &str) -> Vec<String> {
        let mut tags = vec![format!("{REPLICA}{service}"), format!("{DATABASE}{database}")];
        tags.push(format!("{STREAM}{}", self.stream));
        tags.extend(self.since.map(|since| format!("{SINCE}{}", since.0)));
        tags.push(format!("{UNTIL}{}", self.until.0));
        tags
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// A snapshot on the way of a copy, and where the copy is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step<'a> {
    snapshot: &'a Snapshot,
    until: Lsn,
}

/// The snapshots of a database that follow each other, the first in front.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Chain<'a> {
    stream: &'a str,
    steps: Vec<Step<'a>>,
}

impl<'a> Chain<'a> {
    /// That of the newest stream that is wanted.
    fn of(
        (service, database): (&ServiceName, &str),
        snapshots: &'a [Snapshot],
        is_wanted: impl Fn(&str) -> bool,
    ) -> Option<Self> {
        let own = || {
            snapshots.iter().filter_map(|snapshot| Some((snapshot, Said::of(snapshot, service, database)?)))
        };
        let firsts = own().filter(|(_, said)| said.since.is_none() && is_wanted(said.stream));
        let first = newest(firsts.map(|(snapshot, _)| snapshot))?;
        let said = Said::of(first, service, database)?;
        let mut steps = vec![Step { snapshot: first, until: said.until }];
        // Each leads further in the log than the one before: it comes to an end.
        while let Some(last) = steps.last() {
            let goes_on = |(_, next): &(&Snapshot, Said<'_>)| {
                next.stream == said.stream && next.since == Some(last.until) && next.until > last.until
            };
            let Some((snapshot, next)) = own().filter(goes_on).max_by_key(|(_, next)| next.until) else {
                break;
            };
            steps.push(Step { snapshot, until: next.until });
        }
        Some(Self { stream: said.stream, steps })
    }

    /// The same up to a place, if it comes by there.
    fn up_to(mut self, place: Lsn) -> Option<Self> {
        let count = self.steps.iter().position(|step| step.until == place)? + 1;
        self.steps.truncate(count);
        Some(self)
    }

    fn last(&self) -> Option<Step<'a>> {
        self.steps.last().copied()
    }

    /// The sum over how the database was made.
    fn schema(&self) -> Option<&'a str> {
        self.steps.first()?.snapshot.tags.iter().find_map(|tag| tag.strip_prefix(SCHEMA))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(second: i64, stream: &str, since: Option<u64>, until: u64) -> Snapshot {
        let said = Said { stream, since: since.map(Lsn), until: Lsn(until) };
        let mut tags = said.tags(&"web".parse().unwrap(), "db");
        tags.push("schema:ab".into());
        let time = chrono::DateTime::from_timestamp(second, 0).unwrap();
        Snapshot { id: format!("{stream}-{until}"), time, paths: Vec::new(), tags }
    }

    fn way(all: &[Snapshot], wanted: &str) -> Vec<String> {
        let web = "web".parse().unwrap();
        let chain = Chain::of((&web, "db"), all, |stream| stream.starts_with(wanted));
        chain.map_or_else(Vec::new, |chain| chain.steps.iter().map(|step| step.snapshot.id.clone()).collect())
    }

    #[test]
    fn pieces_follow_the_first_of_their_own_stream_as_far_as_they_lead() {
        let all = [
            snapshot(1, "a", None, 10),
            snapshot(2, "a", Some(10), 20),
            snapshot(3, "a", Some(20), 30),
            snapshot(4, "a", Some(40), 50),
            snapshot(5, "b", None, 15),
            snapshot(6, "b", Some(10), 20),
            snapshot(7, "b", Some(15), 15),
        ];
        assert_eq!(way(&all, "a"), ["a-10", "a-20", "a-30"]);
        assert_eq!(way(&all, ""), ["b-15"], "the newest first one, and nothing that leads nowhere");
        assert_eq!(way(&all, "c"), [""; 0]);
        let (web, other) = ("web".parse().unwrap(), "other".parse().unwrap());
        assert_eq!(Chain::of((&other, "db"), &all, |_| true), None);
        assert_eq!(Chain::of((&web, "other"), &all, |_| true), None);
        let chain = Chain::of((&web, "db"), &all, |stream| stream == "a").unwrap();
        assert_eq!((chain.schema(), chain.last().unwrap().until), (Some("ab"), Lsn(30)));
        assert_eq!(chain.clone().up_to(Lsn(20)).unwrap().steps.len(), 2);
        assert_eq!(chain.up_to(Lsn(25)), None);
    }

    #[test]
    fn a_stream_is_a_name_of_its_operation_that_postgresql_takes() {
        let operation = Uuid::now_v7();
        let name = stream(operation);
        assert!(
            is_name(&name) && name.starts_with(&prefix(operation)) && name != stream(operation),
            "{name}"
        );
        for bad in ["", "a b", "A", "x'", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
