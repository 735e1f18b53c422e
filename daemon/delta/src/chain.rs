//! Which snapshots bring a copy from the state that it is in to another.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use crate::{AT, DELTA, FROM, delta_tag, whole_tag};

/// A snapshot of a repository, with what `restic snapshots --json` tells of it and matters here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Snapshot {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub time: DateTime<Utc>,
    /// What it is of.
    #[serde(default)]
    pub paths: Vec<String>,
    /// By what it is found.
    #[serde(default)]
    pub tags: Vec<String>,
}

impl Snapshot {
    /// The state to which it leads, if it says so.
    pub fn state(&self) -> Option<Uuid> {
        self.uuid(AT)
    }

    /// Whether it is of what has changed alone.
    pub fn is_delta(&self) -> bool {
        self.tags.iter().any(|tag| tag.starts_with(DELTA))
    }

    fn uuid(&self, prefix: &str) -> Option<Uuid> {
        self.tags.iter().find_map(|tag| tag.strip_prefix(prefix)?.parse().ok())
    }
}

/// The newest of some snapshots.
pub fn newest<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Option<&'a Snapshot> {
    snapshots.into_iter().max_by_key(|snapshot| snapshot.time)
}

/// What has to be restored, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way<'a> {
    /// A snapshot of everything; nothing where what is there is gone on from.
    pub whole: Option<&'a Snapshot>,
    /// What has changed since, step by step.
    pub deltas: Vec<&'a Snapshot>,
    /// The state that it leads to; nothing where the snapshot does not tell.
    pub state: Option<Uuid>,
}

/// The snapshots of one service.
pub struct Chain<'a>(Vec<&'a Snapshot>);

impl<'a> Chain<'a> {
    /// Those of all that are of a service.
    pub fn of(service: &str, snapshots: &'a [Snapshot]) -> Self {
        let own = [whole_tag(service), delta_tag(service)];
        Self(snapshots.iter().filter(|snapshot| snapshot.tags.iter().any(|tag| own.contains(tag))).collect())
    }

    /// The newest snapshot of everything.
    pub fn whole(&self) -> Option<&'a Snapshot> {
        newest(self.0.iter().copied().filter(|snapshot| !snapshot.is_delta()))
    }

    /// The snapshots that bring a copy to a state, be it as a whole or as what has changed.
    pub fn at(&self, wanted: Uuid) -> impl Iterator<Item = &'a Snapshot> {
        self.0.iter().copied().filter(move |snapshot| snapshot.state() == Some(wanted))
    }

    /// From the state in which a copy is to the newest; nothing where there is no snapshot.
    pub fn to_newest(&self, here: Option<Uuid>) -> Option<Way<'a>> {
        let last = newest(self.0.iter().copied())?;
        let way = last.state().and_then(|state| self.to(state, here));
        way.or_else(|| {
            let whole = self.whole()?;
            Some(Way { whole: Some(whole), deltas: Vec::new(), state: whole.state() })
        })
    }

    /// To a state, from the one that a copy is in or else from a snapshot of everything; nothing where nothing leads there.
    pub fn to(&self, wanted: Uuid, here: Option<Uuid>) -> Option<Way<'a>> {
        // Backwards. There are not more steps than snapshots: tags that lead in a circle lead nowhere.
        let (mut states, mut deltas) = (vec![wanted], Vec::new());
        while let Some(delta) = states.last().and_then(|at| self.at(*at).find(|snapshot| snapshot.is_delta()))
        {
            if deltas.len() >= self.0.len() {
                return None;
            }
            states.push(delta.uuid(FROM)?);
            deltas.push(delta);
        }
        let whole = |at: &Uuid| self.at(*at).find(|snapshot| !snapshot.is_delta());
        let (steps, whole) = match states.iter().position(|at| Some(*at) == here) {
            Some(steps) => (steps, None),
            None => states.iter().enumerate().find_map(|(steps, at)| Some((steps, Some(whole(at)?))))?,
        };
        deltas.truncate(steps);
        deltas.reverse();
        Some(Way { whole, deltas, state: Some(wanted) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [Uuid; 4] =
        [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), Uuid::from_u128(4)];

    /// Snapshots of the service `web`: what each leads from and to, by the numbers of states, and its time.
    fn snapshots(all: &[(&str, Option<usize>, Option<usize>)]) -> Vec<Snapshot> {
        let snapshot = |(second, (id, from, at)): (usize, &(&str, Option<usize>, Option<usize>))| {
            let mut tags = vec!["x".to_owned()];
            tags.push(if from.is_some() { "delta:web".into() } else { "service:web".into() });
            tags.extend(from.map(|from| format!("from:{}", STATES[from])));
            tags.extend(at.map(|at| format!("at:{}", STATES[at])));
            Snapshot {
                id: (*id).into(),
                time: chrono::DateTime::from_timestamp(second.try_into().unwrap(), 0).unwrap(),
                paths: Vec::new(),
                tags,
            }
        };
        all.iter().enumerate().map(snapshot).collect()
    }

    /// The ids on the way to the newest, the whole one in front.
    fn way(all: &[Snapshot], here: Option<usize>) -> Option<Vec<&str>> {
        let way = Chain::of("web", all).to_newest(here.map(|state| STATES[state]))?;
        Some(way.whole.into_iter().chain(way.deltas).map(|snapshot| snapshot.id.as_str()).collect())
    }

    #[test]
    fn the_shortest_way_that_starts_from_what_is_there_or_from_everything_is_gone() {
        let all = snapshots(&[
            ("one", None, Some(0)),
            ("to-two", Some(0), Some(1)),
            ("to-three", Some(1), Some(2)),
            ("three", None, Some(2)),
        ]);
        assert_eq!(way(&all, Some(2)), Some(vec![]));
        assert_eq!(way(&all, Some(1)), Some(vec!["to-three"]));
        assert_eq!(way(&all, Some(0)), Some(vec!["to-two", "to-three"]));
        assert_eq!(way(&all, None), Some(vec!["three"]));
        assert_eq!(way(&all, Some(3)), Some(vec!["three"]), "what is there is of another line");
        assert_eq!(way(&all[..3], None), Some(vec!["one", "to-two", "to-three"]));
        assert_eq!(way(&[], None), None);
    }

    #[test]
    fn what_leads_nowhere_is_left_for_the_newest_of_everything() {
        // A delta whose beginning is gone, one that nothing is known of, and a circle.
        let broken = snapshots(&[("whole", None, Some(0)), ("to-three", Some(1), Some(2))]);
        assert_eq!(way(&broken, Some(0)), Some(vec!["whole"]));
        let untold = snapshots(&[("whole", None, Some(0)), ("later", None, None)]);
        assert_eq!(way(&untold, Some(0)), Some(vec!["later"]));
        let circle =
            snapshots(&[("whole", None, None), ("there", Some(0), Some(1)), ("back", Some(1), Some(0))]);
        assert_eq!(way(&circle, None), Some(vec!["whole"]));
        let only = snapshots(&[("there", Some(0), Some(1))]);
        assert_eq!(way(&only, None), None);
    }
}
