//! Backup plans: what is due, what was missed, what is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use berth_domain::{
    BackupDraft, BackupPlan, Operation, OperationKind, OperationStatus, TenantName, Timestamp,
};
use berth_engine::{BackupOptions, EngineOptions};
use berth_store::backups::NextDue;
use berth_store::{BackupRecord, OperationFilter};
use chrono::{SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::vaults::Pruning;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn options() -> EngineOptions {
    let backups = BackupOptions { every: Duration::from_millis(20) };
    EngineOptions { backups, ..EngineOptions::default() }
}

async fn stage() -> Stage {
    let stage = Stage::with(options()).await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    *stage.world.state.numbered.lock().unwrap() = true;
    stage
}

/// A plan of a night long ago or yet to come, unless `more` says otherwise.
fn plan(more: Value) -> BackupPlan {
    let mut draft = json!({"schedule": "0 0 29 2 *", "jitter_minutes": 0, "grace_minutes": 1440});
    for (key, value) in more.as_object().unwrap() {
        draft[key] = value.clone();
    }
    serde_json::from_value::<BackupDraft>(draft).unwrap().try_into().unwrap()
}

fn now() -> Timestamp {
    Utc::now().trunc_subsecs(3)
}

impl Stage {
    async fn plan(&self, more: Value, due_at: Timestamp) -> BackupRecord {
        let next = NextDue { snapshot: due_at, drill: None };
        self.store.create_backup_plan(&acme(), &plan(more), next, now()).await.unwrap()
    }

    /// Has the next snapshot be due now.
    async fn due_now(&self) {
        let stored = self.backups().await;
        let plan = &stored.backups.plan;
        let next = NextDue { snapshot: now(), drill: None };
        self.store.update_backup_plan(&acme(), plan, next, stored.version, now()).await.unwrap();
    }

    async fn backups(&self) -> BackupRecord {
        self.store.backup_plan(&acme()).await.unwrap()
    }

    /// Every operation of a kind that was asked for by a plan, oldest first.
    async fn by_plan(&self, kind: OperationKind) -> Vec<Operation> {
        let filter = OperationFilter { tenant: Some(acme()), status: None };
        let mut all = self.store.list_operations(&filter, None, 200).await.unwrap().items;
        all.reverse();
        all.retain(|operation| operation.kind == kind && operation.requested_by == "backup plan");
        all
    }

    /// The `number`th of these, once it has ended.
    async fn nth(&self, kind: OperationKind, number: usize) -> Operation {
        let waiting = async {
            loop {
                let found = self.by_plan(kind).await.into_iter().nth(number);
                match found.filter(|operation| operation.status.is_final()) {
                    Some(operation) => return operation,
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never comes")
    }

    /// Has everybody look several times.
    async fn a_while(&self) {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_is_due_is_begun_once_however_many_daemons_look() {
    let stage = stage().await;
    let others: Vec<_> = (0..3).map(|_| stage.another(options())).collect();
    others.iter().for_each(|other| other.start());
    // Due at the full minute, and some of them were.
    let every = json!({"schedule": "* * * * *"});
    let due = now() - TimeDelta::minutes(7);
    stage.plan(every.clone(), due).await;
    let made = stage.nth(OperationKind::Snapshot, 0).await;
    assert_eq!(made.status, OperationStatus::Succeeded, "{made:?}");
    let at = made.due_at.unwrap();
    assert_eq!(
        Some(at),
        plan(every).schedule.latest(&acme(), made.created_at),
        "of those that were due, the newest"
    );
    stage.a_while().await;
    let all = stage.by_plan(OperationKind::Snapshot).await;
    // The next minute may have begun meanwhile.
    let times: BTreeSet<Timestamp> = all.iter().filter_map(|one| one.due_at).collect();
    assert!(times.len() == all.len() && all.len() <= 2, "{all:?}");
    let (kept, _) = stage.store.snapshot(made.id).await.unwrap();
    assert_eq!(kept.due_at, Some(at));
    let backups = stage.backups().await.backups;
    assert_eq!(backups.last_whole.unwrap().snapshot, all.last().unwrap().id);
    assert!(backups.due_at > made.created_at);
    for other in others {
        other.stop().await;
    }
}

#[tokio::test]
async fn after_a_long_outage_what_was_missed_is_told_and_one_snapshot_is_made() {
    let stage = stage().await;
    let due = now() - TimeDelta::days(10);
    let hourly = json!({"schedule": "0 * * * *"});
    stage.plan(hourly.clone(), due).await;
    let missed = stage.nth(OperationKind::Snapshot, 0).await;
    let error = missed.error.clone().unwrap();
    assert_eq!((missed.status, error.code.as_str()), (OperationStatus::Failed, "backup-missed"));
    assert!(error.message.contains("no daemon was there"), "{}", error.message);
    assert_eq!(missed.due_at, Some(due));
    let (_, events) = stage.ended(missed.id).await;
    assert_eq!(events.last().unwrap().status, Some(OperationStatus::Failed));
    let made = stage.nth(OperationKind::Snapshot, 1).await;
    assert_eq!(made.status, OperationStatus::Succeeded, "{made:?}");
    assert_eq!(made.due_at, plan(hourly).schedule.latest(&acme(), made.created_at));
    stage.a_while().await;
    assert!(stage.by_plan(OperationKind::Snapshot).await.len() <= 3);
    assert_eq!(stage.backups().await.backups.failure, None, "a whole one has followed");
}

#[tokio::test]
async fn one_that_waits_for_another_operation_counts_as_missed_after_its_grace_and_begins_once_it_may() {
    let stage = stage().await;
    stage.world.hang("probe");
    let busy = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    // Two minutes ago, with a grace of one: that it waits is noted once, and names whom it waits for.
    let due = now() - TimeDelta::minutes(2);
    stage.plan(json!({"grace_minutes": 1}), due).await;
    let missed = stage.nth(OperationKind::Snapshot, 0).await;
    let message = missed.error.clone().unwrap().message;
    assert!(message.contains(&busy.to_string()), "{message}");
    stage.a_while().await;
    assert_eq!(stage.by_plan(OperationKind::Snapshot).await.len(), 1);
    let backups = stage.backups().await.backups;
    assert_eq!(backups.overdue_since(None, now()), Some(due));
    assert_eq!(backups.failure.as_ref().map(|failure| &*failure.code), Some("backup-missed"));
    let kinds: Vec<&str> = backups.findings(None, now()).iter().map(|finding| finding.kind.word()).collect();
    assert_eq!(kinds, ["backup-overdue", "backup-failed"]);
    stage.world.behave();
    stage.engine.cancel(busy, "test", None).await.unwrap();
    let made = stage.nth(OperationKind::Snapshot, 1).await;
    assert_eq!((made.status, made.due_at), (OperationStatus::Succeeded, Some(due)), "{made:?}");
    assert!(stage.backups().await.backups.findings(None, now()).is_empty());
}

#[tokio::test]
async fn one_that_fails_is_told_at_once_until_a_whole_one_follows_whoever_asked_for_it() {
    let stage = stage().await;
    stage.world.state.failing.lock().unwrap().extend(vec![vec!["mastodon"]; 6]);
    stage.plan(json!({}), now()).await;
    let failed = stage.nth(OperationKind::Snapshot, 0).await;
    assert_eq!(failed.status, OperationStatus::Failed);
    let backups = stage.backups().await.backups;
    let failure = backups.failure.clone().unwrap();
    assert_eq!((failure.operation, &*failure.code), (failed.id, "snapshot-incomplete"));
    assert_eq!(backups.last_whole, None);
    let found = backups.findings(None, now());
    assert!(found[0].message.contains("mastodon: it is sick"), "{found:?}");
    // The services that did not fail are in it nevertheless.
    assert_eq!(stage.store.snapshot(failed.id).await.unwrap().0.captured().count(), 1);
    let by_hand = stage.submit(OperationKind::Snapshot, false).await;
    assert_eq!(stage.ended(by_hand).await.0.status, OperationStatus::Succeeded);
    let backups = stage.backups().await.backups;
    assert_eq!(backups.failure, None);
    assert_eq!(backups.last_whole.unwrap().snapshot, by_hand);
}

#[tokio::test]
async fn nothing_is_made_or_missed_of_a_tenant_that_is_not_deployed() {
    let stage = Stage::with(options()).await;
    let due = now() - TimeDelta::days(10);
    stage.plan(json!({"schedule": "0 3 * * *"}), due).await;
    stage.a_while().await;
    assert!(stage.by_plan(OperationKind::Snapshot).await.is_empty());
    let backups = stage.backups().await.backups;
    assert!(backups.due_at > now() && backups.failure.is_none(), "{backups:?}");
}

#[tokio::test]
async fn what_a_plan_does_not_keep_goes_after_the_next_whole_snapshot_and_what_was_asked_for_stays() {
    let stage = stage().await;
    let by_hand = stage.submit(OperationKind::Snapshot, false).await;
    assert_eq!(stage.ended(by_hand).await.0.status, OperationStatus::Succeeded);
    stage.plan(json!({"keep": {"last": 1}}), now()).await;
    let first = stage.nth(OperationKind::Snapshot, 0).await;
    stage.a_while().await;
    assert!(stage.world.state.pruned.lock().unwrap().is_empty(), "nothing is superfluous yet");
    stage.due_now().await;
    let second = stage.nth(OperationKind::Snapshot, 1).await;
    let pruned = stage.nth(OperationKind::Prune, 0).await;
    assert_eq!(pruned.status, OperationStatus::Succeeded, "{pruned:?}");
    let (_, events) = stage.ended(pruned.id).await;
    let told = events.iter().any(|event| event.message == "1 snapshot forgotten, 30 bytes freed");
    assert!(told, "{events:#?}");
    // The services' parts, and with them the tenant's own.
    let own = format!("own-part-of-{}", first.id);
    let expected: BTreeSet<String> =
        ["2-quiesced-of-gitea", "2-quiesced-of-mastodon", &own].map(String::from).into();
    assert_eq!(*stage.world.state.pruned.lock().unwrap(), [expected]);
    assert!(stage.store.snapshot(first.id).await.is_err());
    for kept in [by_hand, second.id] {
        assert!(!stage.store.snapshot(kept).await.unwrap().0.forgetting);
    }
    stage.a_while().await;
    assert_eq!(stage.by_plan(OperationKind::Prune).await.len(), 1);
}

#[tokio::test]
async fn a_daemon_that_ends_while_it_forgets_is_followed_and_what_is_going_cannot_be_brought_back() {
    let mut stage = stage().await;
    stage.plan(json!({"keep": {"last": 1}}), now()).await;
    let first = stage.nth(OperationKind::Snapshot, 0).await;
    *stage.world.state.pruning.lock().unwrap() = Pruning::Waits;
    stage.due_now().await;
    stage.nth(OperationKind::Snapshot, 1).await;
    stage.until(|world| !world.state.pruned.lock().unwrap().is_empty()).await;
    assert!(stage.store.snapshot(first.id).await.unwrap().0.forgetting);
    // Another tenant that wants a copy waits until nothing is removed any more, and this one is gone.
    stage.settle("bolt", "vm2").await;
    let deployed = stage.submit_of("bolt", "vm2", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(deployed).await.0.status, OperationStatus::Succeeded);
    let copy = Operation::queued(
        "bolt".parse().unwrap(),
        "vm2".parse().unwrap(),
        OperationKind::Restore,
        false,
        "test".into(),
        now(),
    );
    let copy = Operation { snapshot: Some(first.id), ..copy };
    stage.engine.submit(&copy, None).await.unwrap();
    stage.a_while().await;
    assert_eq!(stage.store.operation(copy.id).await.unwrap().status, OperationStatus::Running);
    stage.restart().await;
    *stage.world.state.pruning.lock().unwrap() = Pruning::Works;
    let pruned = stage.nth(OperationKind::Prune, 0).await;
    assert_eq!(pruned.status, OperationStatus::Succeeded, "{pruned:?}");
    assert!(stage.store.snapshot(first.id).await.is_err());
    let asked = stage.world.state.pruned.lock().unwrap().clone();
    assert!(asked.len() >= 2 && asked.iter().all(|parts| *parts == asked[0]), "{asked:?}");
    let (copy, _) = stage.ended(copy.id).await;
    assert_eq!(copy.error.unwrap().code, "snapshot-gone");
    assert_eq!(stage.world.count("restore"), 0);
}

#[tokio::test]
async fn what_could_not_be_removed_is_told_and_goes_the_next_time() {
    let stage = stage().await;
    *stage.world.state.pruning.lock().unwrap() = Pruning::Fails;
    stage.plan(json!({"keep": {"last": 1}}), now()).await;
    let first = stage.nth(OperationKind::Snapshot, 0).await;
    stage.due_now().await;
    stage.nth(OperationKind::Snapshot, 1).await;
    let pruned = stage.nth(OperationKind::Prune, 0).await;
    assert_eq!(pruned.error.unwrap().code, "prune-failed");
    let backups = stage.backups().await;
    let found = backups.backups.findings(None, now());
    assert!(found[0].message.contains("the disk is full"), "{found:?}");
    assert!(backups.tidy_at.unwrap() > now() + TimeDelta::minutes(50), "not again and again");
    *stage.world.state.pruning.lock().unwrap() = Pruning::Works;
    stage.due_now().await;
    stage.nth(OperationKind::Snapshot, 2).await;
    let pruned = stage.nth(OperationKind::Prune, 1).await;
    assert_eq!(pruned.status, OperationStatus::Succeeded, "{pruned:?}");
    assert!(stage.store.snapshot(first.id).await.is_err());
    assert_eq!(stage.backups().await.backups.prune_failure, None);
}

#[tokio::test]
async fn a_snapshot_goes_when_it_is_asked_for_but_the_newest_whole_one_never() {
    let stage = stage().await;
    let mut made = Vec::new();
    for _ in 0..2 {
        let id = stage.submit(OperationKind::Snapshot, false).await;
        assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
        made.push(id);
    }
    let forget = async |id| {
        let (tenant, machine) = (acme(), "vm1".parse().unwrap());
        let operation = Operation::queued(tenant, machine, OperationKind::Prune, false, "test".into(), now());
        let operation = Operation { snapshot: Some(id), ..operation };
        stage.engine.submit(&operation, None).await.unwrap();
        stage.ended(operation.id).await.0
    };
    let newest = forget(made[1]).await;
    assert_eq!(newest.error.unwrap().code, "newest-snapshot");
    let older = forget(made[0]).await;
    assert_eq!(older.status, OperationStatus::Succeeded, "{older:?}");
    assert!(stage.store.snapshot(made[0]).await.is_err());
    assert!(stage.store.snapshot(made[1]).await.is_ok());
}
