//! Checks every deployed tenant now and then, a bounded number at once.
//!
//! When a tenant is due stands in its row, so that daemons share the work and a restart repeats nothing. The times are spread
//! by a tenth of the interval, so that tenants that were deployed together are not checked together for ever.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::{TenantName, Timestamp};
use berth_store::StoreError;
use berth_store::conditions::Due;
use chrono::{TimeDelta, Utc};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::CheckError;
use crate::Engine;

/// How often it is looked who is due, at the most and at the least.
const LOOKS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

/// How many due tenants are read at once.
const BATCH: u32 = 100;

/// Checks whoever is due until the engine stops.
pub(crate) async fn check_all(engine: Engine) {
    let Some(every) = engine.shared.options.checks.every else { return };
    let places = Arc::new(Semaphore::new(engine.shared.options.checks.parallel));
    let stopping = engine.shared.stopping.clone();
    let pause = (every / 10).clamp(LOOKS.0, LOOKS.1);
    loop {
        let looked = stopping.run_until_cancelled(check_due(&engine, every, &places)).await;
        match looked {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "cannot tell which tenants are to be checked"),
        }
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

async fn check_due(engine: &Engine, every: Duration, places: &Arc<Semaphore>) -> Result<(), StoreError> {
    let records = &engine.shared.records;
    for (name, had_a_turn) in records.due_checks(due(every), BATCH).await? {
        if !had_a_turn {
            // Its deployment has proved it just now, or a thousand others are new as well.
            let due = due(every);
            records.claim_check(&name, due, after(due.now, every.mul_f64(0.1 + 0.9 * dice()))).await?;
            continue;
        }
        // Nobody closes it.
        let Ok(place) = Arc::clone(places).acquire_owned().await else { return Ok(()) };
        let due = due(every);
        if !records.claim_check(&name, due, next(due.now, every)).await? {
            continue;
        }
        let engine = engine.clone();
        let tasks = engine.shared.tasks.clone();
        tasks.spawn(async move {
            let stopping = engine.shared.stopping.clone();
            let checked = stopping.run_until_cancelled(check(&engine, &name)).await;
            if let Some(Err(error)) = checked {
                tracing::debug!(tenant = %name, %error, "not checked this time");
            }
            drop(place);
        });
    }
    Ok(())
}

async fn check(engine: &Engine, name: &TenantName) -> Result<(), CheckError> {
    let tenant = engine.shared.records.tenant(name).await?;
    let condition = engine.examine(&tenant).await?;
    Ok(engine.keep_condition(&tenant, &condition, None).await?)
}

/// Which checks are due now. Nobody sets one for later than an interval and a tenth from now; twice that leaves room for
/// daemons whose clocks differ.
fn due(every: Duration) -> Due {
    let now = Utc::now();
    Due { now, latest: after(now, every * 2) }
}

/// When a tenant is checked the next time: after the interval, give or take a tenth.
fn next(now: Timestamp, every: Duration) -> Timestamp {
    after(now, every.mul_f64(0.9 + 0.2 * dice()))
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    TimeDelta::from_std(wait).ok().and_then(|wait| now.checked_add_signed(wait)).unwrap_or(now)
}

/// Something between 0 and 1.
fn dice() -> f64 {
    // The last bytes of a UUID are random.
    let random = Uuid::now_v7();
    let [.., first, second] = *random.as_bytes();
    f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_spread_by_a_tenth_of_the_interval() {
        let now = Utc::now();
        let after: Vec<i64> =
            (0..100).map(|_| (next(now, Duration::from_secs(1000)) - now).num_seconds()).collect();
        assert!(after.iter().all(|seconds| (900..=1100).contains(seconds)), "{after:?}");
        assert!(after.iter().any(|seconds| *seconds != after[0]));
    }
}
