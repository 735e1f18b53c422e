//! Tenants that come from another provider and get another bucket here: their objects come along.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_domain::{
    Arrival, Event, MigrationId, Mode, MovePhase, Operation, OperationId, OperationKind, OperationStatus,
    StepName, TenantDraft,
};
use berth_protocol::ServiceFingerprint;
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::{Claim, Manifest, MovedService, OfferedService, Purpose, Sealed, Statement as _};
use chrono::{SubsecRound as _, Utc};
use serde_json::{Value, json};

use crate::arriving::{acme, source_key};
use crate::brought::{code, mode};
use crate::bucket_moves::Moves;
use crate::buckets::{give_key, service, warnings};
use crate::stage::Stage;

const OLD: &str = "https://old/media";
const NEW: &str = "https://new/own";

/// The setting of the old bucket.
fn old() -> Value {
    json!({ "endpoint": "https://old", "bucket": "media", "access_key": "GK1", "secret_key": "secret-of-old" })
}

/// What the source says of the tenant, whose bucket this setting names.
fn claim(stage: &Stage, id: MigrationId, store: &Value, rehearsal: bool) -> String {
    let draft: TenantDraft = serde_json::from_value(json!({
        "name": "acme", "domain": "acme.example", "contact_email": "a@b.example", "machine": "vm1",
        "services": { "web": { "enable": true, "object_storage": store } },
    }))
    .unwrap();
    let recipient = stage.engine.keys().recipient();
    let text = serde_json::to_vec(&draft).unwrap();
    let said = Claim {
        offer: id,
        provider: "Pier".into(),
        tenant: Sealed::to(&recipient, id, Purpose::Tenant, &text).unwrap(),
        recipient,
        services: [("web".parse().unwrap(), OfferedService::default())].into(),
        rehearsal,
    };
    said.sign(&source_key())
}

fn manifest(stage: &Stage, id: MigrationId) -> String {
    let web = MovedService {
        snapshot: "a".repeat(64),
        bytes: 100,
        files: 3,
        databases: Vec::new(),
        replicated: Vec::new(),
        data_version: None,
        left_out: vec!["bucket media: it stays where it is, and the tenant goes on using it".into()],
        fingerprint: ServiceFingerprint::default(),
    };
    let recipient = stage.engine.keys().recipient();
    let said = Manifest {
        offer: id,
        tenant: acme(),
        taken_at: Utc::now().trunc_subsecs(0),
        revision: None,
        services: [("web".parse().unwrap(), web)].into(),
        secrets: Sealed::to(&recipient, id, Purpose::Secrets, b"[]").unwrap(),
        rehearsal: None,
    };
    said.sign(&source_key())
}

/// A ticket that was handed in, by a source that names the old bucket so; the service has the new one here.
async fn stage_of(store: Value, rehearsal: bool) -> (Stage, MigrationId) {
    let stage = Stage::set_up().await;
    stage.world.services.lock().unwrap().insert("web".parse().unwrap(), service("https://new", "own", 1));
    give_key(&stage, "acme", "web", "secret-of-new").await;
    let id = stage.handed_in(|id| claim(&stage, id, &store, rehearsal)).await;
    for (key, content) in [("a", "one"), ("b", "two"), ("c", "three")] {
        stage.world.buckets.moves.put(OLD, key, content);
    }
    stage.world.buckets.moves.put(NEW, "foreign", "theirs");
    (stage, id)
}

async fn stage() -> (Stage, MigrationId) {
    stage_of(old(), false).await
}

impl Stage {
    fn moves(&self) -> &Moves {
        &self.world.buckets.moves
    }

    async fn becomes(&self, id: MigrationId, change: impl Fn(&mut Arrival)) {
        let change = |record: &mut ArrivalRecord| {
            change(&mut record.arrival);
            Ok::<_, StoreError>(())
        };
        self.engine.change_arrival(id, change).await.unwrap();
    }

    /// The source has sent everything, its services stopped.
    async fn sent_all(&self, id: MigrationId) {
        let jws = manifest(self, id);
        self.becomes(id, |arrival| {
            arrival.phase = MovePhase::Restoring;
            arrival.manifest = Some(jws.clone());
        })
        .await;
    }

    /// The rest of a move: the source sends all, and hands over.
    async fn comes(&self, id: MigrationId, operation: OperationId) -> (Operation, Vec<Event>) {
        self.until_phase(id, MovePhase::Receiving).await;
        self.sent_all(id).await;
        self.until_phase(id, MovePhase::Ready).await;
        self.becomes(id, |arrival| arrival.phase = MovePhase::GoingLive).await;
        self.ended(operation).await
    }

    async fn until_copied(&self, objects: usize) {
        self.until(|world| world.buckets.moves.copied.lock().unwrap().len() == objects).await;
    }
}

fn objects(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, content)| ((*key).to_owned(), (*content).to_owned())).collect()
}

#[tokio::test]
async fn objects_come_along_while_the_source_serves_and_what_changes_until_the_end_does_as_well() {
    let (stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    assert_eq!(*stage.moves().copied.lock().unwrap(), ["a", "b", "c"], "before the source sends anything");

    stage.moves().put(OLD, "a", "another");
    stage.moves().put(OLD, "d", "new");
    stage.moves().remove(OLD, "b");
    let (operation, events) = stage.comes(id, operation).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let after = [("a", "another"), ("c", "three"), ("d", "new"), ("foreign", "theirs")];
    assert_eq!(stage.moves().objects(NEW), objects(&after));
    assert_eq!(stage.moves().objects(OLD), objects(&after[..3]), "nothing is written to the old one");
    assert_eq!(stage.moves().copied.lock().unwrap()[3..], ["a", "d"], "nothing that is equal comes twice");
    let pass = |last| (OLD.to_owned(), "secret-of-old".to_owned(), NEW.to_owned(), last);
    assert_eq!(*stage.moves().passes.lock().unwrap(), [pass(false), pass(true)]);
    assert_eq!(mode(&stage).await, Mode::Active);
    let told: Vec<_> = events.iter().map(|event| event.message.as_str()).collect();
    let told = told.join("\n");
    let what = "web, bucket media to bucket own";
    assert!(told.contains(&format!("{what}: 3 objects copied, 11 bytes; 0 were there")), "{told}");
    assert!(told.contains("2 objects copied, 10 bytes; 1 were there, 1 removed again"), "{told}");
    assert!(!warnings(&events).contains("it stays where it is"), "{events:?}");
    assert!(!format!("{events:?}{operation:?}").contains("secret-of"));
    let known = stage.store.moved_objects(&moved_into(id), None, 10).await.unwrap();
    assert!(known.is_empty(), "once the tenant is here, nothing of it is kept");
}

fn moved_into(migration: MigrationId) -> berth_store::MovedInto {
    let (service, place) = ("web".parse().unwrap(), "new/own".to_owned());
    berth_store::MovedInto { migration, tenant: acme(), service, place }
}

#[tokio::test]
async fn a_bucket_that_stays_the_same_is_left_alone() {
    let named = json!({
        "endpoint": "https://NEW:443/", "region": "x", "bucket": "own", "access_key": "other", "secret_key": "s",
    });
    for (store, renamed) in [(named, false), (Value::Null, false), (old(), true)] {
        let (stage, id) = stage_of(store, false).await;
        *stage.moves().same.lock().unwrap() = renamed;
        let operation = stage.accepted(id, OperationKind::Import).await;
        let (operation, events) = stage.comes(id, operation).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
        assert!(stage.moves().passes.lock().unwrap().is_empty());
        let told = events.iter().any(|event| event.message.contains("this is the same bucket"));
        assert_eq!(told, renamed, "{events:?}");
    }
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_is_told_before_the_machine_is_touched_and_the_tenant_stays() {
    let (stage, id) = stage().await;
    let before = stage.machine().committed;
    for (place, which) in [(OLD, "the old"), (NEW, "the new")] {
        stage.moves().failing.lock().unwrap().insert(place.into());
        let operation = stage.accepted(id, OperationKind::Import).await;
        let (operation, _) = stage.ended(operation).await;
        stage.moves().failing.lock().unwrap().clear();
        assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-failed"));
        let error = operation.error.unwrap();
        assert_eq!(error.message, format!("web/object_storage: {which} bucket: the store refuses the key"));
        assert_eq!((error.step, &before), (Some(StepName::Prepare), &stage.machine().committed));
        assert_eq!(stage.store.arrival(id).await.unwrap().arrival.phase, MovePhase::Failed);
    }
    let keyless = json!({ "endpoint": "https://old", "bucket": "media", "access_key": "GK1" });
    let (stage, id) = stage_of(keyless, false).await;
    let operation = stage.accepted(id, OperationKind::Import).await;
    let (operation, _) = stage.ended(operation).await;
    assert_eq!(code(&operation), "no-bucket");
    assert!(stage.moves().passes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn objects_do_not_come_into_a_bucket_of_somebody_who_is_served_here() {
    let (stage, id) = stage().await;
    stage.settle("theirs", "vm2").await;
    give_key(&stage, "theirs", "web", "secret-of-theirs").await;
    let deployed = stage.submit_of("theirs", "vm2", OperationKind::Deploy, false).await;
    assert_eq!(stage.ended(deployed).await.0.status, OperationStatus::Succeeded);
    let operation = stage.accepted(id, OperationKind::Import).await;
    let (operation, _) = stage.ended(operation).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-shared"));
    assert!(operation.error.unwrap().message.contains("web/object_storage names the bucket own of theirs"));
    assert!(stage.moves().passes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn objects_do_not_come_into_a_bucket_of_another_service() {
    let (stage, id) = stage().await;
    let before = stage.machine().committed;
    stage.world.services.lock().unwrap().insert("other".parse().unwrap(), service("https://NEW/", "own", 1));
    let operation = stage.accepted(id, OperationKind::Import).await;
    let (operation, _) = stage.ended(operation).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-shared"));
    let error = operation.error.unwrap();
    assert!(error.message.contains("web/object_storage names the bucket own of other"), "{error:?}");
    assert_eq!((error.step, &before), (Some(StepName::Prepare), &stage.machine().committed));
    assert!(stage.moves().passes.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_successor_copies_nothing_anew_once_the_source_may_send() {
    let (mut stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    // The source's services may be stopped already, for as long as this takes.
    stage.moves().put(OLD, "d", "new");
    stage.restart().await;
    let (operation, _) = stage.comes(id, operation).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let passes: Vec<bool> = stage.moves().passes.lock().unwrap().iter().map(|(.., last)| *last).collect();
    assert_eq!(passes, [false, true]);
    assert_eq!(*stage.moves().copied.lock().unwrap(), ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn buckets_that_differ_at_the_end_leave_the_tenant_where_it_was_and_the_next_try_goes_on() {
    let (stage, id) = stage().await;
    *stage.moves().differ.lock().unwrap() = true;
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.sent_all(id).await;
    let (operation, _) = stage.ended(operation).await;
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "bucket-differs"));
    assert_eq!(stage.store.arrival(id).await.unwrap().arrival.phase, MovePhase::Failed);
    assert_eq!(mode(&stage).await, Mode::Standby);
    assert_eq!(stage.moves().objects(NEW).len(), 4, "what was copied stays");

    *stage.moves().differ.lock().unwrap() = false;
    stage.moves().remove(OLD, "c");
    let operation = stage.accepted(id, OperationKind::Import).await;
    assert_eq!(stage.comes(id, operation).await.0.status, OperationStatus::Succeeded);
    assert_eq!(stage.moves().copied.lock().unwrap().len(), 3, "nothing comes twice");
    let there: Vec<_> = stage.moves().objects(NEW).into_keys().collect();
    assert_eq!(there, ["a", "b", "foreign"], "what the first try has put there is known");
}

#[tokio::test]
async fn a_successor_goes_on_from_what_was_copied() {
    let (mut stage, id) = stage().await;
    *stage.moves().hangs_after.lock().unwrap() = Some(2);
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_copied(2).await;
    assert_eq!(stage.store.arrival(id).await.unwrap().arrival.phase, MovePhase::Preparing);
    stage.restart().await;
    *stage.moves().hangs_after.lock().unwrap() = None;
    stage.moves().remove(OLD, "a");
    let (operation, _) = stage.comes(id, operation).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(*stage.moves().copied.lock().unwrap(), ["a", "b", "c"]);
    let there: Vec<_> = stage.moves().objects(NEW).into_keys().collect();
    assert_eq!(there, ["b", "c", "foreign"], "what the predecessor put there is known");
}

#[tokio::test]
async fn a_wish_to_stop_and_a_source_that_gives_up_end_the_copying_at_once() {
    for revoked in [false, true] {
        let (stage, id) = stage().await;
        *stage.moves().hangs_after.lock().unwrap() = Some(1);
        let operation = stage.accepted(id, OperationKind::Import).await;
        stage.until_copied(1).await;
        let expected = match revoked {
            true => {
                stage.engine.revoke_arrival(id).await.unwrap();
                OperationStatus::Failed
            }
            false => {
                stage.engine.cancel(operation, "test", None).await.unwrap();
                OperationStatus::Cancelled
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(5), stage.ended(operation)).await;
        let (operation, _) = ended.expect("it goes on");
        assert_eq!(operation.status, expected, "{operation:?}");
        assert_eq!(*stage.moves().given_up.lock().unwrap(), 1, "what was begun is thrown away");
        assert_eq!(stage.store.arrival(id).await.unwrap().arrival.phase, MovePhase::Failed);
    }
}

#[tokio::test]
async fn a_source_that_gives_up_ends_the_last_pass() {
    let (stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.moves().put(OLD, "d", "new");
    *stage.moves().hangs_after.lock().unwrap() = Some(0);
    stage.sent_all(id).await;
    stage.until(|world| world.buckets.moves.passes.lock().unwrap().len() == 2).await;
    stage.engine.revoke_arrival(id).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), stage.ended(operation)).await;
    let (operation, _) = ended.expect("it goes on");
    assert_eq!((operation.status, code(&operation)), (OperationStatus::Failed, "source-failed"));
    assert_eq!(*stage.moves().given_up.lock().unwrap(), 1, "what was begun is thrown away");
}

#[tokio::test]
async fn a_rehearsal_looks_whether_objects_could_come_and_copies_none() {
    let (stage, id) = stage_of(old(), true).await;
    let operation = stage.accepted(id, OperationKind::TryOut).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.engine.cancel(operation, "test", None).await.unwrap();
    let (_, events) = stage.ended(operation).await;
    let said = "web, bucket media to bucket own: the objects could be reached; a rehearsal copies none";
    assert!(events.iter().any(|event| event.message == said), "{events:?}");
    assert!(stage.moves().passes.lock().unwrap().is_empty());
}
