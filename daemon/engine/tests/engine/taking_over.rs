//! Tenants that are made of a repository of snapshots that lies elsewhere.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use berth_domain::{Mode, Operation, OperationStatus, SnapshotId, StepName, StepStatus, TenantDraft};
use berth_engine::StepError;
use berth_engine::offsite::{Lies, Place, Told, ToldService};
use berth_engine::ports::Extent;
use berth_protocol::{Fingerprint, GivenSecret, SecretText, TenantFile, tenant_file};
use berth_store::OffsiteRecord;
use chrono::Utc;
use secrecy::SecretString;

use crate::brought::{self, code, mode, operation};
use crate::fakes::facts;
use crate::offsites::REPOSITORY;
use crate::stage::Stage;

const SNAPSHOT: SnapshotId = SnapshotId::from_u128(0x5);

fn secret(text: &str) -> SecretText {
    SecretString::from(text).into()
}

/// What the snapshot tells of the service `web`, whose data is of this version.
fn told(version: &str) -> Told {
    let web = ToldService {
        restic: "theirs".into(),
        tree: [7; 32],
        data_version: Some(version.into()),
        databases: BTreeMap::from([("web".into(), 5)]),
        directories: vec!["/var/lib/web".into()],
    };
    let at = "2026-01-02T03:04:05Z".parse().unwrap();
    let file = TenantFile {
        format: tenant_file::FORMAT,
        daemon_version: "0.1.0".into(),
        snapshot: SNAPSHOT,
        at,
        revision: None,
        platform: None,
        specification: TenantDraft::default(),
        given: Vec::new(),
        secrets: vec![GivenSecret { service: "web".into(), name: "key".into(), value: secret("hunter2") }],
    };
    let services = BTreeMap::from([("web".parse().unwrap(), web)]);
    Told { id: SNAPSHOT, at, file, services, buckets: Vec::new() }
}

/// What the directory comes to.
fn there() -> Fingerprint {
    brought::there("ab".repeat(32))
}

/// A daemon for which there is such a repository, and a tenant in standby that is to be made of it.
async fn stage(version: &str) -> Stage {
    let stage = brought::awaited(there()).await;
    *stage.world.offsites.told.lock().unwrap() = Some(told(version));
    *stage.world.offsites.extent.lock().unwrap() = Extent { files: 2, bytes: 10 };
    *stage.world.offsites.sums.lock().unwrap() = there().services;
    stage
}

async fn submit(stage: &Stage, go_live: bool) -> Operation {
    let operation = operation();
    let place = Place { lies: Lies::Folder("/srv/acme".into()), password: secret("of theirs") };
    let record = OffsiteRecord {
        operation: operation.id,
        repository: REPOSITORY.into(),
        tenant: operation.tenant.clone(),
        snapshot: SNAPSHOT,
        go_live,
        sealed: Some(place.seal(operation.id, stage.engine.keys()).unwrap()),
    };
    stage.store.keep_offsite(&record, Utc::now()).await.unwrap();
    stage.engine.submit(&operation, None).await.unwrap();
    operation
}

async fn taken_in(stage: &Stage, go_live: bool) -> Operation {
    let id = submit(stage, go_live).await.id;
    stage.ended(id).await.0
}

#[tokio::test]
async fn a_repository_becomes_a_tenant_that_stays_in_standby_until_somebody_says_otherwise() {
    let stage = stage("4.3").await;
    let operation = taken_in(&stage, false).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(mode(&stage).await, Mode::Standby);
    assert_eq!(operation.step(StepName::GoLive).unwrap().status, StepStatus::Skipped);
    let taken = stage.world.offsites.taken.lock().unwrap().clone();
    let [(password, wanted)] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!(
        (password.as_str(), wanted[0].restic.as_str(), wanted[0].host.as_str()),
        ("of theirs", "theirs", "acme")
    );
    let id = operation.id.to_string();
    assert_eq!(wanted[0].tags, [&id, "service:web", "pass:quiesced", "berth:taken-over"]);
    let (snapshot, _) = stage.store.snapshot(operation.id).await.unwrap();
    assert_eq!(snapshot.created_at, told("4.3").at, "it is as old as it was");
    let (_, captured) = snapshot.captured().next().unwrap();
    assert_eq!((captured.restic.as_str(), captured.bytes_total, captured.files_total), ("own-theirs", 10, 2));
    assert!(snapshot.tenant_part.is_some(), "the next one who takes it up has the secrets");
    assert_eq!(stage.world.state.done.lock().unwrap().last().unwrap(), "restore web=own-theirs");
    assert_eq!(*stage.world.state.adopted.lock().unwrap(), ["web/key=hunter2"]);
    // What opens the repository is not needed any more.
    let record = stage.store.offsite(operation.id).await.unwrap().unwrap();
    assert_eq!((record.sealed, record.tenant), (None, operation.tenant));
}

#[tokio::test]
async fn the_services_are_started_where_somebody_knows_that_nobody_else_serves_the_tenant() {
    let stage = stage("4.3").await;
    let operation = taken_in(&stage, true).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(mode(&stage).await, Mode::Active);
}

/// What becomes of what the snapshot tells of a service.
type Change = fn(&mut ToldService);

#[tokio::test]
async fn what_no_service_here_can_take_is_refused_before_the_machine_is_touched() {
    let changes: [(&str, Change); 4] = [
        ("data-newer", |web| web.data_version = Some("4.4".into())),
        ("state-mismatch", |web| web.directories.clear()),
        ("state-mismatch", |web| web.databases.clear()),
        ("state-mismatch", |web| web.directories.push("/var/lib/other".into())),
    ];
    for (expected, change) in changes {
        let stage = stage("4.3").await;
        let before = stage.machine();
        if let Some(told) = &mut *stage.world.offsites.told.lock().unwrap() {
            change(told.services.get_mut("web").unwrap());
        }
        let operation = taken_in(&stage, true).await;
        assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, expected));
        let after = stage.machine();
        assert_eq!((before.running, before.committed), (after.running, after.committed));
        assert!(stage.world.offsites.taken.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_machine_without_room_is_refused_before_it_is_touched() {
    let stage = stage("4.3").await;
    let told = berth_domain::MachineFacts { data_disk_available_bytes: 9, ..facts(&stage.machine()) };
    *stage.world.facts.lock().unwrap() = Some(told);
    let before = stage.machine();
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "no-space"));
    assert_eq!(before.committed, stage.machine().committed);
}

#[tokio::test]
async fn files_that_did_not_become_what_the_repository_holds_keep_the_services_from_being_started() {
    let stage = stage("4.3").await;
    *stage.world.state.fingerprint.lock().unwrap() = Some(Fingerprint::default());
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "state-differs"));
    assert_eq!(mode(&stage).await, Mode::Standby);
    *stage.world.state.fingerprint.lock().unwrap() = Some(there());
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn a_repository_that_is_damaged_ends_the_operation_by_its_name_and_the_next_try_goes_on() {
    let stage = stage("4.3").await;
    let damaged = StepError::failed("repository-damaged", "data/aa was damaged");
    *stage.world.offsites.trouble.lock().unwrap() = Some(damaged);
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "repository-damaged"));
    assert!(stage.world.state.done.lock().unwrap().is_empty(), "nothing was restored");
    *stage.world.offsites.trouble.lock().unwrap() = None;
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn another_repository_at_the_same_place_is_not_taken_for_it() {
    let stage = stage("4.3").await;
    stage.world.offsites.told.lock().unwrap().as_mut().unwrap().id = SnapshotId::from_u128(6);
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "no-snapshot"));

    let stage = self::stage("4.3").await;
    *stage.world.offsites.repository.lock().unwrap() = Some("cd".repeat(32));
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "repository-missing"));
    assert!(stage.world.offsites.taken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_an_earlier_try_left_in_the_vault_without_a_record_is_not_destroyed() {
    let stage = stage("4.3").await;
    stage.world.state.held.lock().unwrap().insert("of an earlier try".into());
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
    assert!(stage.world.state.held.lock().unwrap().contains("of an earlier try"));
}

#[tokio::test]
async fn no_more_than_two_look_at_once_and_whoever_waits_too_long_is_told() {
    let stage = stage("4.3").await;
    let place = Place { lies: Lies::Folder("/srv/acme".into()), password: secret("of theirs") };
    tokio::time::pause();
    *stage.world.offsites.look_takes.lock().unwrap() = Duration::from_secs(20);
    let five = std::iter::repeat_n((), 5).map(|()| stage.engine.look_offsite(&place, None));
    let looked = futures_util::future::join_all(five).await;
    assert_eq!(stage.world.offsites.most_looking.load(Ordering::Relaxed), 2);
    assert!(looked.iter().all(Result::is_ok), "{looked:?}");

    *stage.world.offsites.look_takes.lock().unwrap() = Duration::from_secs(60);
    let three = std::iter::repeat_n((), 3).map(|()| stage.engine.look_offsite(&place, None));
    let looked = futures_util::future::join_all(three).await;
    let late: Vec<_> = looked.iter().filter_map(|looked| looked.as_ref().err()).collect();
    let [StepError::Failed(failure)] = late.as_slice() else { panic!("{late:?}") };
    assert_eq!((failure.code, failure.retryable), ("timeout", true));
}

#[tokio::test]
async fn taking_over_is_cancelled_at_once_and_taken_up_by_a_successor() {
    let mut stage = stage("4.3").await;
    *stage.world.offsites.hangs.lock().unwrap() = true;
    let operation = submit(&stage, true).await;
    let unpacking = async |stage: &Stage, id| {
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let operation = stage.store.operation(id).await.unwrap();
            if operation.step(StepName::Unpack).unwrap().status == StepStatus::Running {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "{operation:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    unpacking(&stage, operation.id).await;
    *stage.world.offsites.hangs.lock().unwrap() = false;
    stage.restart().await;
    assert_eq!(stage.ended(operation.id).await.0.status, OperationStatus::Succeeded);

    let stage = self::stage("4.3").await;
    *stage.world.offsites.hangs.lock().unwrap() = true;
    let operation = submit(&stage, true).await;
    unpacking(&stage, operation.id).await;
    stage.engine.cancel(operation.id, "test", None).await.unwrap();
    let (ended, _) = stage.ended(operation.id).await;
    assert_eq!(ended.status, OperationStatus::Cancelled, "{ended:?}");
    assert_eq!(mode(&stage).await, Mode::Standby);
    *stage.world.offsites.hangs.lock().unwrap() = false;
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
}
