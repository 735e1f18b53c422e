//! Evaluates tenants of a wave together, before their operations ask for it: what they share is evaluated once.
//!
//! Nothing depends on it. An operation that does not find its evaluation here (the tenant was changed meanwhile, another
//! daemon runs it, the batch failed) evaluates by itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use berth_domain::{RevisionId, Rollout, TenantName};
use berth_render::{PlatformPin, Rendered};
use berth_store::StoreError;
use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::error::StepError;
use crate::hub::locked;
use crate::ports::{Bounds, Evaluated};

/// How many tenants are evaluated at a time. Memory grows with each, by what is its own.
pub(super) const CHUNK: usize = 16;

/// The fewest tenants that are worth a process of their own: what tenants share is evaluated in each.
const FEWEST: usize = 4;

/// How many evaluations are remembered; each has a few hundred bytes.
const REMEMBERED: usize = 4096;

/// The code of a failure that is a configuration's own.
const EVALUATION_FAILED: &str = "evaluation-failed";

/// What was evaluated ahead.
#[derive(Default)]
pub(crate) struct Evaluations(Mutex<HashMap<RevisionId, Evaluated>>);

impl super::Fleet {
    /// What evaluating a revision ahead came to.
    pub(crate) fn evaluated(&self, revision: &RevisionId) -> Option<Evaluated> {
        locked(&self.evaluations.0).get(revision).cloned()
    }

    /// Keeps what a revision comes to for whoever deploys it.
    pub(crate) fn remember(&self, evaluated: impl IntoIterator<Item = (RevisionId, Evaluated)>) {
        let mut known = locked(&self.evaluations.0);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.extend(evaluated);
    }
}

/// A batch: tenants' configurations for one platform, by the tenant's name.
type Batch = BTreeMap<String, Rendered>;

impl Shared {
    /// Evaluates some tenants of a rollout.
    ///
    /// # Errors
    /// What failed but is no configuration's own fault; nothing is lost by it.
    pub(super) async fn evaluate_ahead(
        &self,
        rollout: &Rollout,
        tenants: &[TenantName],
        cancel: &CancellationToken,
    ) -> Result<(), StepError> {
        let bounds = Bounds { cancel: cancel.clone(), timeout: self.options.timeouts.evaluate };
        for (pin, batch) in self.batches(rollout, tenants, &bounds).await? {
            let pin: PlatformPin =
                pin.parse().map_err(|error| StepError::failed("platform", format!("{error}")))?;
            let parts = divided(batch, self.builder.evaluators()).into_iter();
            try_join_all(parts.map(|part| self.evaluate_halving(part, &pin, &bounds))).await?;
        }
        Ok(())
    }

    /// What is to be evaluated, by platform: tenants that do not change need no evaluation.
    async fn batches(
        &self,
        rollout: &Rollout,
        tenants: &[TenantName],
        bounds: &Bounds,
    ) -> Result<BTreeMap<String, Batch>, StepError> {
        let current = self.builder.platform(bounds).await?;
        let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
        for name in tenants {
            let record = match self.records.tenant(name).await {
                Ok(record) => record,
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let platform = self.platform_for(name, Some(rollout.id), current.clone(), bounds).await;
            let Ok(platform) = platform else { continue };
            let rendered = self.render(&platform, &record.spec.machine, Some(&record.spec)).await?;
            if record.deployed_revision.as_ref() != Some(&rendered.id) {
                batches.entry(platform.pin).or_default().insert(name.to_string(), rendered);
            }
        }
        Ok(batches)
    }

    /// A configuration that cannot be evaluated fails its whole batch: the halves are tried until it is alone, and is then
    /// left to its own operation, which says what is wrong with it.
    async fn evaluate_halving(
        &self,
        batch: Batch,
        pin: &PlatformPin,
        bounds: &Bounds,
    ) -> Result<(), StepError> {
        let mut open = vec![batch];
        while let Some(mut batch) = open.pop() {
            if batch.len() < 2 {
                continue;
            }
            match self.builder.evaluate_batch(self.clock.id(), &batch, pin, bounds).await {
                Ok(found) => self.fleet.remember(found.into_iter().filter_map(|(name, evaluated)| {
                    batch.get(&name).map(|rendered| (rendered.id.clone(), evaluated))
                })),
                Err(StepError::Failed(failure)) if failure.code == EVALUATION_FAILED => {
                    if let Some(middle) = batch.keys().nth(batch.len() / 2).cloned() {
                        let half = batch.split_off(&middle);
                        open.extend([half, batch]);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The parts of a batch that are evaluated at the same time.
fn divided<T>(mut batch: BTreeMap<String, T>, evaluators: usize) -> Vec<BTreeMap<String, T>> {
    let parts = (batch.len() / FEWEST).clamp(1, evaluators.max(1));
    let size = batch.len().div_ceil(parts);
    let mut divided = Vec::with_capacity(parts);
    while let Some(next) = batch.keys().nth(size).cloned() {
        let rest = batch.split_off(&next);
        divided.push(std::mem::replace(&mut batch, rest));
    }
    divided.push(batch);
    divided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_divided_among_processors_where_that_saves_time() {
        for (members, evaluators, sizes) in [
            (0, 2, &[0_usize] as &[usize]),
            (1, 2, &[1]),
            (7, 2, &[7]),
            (8, 2, &[4, 4]),
            (15, 2, &[8, 7]),
            (16, 1, &[16]),
            (16, 64, &[4, 4, 4, 4]),
        ] {
            let batch: BTreeMap<String, ()> =
                (0..members).map(|number| (format!("{number:02}"), ())).collect();
            let divided = divided(batch.clone(), evaluators);
            assert_eq!(
                divided.iter().map(BTreeMap::len).collect::<Vec<_>>(),
                sizes,
                "{members} on {evaluators}"
            );
            assert_eq!(divided.into_iter().flatten().collect::<BTreeMap<_, _>>(), batch);
        }
    }
}
