//! Who runs an operation.

use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, OperationStatus, Revision};
use berth_store::{Claim, Store, StoreError};

use crate::support::{busy, claim, claims, deployment, now, on_both, settled};

on_both!(
    what_is_held_is_nobody_elses_until_the_lease_runs_out,
    a_daemon_that_comes_back_takes_up_at_once_what_it_left,
    a_fence_is_greater_than_every_one_before_it_on_its_machine,
    a_holder_that_was_taken_for_dead_writes_nothing_any_more,
    a_lease_that_ran_out_can_be_renewed_as_long_as_nobody_took_the_operation,
    what_is_given_back_is_anybodys_at_once,
    a_write_that_comes_again_is_answered_and_not_written_twice,
    of_daemons_that_take_over_at_once_one_gets_it,
    a_renewal_tells_of_a_wish_to_cancel,
);

fn event(text: &str) -> NewEvent {
    NewEvent::new(now(), EventKind::Log, text)
}

fn brief(owner: &str) -> Claim {
    Claim { lasting: Duration::from_millis(50), ..claim(owner) }
}

async fn until_it_ran_out() {
    tokio::time::sleep(Duration::from_millis(80)).await;
}

async fn what_is_held_is_nobody_elses_until_the_lease_runs_out(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let first = claims(&store, &claim("one")).await.unwrap();
    assert!(!first.taken_over);
    assert!(claims(&store, &claim("two")).await.is_none());
    store.renew(first.hold, Duration::from_millis(50)).await.unwrap();
    assert!(claims(&store, &claim("two")).await.is_none());
    until_it_ran_out().await;
    let second = claims(&store, &claim("two")).await.unwrap();
    assert_eq!((second.id, second.taken_over, second.started_at), (first.id, true, first.started_at));
    assert!(second.hold.fence > first.hold.fence);
}

async fn a_daemon_that_comes_back_takes_up_at_once_what_it_left(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let before = claims(&store, &claim("one")).await.unwrap();
    // As long as it runs there, it is not claimed twice; nor by a daemon that has been there for long.
    let running = Claim { except: vec![before.id], ..claim("one") };
    assert!(claims(&store, &running).await.is_none());
    assert!(claims(&store, &Claim { restarted: false, ..claim("one") }).await.is_none());
    let after = claims(&store, &claim("one")).await.unwrap();
    assert_eq!((after.id, after.taken_over), (before.id, true));
    assert!(after.hold.fence > before.hold.fence);
}

async fn a_fence_is_greater_than_every_one_before_it_on_its_machine(store: Store) {
    let mut last = 0;
    for round in 0..5 {
        let spec = match store.tenant(&"acme".parse().unwrap()).await {
            Ok(tenant) => tenant.spec,
            Err(_) => settled(&store, "acme").await,
        };
        store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
        for _ in 0..5 {
            let mut holder = claims(&store, &claim("one")).await.unwrap();
            assert!(holder.hold.fence > last, "{} after {last}", holder.hold.fence);
            assert!(holder.hold.fence < 1 << 53);
            last = holder.hold.fence;
            if holder.hold.fence % 2 == 0 {
                holder.record(&store, vec![event("y")]).await.unwrap();
            }
        }
        let mut holder = claims(&store, &claim("one")).await.unwrap();
        holder.status = OperationStatus::Failed;
        holder.record(&store, Vec::new()).await.unwrap();
        last = holder.hold.fence;
        // Also where the machine was forgotten meanwhile.
        if round % 2 == 1 {
            store.abandon_tenant(&spec.name).await.unwrap();
            store.delete_machine(&spec.machine).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn a_holder_that_was_taken_for_dead_writes_nothing_any_more(store: Store) {
    let (spec, mut stale) = busy(&store, "acme").await;
    store.renew(stale.hold, Duration::ZERO).await.unwrap();
    let mut fresh = claims(&store, &claim("two")).await.unwrap();
    fresh.record(&store, vec![event("fresh")]).await.unwrap();
    let before = (store.operation(fresh.id).await.unwrap(), store.tenant(&spec.name).await.unwrap());
    stale.status = OperationStatus::Failed;
    let id = "ab".repeat(32).parse().unwrap();
    let revision = Revision {
        id,
        tenant: spec.name.clone(),
        spec: spec.clone(),
        files: [("flake.nix".to_owned(), "{ }".to_owned())].into(),
        created_at: now(),
    };
    let hold = stale.hold;
    for refused in [
        stale.record(&store, vec![event("stale")]).await.map(drop),
        store.renew(hold, Duration::from_secs(60)).await.map(drop),
        store.release(hold).await,
        store.keep_revision(hold, &revision).await,
        store.set_tenant_deployed(hold, &spec.name, &revision.id, "/nix/store/x", "path:/nix/store/p").await,
        store.forget_tenant(hold, &spec.name, &spec.machine, false).await,
    ] {
        let lost = matches!(refused, Err(StoreError::LeaseLost { operation, fence })
            if operation == fresh.id && fence == hold.fence);
        assert!(lost, "{refused:?}");
    }
    let after = (store.operation(fresh.id).await.unwrap(), store.tenant(&spec.name).await.unwrap());
    assert_eq!(after, before);
    assert!(matches!(store.revision(&spec.name, &revision.id).await, Err(StoreError::NotFound { .. })));
    let told = store.events(fresh.id, 0, 9).await.unwrap().events;
    assert_eq!(told.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(), ["accepted", "fresh"]);
}

async fn a_lease_that_ran_out_can_be_renewed_as_long_as_nobody_took_the_operation(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), event("x"), None).await.unwrap();
    let mut late = claims(&store, &brief("one")).await.unwrap();
    until_it_ran_out().await;
    late.record(&store, vec![event("late")]).await.unwrap();
    store.renew(late.hold, Duration::from_secs(60)).await.unwrap();
    assert!(claims(&store, &claim("two")).await.is_none());
    late.status = OperationStatus::Succeeded;
    late.record(&store, Vec::new()).await.unwrap();
    let ended = store.renew(late.hold, Duration::from_secs(60)).await;
    assert!(matches!(ended, Err(StoreError::Finished { .. })));
}

async fn what_is_given_back_is_anybodys_at_once(store: Store) {
    let (_, holder) = busy(&store, "acme").await;
    store.release(holder.hold).await.unwrap();
    let next = claims(&store, &claim("two")).await.unwrap();
    assert!(next.taken_over && next.hold.fence > holder.hold.fence);
}

async fn a_write_that_comes_again_is_answered_and_not_written_twice(store: Store) {
    let (_, mut holder) = busy(&store, "acme").await;
    holder.record(&store, vec![event("first")]).await.unwrap();
    holder.system = Some("/nix/store/x".into());
    let (operation, hold) = (holder.operation.clone(), holder.hold);
    let written = store.record(hold, 2, &operation, vec![event("a"), event("b")]).await.unwrap();
    // Its answer was lost, and somebody wished something meanwhile.
    let wish = NewEvent::new(now(), EventKind::CancelRequested, "stop");
    store.request_cancel(holder.id, wish, None).await.unwrap();
    let again = store.record(hold, 2, &operation, vec![event("a"), event("b")]).await.unwrap();
    assert_eq!(again.events[..2], written.events);
    assert!(again.operation.cancel_requested);
    assert_eq!((again.operation.system.as_deref(), again.operation.last_seq), (Some("/nix/store/x"), 5));
    let told = store.events(holder.id, 0, 9).await.unwrap().events;
    let messages: Vec<_> = told.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["accepted", "first", "a", "b", "stop"]);
    // Also where it was the end.
    let mut last = again.operation;
    last.status = OperationStatus::Failed;
    let ended = store.record(hold, 3, &last, vec![event("end")]).await.unwrap();
    assert_eq!(store.record(hold, 3, &last, vec![event("end")]).await.unwrap(), ended);
}

async fn of_daemons_that_take_over_at_once_one_gets_it(store: Store) {
    for round in 0..10 {
        let (_, holder) = busy(&store, &format!("t{round}")).await;
        store.release(holder.hold).await.unwrap();
        let takers = (0..4).map(|n| {
            let store = store.clone();
            tokio::spawn(async move { claims(&store, &claim(&format!("daemon-{round}-{n}"))).await })
        });
        let mut got = 0;
        for taker in takers.collect::<Vec<_>>() {
            got += usize::from(taker.await.unwrap().is_some());
        }
        assert_eq!(got, 1);
    }
}

async fn a_renewal_tells_of_a_wish_to_cancel(store: Store) {
    let (_, holder) = busy(&store, "acme").await;
    assert!(!store.renew(holder.hold, Duration::from_secs(60)).await.unwrap().cancel_requested);
    store.request_cancel(holder.id, event("stop"), None).await.unwrap();
    assert!(store.renew(holder.hold, Duration::from_secs(60)).await.unwrap().cancel_requested);
}
