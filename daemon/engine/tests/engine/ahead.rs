//! What a target restores while the source still sends, and what it says of that where its machine fails.

use std::time::Duration;

use berth_domain::{Arrival, MigrationId, MovePhase, OperationId, OperationKind};
use berth_protocol::RestoredAhead;
use berth_store::{ArrivalRecord, StoreError};

use crate::stage::Stage;

/// The only snapshot.
const SNAPSHOT: &str = "5a";

/// A tenant that comes, on whose machine this happens first.
async fn coming(prepare: impl FnOnce(&Stage)) -> (Stage, MigrationId, OperationId) {
    let stage = Stage::set_up().await;
    prepare(&stage);
    let id = stage.handed_in(|_| "signed".into()).await;
    let operation = stage.accepted(id, OperationKind::Import).await;
    stage.until_phase(id, MovePhase::Receiving).await;
    (stage, id, operation)
}

fn can_restore(stage: &Stage) {
    let snapshots = [(SNAPSHOT.to_owned(), 10)].into();
    *stage.world.state.ahead.lock().unwrap() = Some(RestoredAhead { snapshots, ..RestoredAhead::default() });
}

/// The ticket, once something is said of that.
async fn told(stage: &Stage, id: MigrationId) -> Arrival {
    let waiting = async {
        loop {
            let arrival = stage.arrival(id).await;
            if arrival.ahead.is_some() || arrival.never_ahead {
                return arrival;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("nothing is said of it")
}

#[tokio::test]
async fn a_machine_that_starts_anew_meanwhile_goes_on_restoring() {
    let (stage, id, operation) = coming(|stage| {
        can_restore(stage);
        stage.world.paused.lock().unwrap().insert("restore-ahead");
    })
    .await;
    // For longer than failures would be passed over, if each look for the machine were one.
    *stage.world.out_of_touch.lock().unwrap() = true;
    stage.world.paused.lock().unwrap().remove("restore-ahead");
    tokio::time::sleep(Duration::from_secs(8)).await;
    let arrival = stage.arrival(id).await;
    assert!(arrival.ahead.is_none() && !arrival.never_ahead, "{arrival:?}");
    *stage.world.out_of_touch.lock().unwrap() = false;
    let ahead = told(&stage, id).await.ahead.unwrap();
    assert!(ahead.snapshots.contains_key(SNAPSHOT), "{ahead:?}");
    stage.engine.cancel(operation, "ann", None).await.unwrap();
    stage.ended(operation).await;
}

#[tokio::test]
async fn a_machine_that_is_away_is_not_waited_for_once_the_source_has_given_up() {
    let (stage, id, operation) = coming(|stage| {
        can_restore(stage);
        stage.world.paused.lock().unwrap().insert("restore-ahead");
    })
    .await;
    *stage.world.out_of_touch.lock().unwrap() = true;
    stage.world.paused.lock().unwrap().remove("restore-ahead");
    // Now the machine is waited for.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let give_up = |record: &mut ArrivalRecord| {
        record.arrival.phase = MovePhase::Failed;
        Ok::<_, StoreError>(())
    };
    stage.engine.change_arrival(id, give_up).await.unwrap();
    let (operation, _) = stage.ended(operation).await;
    assert_eq!(operation.error.map(|error| error.code).as_deref(), Some("source-failed"));
}

#[tokio::test]
async fn a_source_hears_that_nothing_is_restored_ahead_where_that_failed_again_and_again() {
    let (stage, id, operation) = coming(|stage| {
        can_restore(stage);
        stage.world.failing.lock().unwrap().insert("restore-ahead");
    })
    .await;
    let arrival = told(&stage, id).await;
    assert!(arrival.never_ahead && arrival.ahead.is_none(), "{arrival:?}");
    stage.engine.cancel(operation, "ann", None).await.unwrap();
    stage.ended(operation).await;
}

#[tokio::test]
async fn a_source_hears_that_nothing_is_restored_ahead_where_the_machine_cannot() {
    let (stage, id, operation) = coming(|_| ()).await;
    let arrival = told(&stage, id).await;
    assert!(arrival.never_ahead && arrival.ahead.is_none(), "{arrival:?}");
    stage.engine.cancel(operation, "ann", None).await.unwrap();
    stage.ended(operation).await;
}
