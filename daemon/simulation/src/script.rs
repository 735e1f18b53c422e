//! What people do and what befalls the world.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::{
    MachineDraft, MachineSpec, Operation, OperationId, OperationKind, OperationStatus, TenantDraft,
    TenantName, TenantSpec,
};
use berth_engine::ports::Clock as _;
use berth_engine::{Batch, Engine};
use serde_json::json;

use crate::life::Life;
use crate::machine::Machine;
use crate::replica::Replica;
use crate::weather::Weakness;
use crate::world::{World, locked};

/// How long a caller waits for a daemon before it tries another one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The name of a setting with which nothing can be evaluated.
pub const UNSOUND: &str = "Unsound";

/// How long an operation may take that nothing disturbs any more.
pub(crate) const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// A world with its daemons.
pub struct Stage {
    /// The world.
    pub world: Arc<World>,
    /// Its daemons.
    pub replicas: Vec<Arc<Replica>>,
}

/// A machine as it is registered.
///
/// # Panics
/// Never: the draft is sound.
#[allow(clippy::expect_used)]
pub fn machine(name: &str) -> MachineSpec {
    let host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
    let draft = MachineDraft {
        name: name.into(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: host_key.into(),
        driver: None,
    };
    draft.try_into().expect("a sound machine")
}

/// A tenant in one of its versions.
///
/// # Panics
/// Never: the draft is sound.
#[allow(clippy::expect_used)]
pub fn tenant(name: &str, machine: &str, version: u64) -> TenantSpec {
    let draft = json!({
        "name": name, "domain": format!("{name}.example"), "contact_email": "a@b.example",
        "machine": machine, "labels": labels(name), "services": {"gitea": {"app_name": app_name(version)}}
    });
    let draft: TenantDraft = serde_json::from_value(draft).expect("a sound draft");
    draft.try_into().expect("a sound tenant")
}

/// The version of a tenant that cannot be deployed.
const UNSOUND_VERSION: u64 = 1000;

fn app_name(version: u64) -> String {
    if version >= UNSOUND_VERSION { UNSOUND.into() } else { format!("Git {version}") }
}

/// Half of all tenants have a label.
fn labels(name: &str) -> &'static [&'static str] {
    let last = name.bytes().last().unwrap_or_default();
    if last.is_multiple_of(2) { &["beta"] } else { &[] }
}

impl Stage {
    /// A daemon that runs; waits for one.
    pub(crate) async fn daemon(&self) -> (Engine, Life) {
        loop {
            let replica = &self.replicas[self.world.dice.below(self.replicas.len())];
            match replica.running() {
                Some(running) => return running,
                None => tokio::time::sleep(self.world.dice.millis(50..=500)).await,
            }
        }
    }

    /// One customer: a machine, a tenant, and a few operations one after the other.
    pub async fn customer(self: Arc<Self>, number: usize) {
        let (world, name, host) = (&self.world, format!("t{number}"), format!("m{number}"));
        let machine = machine(&host);
        locked(&world.tables).create_machine(&machine, world.now());
        locked(&world.machines).insert(machine.name.clone(), Machine::new(world, &machine.name));
        let mut version = 0;
        let (mut wishes, mut wants_back) = (world.dice.number(1..=3), false);
        while wishes > 0 {
            wishes -= 1;
            tokio::time::sleep(world.dice.millis(0..=20_000)).await;
            self.settle(&name, &host, &mut version);
            let may_restore = self.is_deployed(&name) && self.has_a_snapshot(&name);
            let kind = match world.dice.number(0..=11) {
                _ if wants_back && may_restore => OperationKind::Restore,
                0 | 1 => OperationKind::Destroy,
                2 => OperationKind::Preview,
                3 | 4 if self.is_deployed(&name) => OperationKind::Snapshot,
                5..=9 if may_restore => OperationKind::Restore,
                5 if self.is_deployed(&name) => OperationKind::Snapshot,
                _ => OperationKind::Deploy,
            };
            // Half of those who made a snapshot want it back at once.
            wants_back = kind == OperationKind::Snapshot && world.dice.chance(0.5);
            wishes += u64::from(wants_back);
            let id = self.submit(&name, &host, kind).await;
            let watchers = (0..world.dice.number(0..=2)).map(|_| tokio::spawn(Arc::clone(&self).watch(id)));
            let watchers: Vec<_> = watchers.collect();
            if world.dice.chance(world.weather().cancel) {
                tokio::time::sleep(world.dice.millis(0..=30_000)).await;
                self.cancel(id).await;
            }
            self.end_of(id).await;
            for watcher in watchers {
                let seen = tokio::time::timeout(LIMIT, watcher).await;
                world.laws.hold(seen.is_ok_and(|seen| seen.is_ok()), || format!("a watcher of {id} hangs"));
            }
        }
    }

    fn is_deployed(&self, name: &str) -> bool {
        let tables = locked(&self.world.tables);
        let there = name.parse().ok().and_then(|name| tables.tenant(&name).ok());
        there.is_some_and(|tenant| tenant.deployed_system.is_some())
    }

    fn has_a_snapshot(&self, name: &str) -> bool {
        let tables = locked(&self.world.tables);
        name.parse().is_ok_and(|name| tables.newest_snapshot(&name).is_some())
    }

    /// Creates the tenant where there is none, or changes it now and then.
    fn settle(&self, name: &str, machine: &str, version: &mut u64) {
        let world = &self.world;
        let mut tables = locked(&world.tables);
        let unsound = tenant(name, machine, UNSOUND_VERSION);
        let there = name.parse().is_ok_and(|name: TenantName| tables.tenant(&name).is_ok());
        if !there {
            tables.create_tenant(&tenant(name, machine, *version), world.now());
        } else if world.dice.chance(0.7) || tables.is_spec(&unsound) {
            *version += 1;
            tables.update_tenant(&tenant(name, machine, *version));
        }
        if world.dice.chance(world.weather().unsound) {
            tables.update_tenant(&unsound);
        }
    }

    /// Asks one daemon after the other until one accepts.
    #[allow(clippy::expect_used)]
    async fn submit(&self, tenant: &str, machine: &str, kind: OperationKind) -> OperationId {
        let world = &self.world;
        let now = world.now();
        let wipe = kind == OperationKind::Destroy && world.dice.chance(0.5);
        let previewed = self::tenant(tenant, machine, world.dice.number(0..=9));
        let (tenant, machine) = (tenant.parse().expect("a name"), machine.parse().expect("a name"));
        let operation = Operation::queued(tenant, machine, kind, wipe, "customer".into(), now);
        let id = world.id();
        let snapshot = match kind {
            OperationKind::Snapshot => Some(id),
            OperationKind::Restore => locked(&world.tables).newest_snapshot(&operation.tenant),
            _ => None,
        };
        let operation = Operation { id, snapshot, ..operation };
        // As long as nobody knows of it: an answer may be lost.
        while locked(&world.tables).operation(operation.id).is_err() {
            let (engine, _) = self.daemon().await;
            let submitting = async {
                match kind {
                    OperationKind::Preview => engine.submit_preview(&operation, &previewed, None).await,
                    _ => engine.submit(&operation, None).await,
                }
            };
            let _ = tokio::time::timeout(PATIENCE, submitting).await;
            tokio::time::sleep(world.dice.millis(1..=1000)).await;
        }
        operation.id
    }

    /// Asks some daemon to cancel; once.
    pub(crate) async fn cancel(&self, id: OperationId) {
        let (engine, _) = self.daemon().await;
        let _ = tokio::time::timeout(PATIENCE, engine.cancel(id, "customer", None)).await;
    }

    /// Waits for an operation's end.
    async fn end_of(&self, id: OperationId) -> OperationStatus {
        let mut waited = Duration::ZERO;
        loop {
            let status = locked(&self.world.tables).operation(id).map(|operation| operation.status);
            match status {
                Ok(status) if status.is_final() || waited > LIMIT => return status,
                _ => tokio::time::sleep(Duration::from_secs(1)).await,
            }
            waited += Duration::from_secs(1);
        }
    }

    /// Follows an operation on one daemon after the other, and must see every event, once and in order.
    async fn watch(self: Arc<Self>, id: OperationId) {
        let (world, mut last) = (&self.world, 0);
        loop {
            let (engine, life) = self.daemon().await;
            let mut follower = engine.follow(id, last);
            let leaves = tokio::time::Instant::now() + world.dice.millis(10..=60_000);
            loop {
                let next = tokio::time::timeout_at(leaves, follower.next());
                let batch = tokio::select! {
                    biased;
                    () = life.over() => break,
                    batch = next => batch,
                };
                match batch {
                    Ok(Ok(Some(Batch::Events(events)))) => {
                        for event in events {
                            let seen = event.seq;
                            world
                                .laws
                                .hold(seen == last + 1, || format!("{id}: {seen} was seen after {last}"));
                            last = seen;
                        }
                    }
                    Ok(Ok(Some(Batch::Gap { .. }))) => world.laws.hold(false, || format!("{id} has a gap")),
                    Ok(Ok(Some(Batch::End) | None)) => {
                        let there = locked(&world.tables).operation(id).map(|there| there.last_seq);
                        let all = there.is_ok_and(|there| there == last);
                        return world
                            .laws
                            .hold(all, || format!("{id}: a watcher was sent away after {last}"));
                    }
                    Ok(Err(_)) | Err(_) => break,
                }
            }
            tokio::time::sleep(world.dice.millis(0..=2000)).await;
        }
    }

    /// What befalls the world until it calms down.
    pub async fn befall(self: Arc<Self>) {
        let (world, dice) = (&self.world, &self.world.dice);
        loop {
            tokio::time::sleep(dice.millis(1000..=5000)).await;
            if !world.fault(world.weather().incident) {
                continue;
            }
            let machines: Vec<_> = locked(&world.machines).values().cloned().collect();
            if world.weakness == Some(Weakness::MachinesForgetTimers) {
                // A timer matters only where nobody reaches the machine for long after a switch.
                if !machines.is_empty() {
                    machines[dice.below(machines.len())].cut(dice.millis(30_000..=600_000));
                }
                continue;
            }
            let replica = Arc::clone(&self.replicas[dice.below(self.replicas.len())]);
            let life = replica.running().map(|(_, life)| life);
            match (dice.number(0..=6), life) {
                (0..=2, _) if machines.is_empty() => {}
                (0, _) => machines[dice.below(machines.len())].reboot(dice.millis(2000..=40_000)),
                (1, _) => machines[dice.below(machines.len())].cut(dice.millis(500..=60_000)),
                (2, _) => machines[dice.below(machines.len())].fill(dice.millis(1000..=60_000)),
                (3, Some(life)) => life.kill(),
                (4, Some(life)) => life.freeze(dice.millis(500..=30_000)),
                (5, Some(life)) => life.cut_off(dice.millis(500..=40_000)),
                (_, Some(_)) => drop(tokio::spawn(async move { replica.stop().await })),
                (_, None) => {}
            }
        }
    }

    /// After all of it: whoever is still there is deployed once more, which must succeed.
    pub async fn set_right(&self, customers: usize) {
        for number in 0..customers {
            let (name, host) = (format!("t{number}"), format!("m{number}"));
            self.settle(&name, &host, &mut 0);
            let id = self.submit(&name, &host, OperationKind::Deploy).await;
            let status = self.end_of(id).await;
            let succeeded = status == OperationStatus::Succeeded;
            let told = || locked(&self.world.tables).events(id, 0, 1000).map(|page| page.events);
            self.world.laws.hold(succeeded, || format!("{id} did not set {name} right: {:#?}", told()));
        }
    }
}
