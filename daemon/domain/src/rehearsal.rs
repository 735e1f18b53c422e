//! Rehearsals: a copy of a tenant that wants to move is tried out at the provider that it would move to, and thrown away.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::drill::{DrillOutcome, DrilledService};
use crate::name::ServiceName;

/// How the source made the copy, its services going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CopyTimes {
    /// How many bytes were sent, altogether.
    #[serde(default)]
    pub bytes_sent: u64,
    /// How long the passes took that stop nothing, in milliseconds, the target's restoring meanwhile included.
    #[serde(default)]
    pub ahead_ms: u64,
    /// How many bytes the last pass sent, in which each service is quiet for its own part.
    #[serde(default)]
    pub last_bytes: u64,
    /// How long that pass took, in milliseconds.
    #[serde(default)]
    pub last_ms: u64,
    /// The longest that one service was quiet, in milliseconds.
    #[serde(default)]
    pub quiet_ms: u64,
    /// How long it took to read everything for the comparison, in milliseconds.
    #[serde(default)]
    pub fingerprint_ms: u64,
}

/// What became of one service in a rehearsal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RehearsedService {
    /// What was found of it: as in a drill, but that all services are restored at once.
    #[serde(flatten)]
    pub found: DrilledService,
    /// The databases and directories that are equal to the source's, which did not change there while they were copied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<String>,
    /// Those that are there and were not compared, as they changed at the source meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<String>,
}

/// What a rehearsal found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rehearsal {
    /// How it ended.
    pub outcome: DrillOutcome,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How large the tenant's state is, in bytes; known once all of it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How the source copied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied: Option<CopyTimes>,
    /// How long it took to put the state in place, once all of it had come, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ms: Option<u64>,
    /// How long it took to compare it, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare_ms: Option<u64>,
    /// How long the services took to start behind the fence and to answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_ms: Option<u64>,
    /// An estimate of how long the services would be away in the real move, in milliseconds: [`Rehearsal::estimate`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated_away_ms: Option<u64>,
    /// What became of each service.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, RehearsedService>)]
    pub services: BTreeMap<ServiceName, RehearsedService>,
    /// Whether nothing of the copy is left on the target's machine.
    pub emptied: bool,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
}

impl Default for Rehearsal {
    /// One of which nothing is known yet, and nothing is to be thrown away.
    fn default() -> Self {
        Self {
            outcome: DrillOutcome::Unfinished,
            problem: None,
            bytes: None,
            copied: None,
            restore_ms: None,
            compare_ms: None,
            start_ms: None,
            estimated_away_ms: None,
            services: BTreeMap::new(),
            emptied: true,
            ended_at: None,
        }
    }
}

impl Rehearsal {
    /// How long the services would be away in the real move, in milliseconds, as far as can be told: the last pass and the
    /// reading at the source, restoring, comparing and starting at the target. The switch of the source's machine is not
    /// rehearsed; it is taken to last as long as the start at the target. Nothing where one of them was not measured.
    pub fn estimate(&self) -> Option<u64> {
        let copied = self.copied?;
        let parts = [copied.last_ms, copied.fingerprint_ms, self.restore_ms?, self.compare_ms?];
        let start = self.start_ms?;
        Some(parts.into_iter().chain([start, start]).fold(0, u64::saturating_add))
    }

    /// Nothing will come of it any more; what it found itself matters more than `why`. One that has ended stays as it is: tells
    /// whether it had not.
    pub fn fail(&mut self, why: &str) -> bool {
        let fails = self.outcome == DrillOutcome::Unfinished;
        if fails {
            self.outcome = DrillOutcome::Failed;
            self.problem.get_or_insert_with(|| why.to_owned());
        }
        fails
    }

    /// The services that did not come up, each with why.
    pub fn problems(&self) -> Vec<String> {
        let bad =
            self.services.iter().filter_map(|(name, service)| Some((name, service.found.problem.as_ref()?)));
        bad.map(|(name, problem)| format!("{name}: {problem}")).collect()
    }

    /// What was found, for people, in lines.
    pub fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(copied) = self.copied {
            lines.push(format!(
                "{} bytes were sent; the last pass took {} ms, and no service was stopped for more than {} ms",
                copied.bytes_sent, copied.last_ms, copied.quiet_ms
            ));
        }
        for (name, service) in &self.services {
            lines.push(match &service.found.problem {
                Some(problem) => format!("{name} did not come up: {problem}"),
                None if service.found.ok => format!("{name} came up and answered"),
                None => format!("{name} was not asked"),
            });
            if !service.compared.is_empty() {
                lines.push(format!("{name}: equal to the source's: {}", service.compared.join(", ")));
            }
            if !service.not_compared.is_empty() {
                let parts = service.not_compared.join(", ");
                lines.push(format!("{name}: changed at the source meanwhile, so not compared: {parts}"));
            }
        }
        let times =
            [("restored", self.restore_ms), ("compared", self.compare_ms), ("started", self.start_ms)];
        let times = times.iter().filter_map(|(what, took)| Some(format!("{what} in {} ms", (*took)?)));
        let times: Vec<_> = times.collect();
        if !times.is_empty() {
            lines.push(times.join(", "));
        }
        if let Some(away) = self.estimated_away_ms {
            lines.push(format!(
                "an estimate: in the real move the services would be away for about {away} ms"
            ));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_counts_the_start_twice_and_is_made_of_what_was_measured_or_not_at_all() {
        let copied =
            CopyTimes { ahead_ms: 100_000, last_ms: 100, fingerprint_ms: 20, ..CopyTimes::default() };
        let mut rehearsal = Rehearsal {
            copied: Some(copied),
            restore_ms: Some(3),
            compare_ms: Some(4),
            start_ms: Some(1000),
            ..Rehearsal::default()
        };
        assert_eq!(rehearsal.estimate(), Some(2127));
        rehearsal.start_ms = None;
        assert_eq!(rehearsal.estimate(), None);
    }

    #[test]
    fn what_was_compared_and_what_was_not_is_both_told() {
        let service = RehearsedService {
            found: DrilledService { ok: true, ..DrilledService::default() },
            compared: vec!["the database a".into()],
            not_compared: vec!["the directory /b".into()],
        };
        let services = BTreeMap::from([("gitea".parse().unwrap(), service)]);
        let told = Rehearsal { services, ..Rehearsal::default() }.told().join("\n");
        assert!(told.contains("equal to the source's: the database a"), "{told}");
        assert!(told.contains("not compared: the directory /b"), "{told}");
        let text = serde_json::to_string(&Rehearsal::default()).unwrap();
        assert_eq!(serde_json::from_str::<Rehearsal>(&text).unwrap(), Rehearsal::default());
    }
}
