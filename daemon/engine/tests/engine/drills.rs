//! Drills: a snapshot is tried out on a machine that is lent for it, and nothing of that stays.

use std::time::Duration;

use berth_domain::manifest::ServiceManifest;
use berth_domain::{
    BackupDraft, BackupPlan, Drill, DrillOutcome, MachineDraft, MachineSpec, Operation, OperationId,
    OperationKind, OperationStatus, StepName, StepStatus, TenantName,
};
use berth_engine::{BackupOptions, EngineOptions};
use berth_store::backups::NextDue;
use berth_store::{OperationFilter, StoreError};
use chrono::{SubsecRound as _, TimeDelta, Utc};
use serde_json::json;

use crate::stage::Stage;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn options() -> EngineOptions {
    EngineOptions { backups: BackupOptions { every: Duration::from_millis(20) }, ..EngineOptions::default() }
}

/// A deployed tenant with a whole snapshot of two services, and a machine that is free.
async fn stage() -> Stage {
    stage_with(options()).await
}

async fn stage_with(options: EngineOptions) -> Stage {
    with_a_snapshot(Stage::with(options).await).await
}

async fn with_a_snapshot(stage: Stage) -> Stage {
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    let id = stage.submit(OperationKind::Snapshot, false).await;
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
    stage.register("spare").await;
    let services = ["gitea", "mastodon"].map(|name| (name.parse().unwrap(), described(name)));
    *stage.world.services.lock().unwrap() = services.into();
    stage.world.done.lock().unwrap().clear();
    stage.world.state.done.lock().unwrap().clear();
    stage
}

/// A service with a database, and a secret that it made of chance.
pub fn described(name: &str) -> ServiceManifest {
    let secret = json!({"name": "key", "purpose": "Signs.", "path": "/key", "owner": "root", "group": "root",
        "mode": "0400", "readers": [], "loss": "data", "generate": {"kind": "hex", "bytes": 32}});
    let described = json!({"title": name, "url": "http://x/", "units": [], "probes": [],
        "state": {"databases": [name]}, "secrets": [secret]});
    serde_json::from_value(described).unwrap()
}

impl Stage {
    pub async fn register(&self, name: &str) {
        let known = self.store.machine(&"vm1".parse().unwrap()).await.unwrap().spec;
        let draft = MachineDraft { name: name.into(), ..known.into() };
        self.store.create_machine(&MachineSpec::try_from(draft).unwrap(), Utc::now(), None).await.unwrap();
    }

    async fn drill(&self, machine: &str) -> Result<OperationId, StoreError> {
        let snapshot = self.store.newest_whole_snapshot(&acme()).await?;
        let machine = machine.parse().unwrap();
        let operation =
            Operation::queued(acme(), machine, OperationKind::Drill, false, "test".into(), Utc::now());
        let operation = Operation { snapshot: Some(snapshot.id), ..operation };
        self.engine.submit_drill(&operation, &snapshot, None).await?;
        Ok(operation.id)
    }

    pub async fn drilled(&self) -> (Operation, Drill) {
        let id = self.drill("spare").await.unwrap();
        let (operation, _) = self.ended(id).await;
        (operation, self.store.drill(id).await.unwrap().drill)
    }

    async fn is_free(&self) -> bool {
        self.store.machine(&"spare".parse().unwrap()).await.unwrap().lent_to.is_none()
    }

    /// What machines were asked to bring back.
    fn restored(&self) -> Vec<String> {
        self.world.state.done.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn each_service_comes_back_by_itself_and_then_the_machine_is_emptied() {
    let stage = stage().await;
    let deployed = stage.store.tenant(&acme()).await.unwrap();
    let (operation, drill) = stage.drilled().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let one_by_one = ["restore gitea=quiesced-of-gitea", "restore mastodon=quiesced-of-mastodon"];
    assert_eq!(stage.restored(), one_by_one);
    assert_eq!(drill.outcome, DrillOutcome::Passed);
    assert!(
        drill.emptied && drill.recovery_ms.is_some() && drill.recovery_point_seconds.is_some(),
        "{drill:?}"
    );
    for (name, service) in &drill.services {
        assert!(service.ok && service.rows[name.as_str()] == 2, "{service:?}");
        assert_eq!(service.left_out, ["the secret key, which was made anew"]);
    }
    // First the state goes, then the system, which is another one than that which was tried.
    let done = stage.world.done.lock().unwrap().clone();
    let tried = operation.system.clone().unwrap();
    let at =
        |what: &str| done.iter().position(|done| done == what).unwrap_or_else(|| panic!("{what}: {done:#?}"));
    assert!(
        at(&format!("commit {tried}")) < at("probe") && at("probe") < at(&format!("wipe {tried}")),
        "{done:#?}"
    );
    let vacant = stage.machine().committed.unwrap();
    assert!(vacant != tried && at(&format!("wipe {tried}")) < at(&format!("commit {vacant}")), "{done:#?}");
    assert!(done.iter().any(|done| done == "release-machine"), "{done:#?}");
    assert!(stage.is_free().await);
    // Of the tenant nothing was changed, nor written down.
    assert_eq!(stage.store.tenant(&acme()).await.unwrap(), deployed);
    assert_eq!(stage.store.list_revisions(&acme(), None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn secrets_come_back_with_their_service_and_those_that_no_snapshot_holds_are_told() {
    let stage = Stage::with(options()).await;
    *stage.world.state.made.lock().unwrap() = Some(Ok(("gitea", "key")));
    let stage = with_a_snapshot(stage).await;
    let (operation, drill) = stage.drilled().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let (gitea, mastodon) = (&drill.services["gitea"], &drill.services["mastodon"]);
    assert_eq!((gitea.secrets.concat().as_str(), gitea.left_out.len()), ("key", 0));
    assert!(mastodon.secrets.is_empty());
    assert_eq!(mastodon.left_out, ["the secret key, which was made anew"]);
    let asked = stage.world.state.secrets.lock().unwrap().clone();
    let services: Vec<_> =
        asked.iter().flatten().filter_map(|asked| asked.services.clone()).flatten().collect();
    assert_eq!(services.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["gitea", "mastodon"]);
}

#[tokio::test]
async fn one_that_is_damaged_or_sick_is_told_and_the_others_are_tried() {
    let stage = stage().await;
    stage.world.state.damaged.lock().unwrap().insert("gitea");
    let (operation, drill) = stage.drilled().await;
    let error = operation.error.clone().unwrap();
    assert_eq!((error.code.as_str(), &*error.message), ("drill-failed", "gitea: a pack of gitea is damaged"));
    assert_eq!(stage.restored(), ["restore mastodon=quiesced-of-mastodon"]);
    assert_eq!((drill.outcome, drill.recovery_ms, drill.emptied), (DrillOutcome::Failed, None, true));
    assert!(!drill.services["gitea"].ok && drill.services["mastodon"].ok, "{drill:?}");
    assert_eq!(drill.error, Some(error));
    assert!(stage.is_free().await);

    stage.world.state.damaged.lock().unwrap().clear();
    stage.world.sick.lock().unwrap().insert("mastodon");
    let (operation, drill) = stage.drilled().await;
    assert_eq!(operation.error.unwrap().message, "mastodon: mastodon.service is failed");
    assert!(drill.services["gitea"].ok && !drill.services["mastodon"].ok, "{drill:?}");
    assert_eq!(stage.world.count("wipe"), 2);
}

#[tokio::test]
async fn however_it_ends_the_machine_is_emptied_and_what_was_never_touched_is_left_alone() {
    let stage = stage().await;
    stage.world.fail_once("evaluate");
    let (operation, drill) = stage.drilled().await;
    assert_eq!((operation.status, drill.emptied), (OperationStatus::Failed, true));
    assert_eq!((stage.world.count("wipe"), stage.world.count("activate")), (0, 0));

    for what in ["activate", "commit", "restore", "probe", "fingerprint"] {
        stage.world.done.lock().unwrap().clear();
        stage.world.fail_once(what);
        // A service that fails is asked for once more, and so is a commit.
        let (operation, drill) = stage.drilled().await;
        let passes = ["commit", "restore"].contains(&what) && operation.status == OperationStatus::Succeeded;
        assert!(passes || operation.status == OperationStatus::Failed, "{what}: {operation:?}");
        assert!(drill.emptied && stage.is_free().await, "{what}: {drill:?}");
        assert_eq!(stage.world.count("wipe"), 1, "{what}");
    }
    // Emptying is tried until it is done.
    for what in ["wipe", "evaluate"] {
        stage.world.fail("probe");
        let id = stage.drill("spare").await.unwrap();
        stage.world.pause("wipe");
        stage.until(|world| world.count("wipe") > 0).await;
        stage.world.fail_once(what);
        stage.world.behave();
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Failed);
        assert!(stage.is_free().await, "{what}");
        stage.world.done.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a_wish_to_stop_is_heard_and_the_machine_emptied_before_it_ends() {
    let stage = stage().await;
    stage.world.hang("probe");
    let id = stage.drill("spare").await.unwrap();
    stage.until_waiting_in(id, StepName::Verify).await;
    stage.engine.cancel(id, "test", None).await.unwrap();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled, "{operation:?}");
    let drill = stage.store.drill(id).await.unwrap().drill;
    assert_eq!((drill.outcome, drill.emptied), (DrillOutcome::Cancelled, true));
    assert_eq!(stage.world.count("wipe"), 1);
}

#[tokio::test]
async fn a_successor_goes_on_behind_what_was_tried_and_empties_what_was_to_be_emptied() {
    let mut stage = stage().await;
    stage.world.hang("probe");
    let id = stage.drill("spare").await.unwrap();
    stage.until_waiting_in(id, StepName::Verify).await;
    stage.restart().await;
    stage.world.behave();
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.restored().len(), 2, "nothing is brought back twice");

    for step in ["wipe", "activate"] {
        stage.world.done.lock().unwrap().clear();
        let id = stage.drill("spare").await.unwrap();
        stage.until(|world| world.count("fingerprint") > 0).await;
        stage.world.pause(step);
        stage.until_waiting_in(id, StepName::Empty).await;
        stage.restart().await;
        stage.world.behave();
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{step}: {operation:?}");
        let verify = operation.step(StepName::Verify).map(|step| step.status);
        assert_eq!((verify, stage.is_free().await), (Some(StepStatus::Succeeded), true), "{step}");
    }
}

#[tokio::test]
async fn a_drill_and_the_tenants_own_operations_do_not_wait_for_each_other() {
    let stage = stage().await;
    stage.world.hang("fingerprint");
    let id = stage.drill("spare").await.unwrap();
    stage.until_waiting_in(id, StepName::Verify).await;
    let beside = stage.submit(OperationKind::Snapshot, false).await;
    assert_eq!(stage.ended(beside).await.0.status, OperationStatus::Succeeded);
    stage.register("other").await;
    let second = stage.drill("other").await.unwrap_err();
    assert!(matches!(second, StoreError::OperationRunning { operation } if operation == id), "{second}");
    stage.world.behave();
    stage.engine.cancel(id, "test", None).await.unwrap();
    stage.ended(id).await;
}

#[tokio::test]
async fn what_could_not_be_removed_stays_lent_and_goes_with_the_next_drill_there() {
    let mut few = options();
    few.timeouts.reboot = Duration::ZERO;
    let stage = stage_with(few).await;
    stage.world.fail("wipe");
    stage.world.fail("probe");
    let (operation, drill) = stage.drilled().await;
    assert_eq!(
        (operation.status, drill.emptied, stage.is_free().await),
        (OperationStatus::Failed, false, false)
    );
    let (_, events) = stage.ended(operation.id).await;
    assert!(events.iter().any(|event| event.message.contains("could not be emptied")), "{events:#?}");
    let left = stage.machine().running.unwrap();
    stage.world.behave();
    stage.world.done.lock().unwrap().clear();
    let (operation, drill) = stage.drilled().await;
    assert_eq!(
        (operation.status, drill.emptied, stage.is_free().await),
        (OperationStatus::Succeeded, true, true)
    );
    // The same revision on the same machine is the same system: it is the drill's own then, and goes at its end.
    let wiped = format!("wipe {left}");
    assert!(stage.world.done.lock().unwrap().contains(&wiped), "{:#?}", stage.world.done.lock().unwrap());
}

fn plan() -> BackupPlan {
    let draft = json!({
        "schedule": "0 0 29 2 *", "jitter_minutes": 0,
        "drill": {"schedule": "0 0 29 2 *", "machine": "spare", "grace_minutes": 10}
    });
    serde_json::from_value::<BackupDraft>(draft).unwrap().try_into().unwrap()
}

impl Stage {
    /// The drills that the plan asked for, oldest first, once there are so many and they have ended.
    async fn drills_by_plan(&self, number: usize) -> Vec<Operation> {
        let filter = OperationFilter { tenant: Some(acme()), status: None };
        let waiting = async {
            loop {
                let mut all = self.store.list_operations(&filter, None, 200).await.unwrap().items;
                all.retain(|one| one.kind == OperationKind::Drill && one.requested_by == "backup plan");
                all.reverse();
                if all.len() >= number && all.iter().all(|one| one.status.is_final()) {
                    return all;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it never comes")
    }
}

#[tokio::test]
async fn a_drill_that_is_due_waits_for_its_machine_is_missed_once_and_begun_once_it_may() {
    let stage = stage().await;
    let others: Vec<_> = (0..2).map(|_| stage.another(options())).collect();
    others.iter().for_each(|other| other.start());
    stage.settle("bolt", "spare2").await;
    let mut taken = plan();
    taken.drill.as_mut().unwrap().machine = "spare2".parse().unwrap();
    let now = Utc::now().trunc_subsecs(3);
    let next = NextDue { snapshot: now + TimeDelta::days(1), drill: Some(now - TimeDelta::minutes(11)) };
    let record = stage.store.create_backup_plan(&acme(), &taken, next, now).await.unwrap();
    let missed = stage.drills_by_plan(1).await.remove(0);
    let error = missed.error.unwrap();
    assert_eq!(error.code, "drill-missed");
    assert!(error.message.contains("belongs to the tenant “bolt”"), "{}", error.message);
    let found = stage.store.backup_plan(&acme()).await.unwrap().backups.findings(None, now);
    let kinds: Vec<&str> = found.iter().map(|finding| finding.kind.word()).collect();
    assert_eq!(kinds, ["drill-overdue", "drill-failed"]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.drills_by_plan(1).await.len(), 1, "it is noted once");
    // On a machine that is free it takes place, once, and what is passed is past.
    stage.store.update_backup_plan(&acme(), &plan(), next, record.version, now).await.unwrap();
    let made = stage.drills_by_plan(2).await;
    assert_eq!(made.last().unwrap().status, OperationStatus::Succeeded, "{made:?}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(stage.drills_by_plan(2).await.len(), 2);
    let backups = stage.store.backup_plan(&acme()).await.unwrap().backups;
    assert!(backups.findings(None, now).is_empty(), "{backups:?}");
    assert_eq!(backups.last_drill.unwrap().id, made[1].id);
    for other in others {
        other.stop().await;
    }
}
