//! When an operation will probably end: from how long its steps took before.

use std::collections::BTreeMap;

use berth_domain::{Operation, OperationKind, StepName, StepStatus};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::records::Records;

impl crate::Engine {
    /// When an operation will probably end, if it has not.
    pub async fn eta(&self, operation: &Operation, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if operation.status.is_final() {
            return None;
        }
        Durations::load(&*self.shared.records, operation.kind).await.end_of(operation, now)
    }
}

/// How many earlier durations of each step are looked at.
const SAMPLES: u32 = 200;

/// Median durations of steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Durations {
    medians: BTreeMap<StepName, TimeDelta>,
}

impl Durations {
    /// From the operations of this kind that succeeded; empty where none did or the database fails, as an estimate
    /// is never worth an error.
    pub async fn load(records: &dyn Records, kind: OperationKind) -> Self {
        let samples = records.step_durations(kind, SAMPLES).await.unwrap_or_default();
        Self::of(samples)
    }

    fn of(samples: Vec<(StepName, i64)>) -> Self {
        let mut by_step: BTreeMap<StepName, Vec<i64>> = BTreeMap::new();
        for (step, milliseconds) in samples {
            // A clock that was set back meanwhile made it seem to end before it began.
            by_step.entry(step).or_default().push(milliseconds.max(0));
        }
        let median = |mut values: Vec<i64>| {
            values.sort_unstable();
            TimeDelta::milliseconds(values[values.len() / 2])
        };
        Self { medians: by_step.into_iter().map(|(step, values)| (step, median(values))).collect() }
    }

    /// When `operation` will probably end; unknown as soon as one of its open steps never ran before.
    pub fn end_of(&self, operation: &Operation, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let open = |status| matches!(status, StepStatus::Pending | StepStatus::Running | StepStatus::Unknown);
        let now = now.trunc_subsecs(3);
        operation.steps.iter().filter(|step| open(step.status)).try_fold(now, |end, step| {
            let median = *self.medians.get(&step.name)?;
            let spent = step.started_at.map_or(TimeDelta::zero(), |at| (now - at).max(TimeDelta::zero()));
            Some(end + (median - spent).max(TimeDelta::zero()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::OperationKind;

    #[test]
    fn an_estimate_is_the_sum_of_medians_and_unknown_without_them() {
        let now = Utc::now().trunc_subsecs(3);
        let operation = Operation::queued(
            "acme".parse().unwrap(),
            "vm1".parse().unwrap(),
            OperationKind::Deploy,
            false,
            "test".into(),
            now,
        );
        assert_eq!(Durations::default().end_of(&operation, now), None);
        let samples = OperationKind::Deploy
            .steps(false)
            .into_iter()
            .flat_map(|step| [(step, 5), (step, 1000), (step, 20)]);
        let end = Durations::of(samples.collect()).end_of(&operation, now).unwrap();
        assert_eq!(end - now, TimeDelta::milliseconds(7 * 20));
    }
}
