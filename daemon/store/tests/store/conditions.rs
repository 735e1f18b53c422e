//! What checks found.

use berth_domain::event::NewEvent;
use berth_domain::{
    Condition, EventKind, Finding, FindingKind, OperationStatus, RevisionId, TenantSpec, Timestamp,
};
use berth_store::conditions::Due;
use berth_store::{Store, StoreError};
use chrono::TimeDelta;

use crate::support::{claimed, deployment, now, on_both, settled};

on_both!(
    a_check_is_due_once_for_whoever_takes_it_first,
    a_check_that_a_clock_ahead_has_set_is_due_once_the_clock_is_right,
    what_was_seen_of_another_deployment_is_not_kept,
);

fn revision(digit: char) -> RevisionId {
    digit.to_string().repeat(64).parse().unwrap()
}

async fn deployed(store: &Store, name: &str) -> TenantSpec {
    let spec = settled(store, name).await;
    deploy(store, &spec, 'a').await;
    spec
}

/// A deployment from its beginning to its end.
async fn deploy(store: &Store, spec: &TenantSpec, digit: char) {
    queue(store, spec).await;
    let mut running = claimed(store).await;
    let (name, platform) = (&spec.name, "path:/nix/store/p");
    store.set_tenant_deployed(running.hold, name, &revision(digit), "/nix/store/x", platform).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(store, Vec::new()).await.unwrap();
}

async fn queue(store: &Store, spec: &TenantSpec) {
    let accepted = NewEvent::new(now(), EventKind::Accepted, "x");
    store.create_operation(&deployment(spec), accepted, None).await.unwrap();
}

async fn a_check_is_due_once_for_whoever_takes_it_first(store: Store) {
    settled(&store, "new").await;
    let acme = deployed(&store, "acme").await;
    let busy = deployed(&store, "busy").await;
    queue(&store, &busy).await;
    let at = now();
    assert_eq!(store.due_checks(due(at), 10).await.unwrap(), [(acme.name.clone(), false)]);
    let next = at + TimeDelta::minutes(1);
    let claims = (0..6).map(|_| {
        let (store, name) = (store.clone(), acme.name.clone());
        tokio::spawn(async move { store.claim_check(&name, due(at), next).await.unwrap() })
    });
    let mut won = 0;
    for claim in claims.collect::<Vec<_>>() {
        won += usize::from(claim.await.unwrap());
    }
    assert_eq!(won, 1);
    assert!(store.due_checks(due(at), 10).await.unwrap().is_empty());
    assert_eq!(store.due_checks(due(next), 10).await.unwrap(), [(acme.name, true)]);
}

async fn a_check_that_a_clock_ahead_has_set_is_due_once_the_clock_is_right(store: Store) {
    let acme = deployed(&store, "acme").await;
    let (at, ahead) = (now(), now() + TimeDelta::days(300));
    assert!(store.claim_check(&acme.name, due(ahead), ahead + TimeDelta::minutes(1)).await.unwrap());
    assert_eq!(store.due_checks(due(at), 10).await.unwrap(), [(acme.name.clone(), true)]);
    let next = at + TimeDelta::minutes(1);
    assert!(store.claim_check(&acme.name, due(at), next).await.unwrap());
    assert!(!store.claim_check(&acme.name, due(at), next).await.unwrap());
}

/// What is due where nobody sets a check for later than an hour from now.
fn due(now: Timestamp) -> Due {
    Due { now, latest: now + TimeDelta::hours(1) }
}

async fn what_was_seen_of_another_deployment_is_not_kept(store: Store) {
    let acme = deployed(&store, "acme").await;
    let finding = Finding::new(FindingKind::ClockSkew, "90 s ahead");
    let condition = Condition::of(now(), vec![finding]);
    store.set_condition(&acme.name, &revision('a'), &condition, None).await.unwrap();
    assert_eq!(store.tenant(&acme.name).await.unwrap().condition, Some(condition.clone()));
    let other = store.set_condition(&acme.name, &revision('b'), &condition, None).await;
    assert!(matches!(other, Err(StoreError::NotDeployed { .. })), "{other:?}");
    // What held for the deployment before holds no more.
    deploy(&store, &acme, 'b').await;
    assert_eq!(store.tenant(&acme.name).await.unwrap().condition, None);
    queue(&store, &acme).await;
    let busy = store.set_condition(&acme.name, &revision('b'), &condition, None).await;
    assert!(matches!(busy, Err(StoreError::OperationRunning { .. })), "{busy:?}");
}
