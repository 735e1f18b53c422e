//! Rehearsals, as the target has them: a copy is tried out behind a fence, and nothing of it stays.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_domain::{
    CopyTimes, DrillOutcome, MigrationId, Mode, MovePhase, OperationId, OperationKind, OperationStatus,
    Rehearsal, StepName,
};
use berth_engine::EngineOptions;
use berth_protocol::{DatabaseFingerprint, ServiceFingerprint};
use berth_store::{ArrivalRecord, StoreError};
use berth_transfer::{Manifest, MovedService, Purpose, Sealed, Statement as _};
use chrono::{SubsecRound as _, Utc};

use crate::arriving::{acme, source_key};
use crate::drills::described;
use crate::stage::Stage;

/// A copy of two services, of which the source compared but one: the other one's database changed meanwhile.
fn manifest(stage: &Stage, id: MigrationId, rehearsal: Option<CopyTimes>) -> String {
    let moved = |name: &str, compared: bool| {
        let tables = BTreeMap::from([("public.notes".to_owned(), 2)]);
        let database = DatabaseFingerprint { tables, ..DatabaseFingerprint::default() };
        let databases = compared.then(|| (name.to_owned(), database)).into_iter().collect();
        MovedService {
            snapshot: "a".repeat(64),
            bytes: 100,
            files: 3,
            databases: vec![name.into()],
            replicated: Vec::new(),
            data_version: None,
            left_out: Vec::new(),
            fingerprint: ServiceFingerprint { databases, ..ServiceFingerprint::default() },
        }
    };
    let services = [("gitea", true), ("mastodon", false)];
    let services = services.map(|(name, compared)| (name.parse().unwrap(), moved(name, compared)));
    let recipient = stage.engine.keys().recipient();
    let said = Manifest {
        offer: id,
        tenant: acme(),
        taken_at: Utc::now().trunc_subsecs(0),
        revision: None,
        services: services.into(),
        secrets: Sealed::to(&recipient, id, Purpose::Secrets, b"[]").unwrap(),
        rehearsal,
    };
    said.sign(&source_key())
}

/// A tenant whose rehearsal was accepted.
async fn stage_with(options: EngineOptions) -> (Stage, MigrationId) {
    let stage = Stage::with(options).await;
    let services = ["gitea", "mastodon"].map(|name| (name.parse().unwrap(), described(name)));
    *stage.world.services.lock().unwrap() = services.into();
    let id = stage.handed_in(|_| "signed".into()).await;
    (stage, id)
}

async fn stage() -> (Stage, MigrationId) {
    stage_with(EngineOptions::default()).await
}

impl Stage {
    /// What the source says once it has sent everything.
    async fn sent(&self, id: MigrationId, rehearsal: Option<CopyTimes>) {
        let jws = manifest(self, id, rehearsal);
        let said = |record: &mut ArrivalRecord| {
            record.arrival.phase = MovePhase::Restoring;
            record.arrival.manifest = Some(jws.clone());
            Ok::<_, StoreError>(())
        };
        self.engine.change_arrival(id, said).await.unwrap();
    }

    /// A rehearsal as far as the source has its part in it.
    async fn begun(&self, id: MigrationId) -> OperationId {
        let operation = self.accepted(id, OperationKind::TryOut).await;
        self.until_phase(id, MovePhase::Receiving).await;
        self.sent(id, Some(CopyTimes { last_ms: 5, ..CopyTimes::default() })).await;
        operation
    }

    /// Nothing runs, nothing is left, and the tenant is nobody's to be started.
    async fn is_thrown_away(&self, id: MigrationId) -> Rehearsal {
        let (arrival, machine) = (self.arrival(id).await, self.machine());
        let standby = arrival.standby.unwrap();
        assert_eq!((machine.running.as_ref(), machine.committed.as_ref()), (Some(&standby), Some(&standby)));
        let tenant = self.store.tenant(&acme()).await.unwrap();
        assert_eq!((tenant.spec.mode, tenant.deployed_system.as_ref()), (Mode::Standby, Some(&standby)));
        assert_eq!(self.store.served_elsewhere(&acme()).await.unwrap(), Some(id));
        let committed: Vec<_> = self.done_of("commit");
        assert!(committed.iter().all(|done| *done == format!("commit {standby}")), "{committed:?}");
        let rehearsal = arrival.rehearsal.unwrap();
        assert!(rehearsal.emptied, "{rehearsal:?}");
        rehearsal
    }

    fn done_of(&self, what: &str) -> Vec<String> {
        let done = self.world.done.lock().unwrap();
        done.iter().filter(|done| done.split(' ').next() == Some(what)).cloned().collect()
    }
}

#[tokio::test]
async fn a_copy_is_started_behind_the_fence_asked_and_thrown_away_and_never_committed() {
    let (stage, id) = stage().await;
    let operation = stage.begun(id).await;
    let (operation, events) = stage.ended(operation).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let rehearsal = stage.is_thrown_away(id).await;
    let arrival = stage.arrival(id).await;
    assert_eq!((arrival.phase, arrival.countersignature), (MovePhase::Rehearsed, None));
    assert_eq!(rehearsal.outcome, DrillOutcome::Passed);
    assert_eq!(rehearsal.bytes, Some(200));
    assert!(rehearsal.estimated_away_ms.unwrap() >= 5, "{rehearsal:?}");
    let (gitea, mastodon) = (&rehearsal.services["gitea"], &rehearsal.services["mastodon"]);
    assert!(gitea.found.ok && mastodon.found.ok && gitea.found.rows["gitea"] == 2, "{rehearsal:?}");
    assert_eq!((&*gitea.compared, gitea.not_compared.len()), (&["the database gitea".to_owned()][..], 0));
    assert_eq!(
        (&*mastodon.not_compared, mastodon.compared.len()),
        (&["the database mastodon".to_owned()][..], 0)
    );
    assert!(events.iter().any(|event| event.message.contains("an estimate")), "{events:#?}");
    // First it goes back to where nothing runs, then the state goes.
    let done = stage.world.done.lock().unwrap().clone();
    let at = |what: &str| done.iter().rposition(|done| done.starts_with(what)).unwrap();
    assert!(at("probe") < at("revert") && at("revert") < at("wipe"), "{done:#?}");
    // A copy is no backup of the tenant.
    assert!(stage.store.newest_whole_snapshot(&acme()).await.is_err());
}

#[tokio::test]
async fn a_service_that_does_not_come_up_is_told_and_the_same_ticket_is_good_for_another_try() {
    let (stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::TryOut).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.world.sick.lock().unwrap().insert("mastodon");
    stage.sent(id, Some(CopyTimes::default())).await;
    let (operation, _) = stage.ended(operation).await;
    let error = operation.error.unwrap();
    assert_eq!((&*error.code, &*error.message), ("rehearsal-failed", "mastodon: mastodon.service is failed"));
    let rehearsal = stage.is_thrown_away(id).await;
    assert_eq!((rehearsal.outcome, rehearsal.problem), (DrillOutcome::Failed, Some(error.message)));
    assert!(rehearsal.services["gitea"].found.ok && !rehearsal.services["mastodon"].found.ok);
    assert_eq!(stage.arrival(id).await.phase, MovePhase::Failed);

    stage.world.sick.lock().unwrap().clear();
    let again = stage.begun(id).await;
    assert_eq!(stage.ended(again).await.0.status, OperationStatus::Succeeded);
    assert_eq!(stage.is_thrown_away(id).await.outcome, DrillOutcome::Passed);
}

#[tokio::test]
async fn however_it_ends_the_copy_is_thrown_away_before_the_source_hears_of_it() {
    let (stage, id) = stage().await;
    for what in ["restore", "fingerprint"] {
        let operation = stage.accepted(id, OperationKind::TryOut).await;
        stage.until_phase(id, MovePhase::Receiving).await;
        stage.world.fail(what);
        stage.sent(id, Some(CopyTimes::default())).await;
        let (operation, _) = stage.ended(operation).await;
        stage.world.behave();
        assert_eq!(operation.status, OperationStatus::Failed, "{what}: {operation:?}");
        stage.is_thrown_away(id).await;
        assert_eq!(stage.arrival(id).await.phase, MovePhase::Failed);
    }
}

#[tokio::test]
async fn a_wish_to_stop_is_heard_while_the_copy_is_tried() {
    let (stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::TryOut).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.world.hang("probe");
    stage.sent(id, Some(CopyTimes::default())).await;
    stage.until_waiting_in(operation, StepName::TryOut).await;
    assert_ne!(
        stage.machine().running,
        stage.machine().committed,
        "the fenced system runs, and is not booted"
    );
    stage.engine.cancel(operation, "test", None).await.unwrap();
    let (operation, _) = stage.ended(operation).await;
    assert_eq!(operation.status, OperationStatus::Cancelled, "{operation:?}");
    stage.is_thrown_away(id).await;
    assert_eq!(stage.arrival(id).await.phase, MovePhase::Failed);
}

#[tokio::test]
async fn a_successor_tries_the_copy_again_or_throws_it_away_where_that_was_due() {
    let (mut stage, id) = stage().await;
    for (word, step) in [("probe", StepName::TryOut), ("wipe", StepName::Empty)] {
        let operation = stage.accepted(id, OperationKind::TryOut).await;
        stage.until_phase(id, MovePhase::Receiving).await;
        stage.world.pause(word);
        stage.sent(id, Some(CopyTimes::default())).await;
        stage.until_waiting_in(operation, step).await;
        stage.restart().await;
        stage.world.behave();
        let (operation, _) = stage.ended(operation).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{word}: {operation:?}");
        stage.is_thrown_away(id).await;
        assert_eq!(stage.arrival(id).await.phase, MovePhase::Rehearsed);
    }
}

#[tokio::test]
async fn what_the_source_signed_for_a_move_is_rehearsed_by_nobody() {
    let (stage, id) = stage().await;
    let operation = stage.accepted(id, OperationKind::TryOut).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    stage.sent(id, None).await;
    let (operation, _) = stage.ended(operation).await;
    assert_eq!(operation.error.unwrap().code, "manifest");
    stage.is_thrown_away(id).await;
}

#[tokio::test]
async fn what_could_not_be_thrown_away_goes_first_with_the_next_try() {
    let mut few = EngineOptions::default();
    few.timeouts.reboot = Duration::ZERO;
    let (stage, id) = stage_with(few).await;
    stage.world.fail("wipe");
    let operation = stage.begun(id).await;
    let (operation, events) = stage.ended(operation).await;
    assert_eq!(operation.status, OperationStatus::Failed, "{operation:?}");
    assert!(events.iter().any(|event| event.message.contains("could not be emptied")), "{events:#?}");
    let arrival = stage.arrival(id).await;
    assert_eq!((arrival.phase, arrival.rehearsal.unwrap().emptied), (MovePhase::Failed, false));
    // Nothing runs there all the same.
    assert_eq!(stage.machine().running, arrival.standby);

    stage.world.behave();
    stage.world.done.lock().unwrap().clear();
    let operation = stage.accepted(id, OperationKind::TryOut).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    assert_eq!(stage.world.count("wipe"), 1, "what was left goes before anything comes");
    stage.sent(id, Some(CopyTimes::default())).await;
    assert_eq!(stage.ended(operation).await.0.status, OperationStatus::Succeeded);
    stage.is_thrown_away(id).await;
}
