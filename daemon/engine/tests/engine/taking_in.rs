//! Tenants that are made of a bundle.

use std::sync::Arc;

use berth_bundle::{About, BundlePath, FileMode, Meta, ServiceAbout, Writer};
use berth_domain::{BundleId, Mode, Operation, OperationStatus, StepName, StepStatus};
use berth_engine::bundles::Order;
use berth_protocol::Fingerprint;
use berth_sign::SigningKey;
use berth_vault::object::{Key, Kind};
use chrono::Utc;
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::brought::{self, code, mode, operation};
use crate::fakes::facts;
use crate::stage::{BUNDLES, Stage};

pub const BUNDLE: BundleId = BundleId::from_u128(0xb0);

/// A bundle of the service `web`, whose data is of this version.
fn bundle(version: &str) -> Vec<u8> {
    bundle_with(version, &|_| ())
}

/// The same with buckets.
pub fn bundle_with(version: &str, buckets: &dyn Fn(&mut Writer<'_, Vec<u8>>)) -> Vec<u8> {
    let key = SigningKey::from_seed(&[9; 32]);
    let about = About::new("acme", "Pier", "2026-01-02T03:04:05Z".parse().unwrap());
    let services = vec![ServiceAbout { name: "web".into(), data_version: Some(version.into()) }];
    let mut writer = Writer::new(Vec::new(), about, services, &key).unwrap();
    let path = |path: &str| BundlePath::try_from(path).unwrap();
    let meta = |mode| Meta { owner: Some("www".into()), ..Meta::made(FileMode::of(mode), 0) };
    writer.bytes(path("configuration/tenant.nix"), meta(0o644), b"{ }").unwrap();
    buckets(&mut writer);
    writer.bytes(path("services/web/databases/web.dump"), meta(0o600), b"PGDMP").unwrap();
    writer.directory(path("services/web/files/var/lib/web"), meta(0o750)).unwrap();
    writer.bytes(path("services/web/files/var/lib/web/note"), meta(0o640), b"hello").unwrap();
    writer.finish().unwrap().out
}

/// As a machine sums the directory up that the bundle holds.
pub fn there() -> Fingerprint {
    let mut sum = Sha256::new();
    sum.update(4_u64.to_be_bytes());
    sum.update("notef");
    sum.update(0o640_u32.to_be_bytes());
    sum.update(5_u64.to_be_bytes());
    sum.update(Sha256::digest("hello"));
    let sha256 = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    brought::there(sha256)
}

/// A daemon that has such a bundle, and a tenant in standby that is to be made of it.
async fn stage(version: &str) -> Stage {
    let stage = brought::awaited(there()).await;
    let path = stage.folder.path().join(BUNDLES).join(format!("{BUNDLE}.tar"));
    std::fs::write(path, bundle(version)).unwrap();
    stage
}

async fn submit(stage: &Stage, go_live: bool) -> Operation {
    let operation = operation();
    let list = json!([{"service": "web", "name": "key", "value": "hunter2"}]).to_string();
    let secrets = Order::seal(operation.id, stage.engine.keys(), &SecretString::from(list)).unwrap();
    let order = Order { bundle: BUNDLE, go_live, secrets };
    stage.engine.spool().keep_order(operation.id, &order).unwrap();
    stage.engine.submit(&operation, None).await.unwrap();
    operation
}

pub async fn taken_in(stage: &Stage, go_live: bool) -> Operation {
    let id = submit(stage, go_live).await.id;
    stage.ended(id).await.0
}

pub fn written(stage: &Stage, wanted: Kind) -> usize {
    let written = stage.world.state.written.lock().unwrap();
    written.iter().filter(|key| matches!(key, Key::Object(kind, _) if *kind == wanted)).count()
}

#[tokio::test]
async fn a_bundle_becomes_a_tenant_that_stays_in_standby_until_somebody_says_otherwise() {
    let stage = stage("4.3").await;
    let operation = taken_in(&stage, false).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(mode(&stage).await, Mode::Standby);
    assert_eq!(operation.step(StepName::GoLive).unwrap().status, StepStatus::Skipped);
    let (snapshot, _) = stage.store.snapshot(operation.id).await.unwrap();
    let (service, captured) = snapshot.captured().next().unwrap();
    assert_eq!((service.as_str(), captured.restic.len()), ("web", 64));
    assert_eq!((captured.bytes_total, captured.files_total), (10, 2));
    assert_eq!(written(&stage, Kind::Snapshots), 1);
    let restored = format!("restore web={}", captured.restic);
    assert_eq!(stage.world.state.done.lock().unwrap().last(), Some(&restored));
    assert_eq!(*stage.world.state.adopted.lock().unwrap(), ["web/key=hunter2"]);
    // What it was asked for is not needed any more, and holds secrets.
    let left = std::fs::read_dir(stage.folder.path().join(BUNDLES)).unwrap();
    let names: Vec<_> = left.flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(names, [format!("{BUNDLE}.tar")]);
}

#[tokio::test]
async fn the_services_are_started_where_somebody_knows_that_nobody_else_serves_the_tenant() {
    let stage = stage("4.3").await;
    let operation = taken_in(&stage, true).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(mode(&stage).await, Mode::Active);
}

#[tokio::test]
async fn data_that_no_service_here_can_read_is_refused_before_the_machine_is_touched() {
    let stage = stage("4.4").await;
    let before = stage.machine();
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "data-newer"));
    let after = stage.machine();
    assert_eq!((before.running, before.committed), (after.running, after.committed));
    assert!(stage.world.state.adopted.lock().unwrap().is_empty());
    assert_eq!(written(&stage, Kind::Data), 0);
    // The same bundle may be tried again once the service is newer.
    let mut web = stage.world.services.lock().unwrap()["web"].clone();
    web.data_version = Some("4.4".into());
    stage.world.services.lock().unwrap().insert("web".parse().unwrap(), web);
    assert_eq!(taken_in(&stage, false).await.status, OperationStatus::Succeeded);
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
    assert_eq!(written(&stage, Kind::Data), 0);
}

#[tokio::test]
async fn files_that_did_not_become_what_was_signed_keep_the_services_from_being_started() {
    let stage = stage("4.3").await;
    *stage.world.state.fingerprint.lock().unwrap() = Some(Fingerprint::default());
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "state-differs"));
    assert_eq!(mode(&stage).await, Mode::Standby);
    *stage.world.state.fingerprint.lock().unwrap() = Some(there());
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn a_bundle_that_was_changed_or_removed_since_it_came_changes_nothing_of_the_tenants_state() {
    let stage = stage("4.3").await;
    let path = stage.folder.path().join(BUNDLES).join(format!("{BUNDLE}.tar"));
    let mut bytes = bundle("4.3");
    let at = bytes.windows(5).position(|window| window == b"hello").unwrap();
    bytes[at] = b'j';
    std::fs::write(&path, bytes).unwrap();
    let operation = taken_in(&stage, true).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bundle-altered"));
    assert_eq!(written(&stage, Kind::Snapshots), 0);
    std::fs::remove_file(&path).unwrap();
    let operation = taken_in(&stage, true).await;
    assert_eq!(code(&operation), "bundle-missing");
    assert!(operation.error.unwrap().retryable);
    assert!(stage.world.state.done.lock().unwrap().is_empty(), "nothing was restored");
}

#[tokio::test]
async fn a_daemon_that_ends_while_the_state_is_put_in_place_is_followed_by_one_that_does_not_unpack_again() {
    let mut stage = stage("4.3").await;
    stage.world.hanging.lock().unwrap().insert("restore");
    let operation = submit(&stage, true).await;
    stage.until_waiting().await;
    let unpacked = written(&stage, Kind::Snapshots);
    stage.world.hanging.lock().unwrap().clear();
    stage.restart().await;
    let (ended, _) = stage.ended(operation.id).await;
    assert_eq!(ended.status, OperationStatus::Succeeded, "{ended:?}");
    assert_eq!((unpacked, written(&stage, Kind::Snapshots)), (1, 1));
    assert_eq!(mode(&stage).await, Mode::Active);
}

#[tokio::test]
async fn what_is_cancelled_leaves_a_tenant_in_standby_with_which_the_next_try_goes_on() {
    let stage = stage("4.3").await;
    stage.world.hanging.lock().unwrap().insert("build");
    let operation = submit(&stage, true).await;
    stage.until_waiting().await;
    stage.engine.cancel(operation.id, "test", None).await.unwrap();
    let (ended, _) = stage.ended(operation.id).await;
    assert_eq!(ended.status, OperationStatus::Cancelled, "{ended:?}");
    assert_eq!(mode(&stage).await, Mode::Standby);
    stage.world.hanging.lock().unwrap().clear();
    assert_eq!(taken_in(&stage, true).await.status, OperationStatus::Succeeded);
}

#[tokio::test]
async fn each_bundle_that_is_not_whole_is_refused_by_what_is_wrong_with_it() {
    let stage = Stage::set_up().await;
    let spool = stage.engine.spool();
    let whole = bundle("4.3");
    let mut altered = whole.clone();
    let at = altered.windows(5).position(|window| window == b"hello").unwrap();
    altered[at] = b'j';
    let cases = [
        ("bundle-altered", altered),
        ("bundle-truncated", whole[..whole.len() - 3000].to_vec()),
        ("bundle-truncated", b"no bundle at all".to_vec()),
        // It is whole, and its tenant.nix is of no tenant.
        ("bundle-specification", whole),
    ];
    for (number, (code, bytes)) in cases.into_iter().enumerate() {
        let id = BundleId::from_u128(number as u128);
        spool.announce(id, bytes.len() as u64, "test".into(), Utc::now()).unwrap();
        let mut arriving = spool.take(id, 0).unwrap();
        arriving.write(&bytes).await.unwrap();
        assert!(arriving.end().await.unwrap());
        stage.engine.examine_bundle(id);
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        let refusal = loop {
            if let Some(refusal) = Arc::clone(spool).bundle(id).unwrap().refusal {
                break refusal;
            }
            assert!(tokio::time::Instant::now() < end, "{code}: nothing comes of it");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert_eq!(refusal.code, code, "{refusal:?}");
    }
}
