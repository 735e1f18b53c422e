//! What the provider does with all customers at once: rollouts, some of them at the same time, and second thoughts.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::rollout::{PlatformChoice, RolloutSpec, Selector, Share};
use berth_domain::{Rollout, RolloutId, RolloutStatus};
use berth_engine::ports::Clock as _;
use berth_engine::rollouts::{RolloutBatch, SelectError, Wish};
use tokio::time::{sleep, timeout};

use crate::script::{LIMIT, PATIENCE, Stage};
use crate::world::locked;

/// The platform that everybody is brought to when all is over.
const LAST: &str = "github:example/last";

impl Stage {
    /// A few rollouts, one after the other.
    pub async fn provider(self: Arc<Self>) {
        let dice = &self.world.dice;
        for _ in 0..dice.number(1..=2) {
            sleep(dice.millis(5000..=90_000)).await;
            let Some(id) = self.roll_out(self.wanted()).await else { continue };
            let watcher = dice.chance(0.5).then(|| tokio::spawn(Arc::clone(&self).watch_rollout(id)));
            self.have_second_thoughts(id).await;
            self.end_of_rollout(id).await;
            let seen = async move { if let Some(watcher) = watcher { watcher.await.is_ok() } else { true } };
            let seen = timeout(LIMIT, seen).await;
            self.world.laws.hold(seen.is_ok_and(|seen| seen), || format!("a watcher of {id} hangs"));
        }
    }

    /// What a rollout is asked for.
    #[allow(clippy::expect_used)]
    fn wanted(&self) -> RolloutSpec {
        let dice = &self.world.dice;
        let select = match dice.number(0..=5) {
            0 => Selector::Label("beta".parse().expect("a label")),
            1 => Selector::Service("gitea".parse().expect("a service")),
            2 => {
                let tables = locked(&self.world.tables);
                let mut names: Vec<_> =
                    tables.list_tenants().items.into_iter().map(|tenant| tenant.spec.name).collect();
                names.reverse();
                names.retain(|_| dice.chance(0.7));
                Selector::Tenants(names)
            }
            _ => Selector::All,
        };
        let usual = RolloutSpec::of(select);
        let waves = match dice.number(0..=3) {
            0 => vec![Share::Percent(50)],
            1 => vec![Share::Count(1), Share::Count(2)],
            _ => usual.waves.clone(),
        };
        let max_failures = match dice.number(0..=3) {
            0 => Share::Count(1),
            1 | 2 => Share::Percent(50),
            _ => usual.max_failures,
        };
        let platform = match dice.number(0..=4) {
            0 => None,
            1 => Some(PlatformChoice::Current),
            _ => Some(PlatformChoice::Flake(format!("github:example/v{}", dice.number(1..=3)))),
        };
        let parallel = dice.chance(0.3).then(|| dice.number(1..=2) as u32);
        RolloutSpec { waves, max_failures, platform, parallel, ..usual }
    }

    /// Asks one daemon after the other until one accepts; nothing where nobody is selected.
    async fn roll_out(&self, spec: RolloutSpec) -> Option<RolloutId> {
        let (world, dice) = (&self.world, &self.world.dice);
        let planned = loop {
            let (engine, _) = self.daemon().await;
            match timeout(PATIENCE, engine.plan_rollout(spec.clone(), "provider", world.now())).await {
                Ok(Ok(rollout)) => break Rollout { id: world.id(), ..rollout },
                Ok(Err(SelectError::Invalid(_))) => return None,
                Ok(Err(SelectError::Store(_))) | Err(_) => sleep(dice.millis(1..=1000)).await,
            }
        };
        // As long as nobody knows of it: an answer may be lost.
        while locked(&world.tables).rollout(planned.id).is_err() {
            let (engine, _) = self.daemon().await;
            let _ = timeout(PATIENCE, engine.submit_rollout(&planned, None)).await;
            sleep(dice.millis(1..=1000)).await;
        }
        Some(planned.id)
    }

    /// Pauses, goes on, aborts.
    async fn have_second_thoughts(&self, id: RolloutId) {
        let dice = &self.world.dice;
        while dice.chance(0.4) {
            sleep(dice.millis(0..=40_000)).await;
            let wish = match dice.number(0..=3) {
                0 => Wish::Abort { cancel_operations: dice.chance(0.5) },
                1 => Wish::Resume,
                _ => Wish::Pause,
            };
            self.wish(id, wish).await;
        }
        sleep(dice.millis(0..=60_000)).await;
        while self.rollout(id).status == RolloutStatus::Paused {
            self.wish(id, Wish::Resume).await;
            sleep(dice.millis(1..=1000)).await;
        }
    }

    /// Asks some daemon; once.
    async fn wish(&self, id: RolloutId, wish: Wish) {
        let (engine, _) = self.daemon().await;
        let _ = timeout(PATIENCE, engine.wish(id, wish, "provider", None)).await;
    }

    /// A rollout that is there.
    #[allow(clippy::expect_used)]
    fn rollout(&self, id: RolloutId) -> Rollout {
        locked(&self.world.tables).rollout(id).expect("a rollout that was written down")
    }

    /// Waits for a rollout's end; an operation may be without one as well.
    async fn end_of_rollout(&self, id: RolloutId) -> Rollout {
        let mut waited = Duration::ZERO;
        loop {
            let rollout = self.rollout(id);
            if rollout.status.is_final() || waited > LIMIT {
                return rollout;
            }
            sleep(Duration::from_secs(1)).await;
            waited += Duration::from_secs(1);
        }
    }

    /// Follows a rollout on one daemon after the other, and must see every event, once and in order.
    async fn watch_rollout(self: Arc<Self>, id: RolloutId) {
        let (world, mut last) = (&self.world, 0);
        loop {
            let (engine, life) = self.daemon().await;
            let mut follower = engine.follow_rollout(id, last);
            let leaves = tokio::time::Instant::now() + world.dice.millis(10..=60_000);
            loop {
                let batch = tokio::select! {
                    biased;
                    () = life.over() => break,
                    batch = tokio::time::timeout_at(leaves, follower.next()) => batch,
                };
                match batch {
                    Ok(Ok(Some(RolloutBatch::Events(events)))) => {
                        for event in events {
                            let seen = event.seq;
                            let law = || format!("{id}: {seen} was seen after {last}");
                            world.laws.hold(seen == last + 1, law);
                            last = seen;
                        }
                    }
                    Ok(Ok(Some(RolloutBatch::End) | None)) => {
                        let all = self.rollout(id).last_seq == last;
                        return world
                            .laws
                            .hold(all, || format!("{id}: a watcher was sent away after {last}"));
                    }
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            sleep(world.dice.millis(0..=2000)).await;
        }
    }

    /// After all of it: everybody is brought to one platform, wave by wave, which must succeed.
    pub async fn bring_everybody_along(&self) {
        let spec = RolloutSpec::of(Selector::All);
        let spec = RolloutSpec { platform: Some(PlatformChoice::Flake(LAST.into())), ..spec };
        let Some(id) = self.roll_out(spec).await else { return };
        let rollout = self.end_of_rollout(id).await;
        let succeeded = rollout.status == RolloutStatus::Succeeded;
        self.world.laws.hold(succeeded, || format!("nothing is in the way of {rollout:?}"));
        let tables = locked(&self.world.tables);
        let left: Vec<_> = tables
            .list_tenants()
            .items
            .into_iter()
            .filter(|tenant| tenant.platform.as_deref() != Some(LAST))
            .map(|tenant| tenant.spec.name)
            .collect();
        self.world.laws.hold(left.is_empty(), || format!("{left:?} were left behind"));
    }
}
