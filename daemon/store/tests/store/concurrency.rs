//! Requests that come at the same time and touch the same things.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{EventKind, OperationStatus, Progress, StepName, StepStatus, progress::Unit};
use berth_store::{OperationFilter, Store, StoreError};

use crate::support::{claimed, deployment, machine, now, on_both, settled, tenant};

on_both!(
    of_tenants_that_ask_for_one_domain_or_one_machine_at_once_one_gets_it,
    a_machine_is_never_forgotten_under_a_tenant_that_comes,
    a_tenant_is_never_forgotten_under_an_operation_that_comes,
    an_operation_that_is_being_written_is_never_read_half,
    an_operation_whose_caller_gave_up_is_there_whole_or_not_at_all,
);

fn accepted() -> NewEvent {
    NewEvent::new(now(), EventKind::Accepted, "accepted")
}

async fn of_tenants_that_ask_for_one_domain_or_one_machine_at_once_one_gets_it(store: Store) {
    store.create_machine(&machine("wanted-vm"), now(), None).await.unwrap();
    let mut specs = Vec::new();
    for n in 0..6 {
        specs.push(tenant(&format!("machine-{n}"), "wanted-vm"));
        let mut spec = tenant(&format!("domain-{n}"), &format!("vm{n}"));
        spec.domain = "wanted.example".parse().unwrap();
        store.create_machine(&machine(spec.machine.as_str()), now(), None).await.unwrap();
        specs.push(spec);
    }
    let asking = specs.into_iter().map(|spec| {
        let store = store.clone();
        tokio::spawn(async move { (spec.name.to_string(), store.create_tenant(&spec, now(), None).await) })
    });
    let (mut got, mut domain_taken, mut machine_taken) = (Vec::new(), 0, 0);
    for asked in asking.collect::<Vec<_>>() {
        match asked.await.unwrap() {
            (name, Ok(_)) => got.push(name),
            (_, Err(StoreError::DomainTaken { .. })) => domain_taken += 1,
            (_, Err(StoreError::MachineTaken { .. })) => machine_taken += 1,
            (name, Err(other)) => panic!("{name}: {other}"),
        }
    }
    assert_eq!((got.len(), domain_taken, machine_taken), (2, 5, 5), "{got:?}");
    assert_eq!(store.list_tenants(None, 100).await.unwrap().items.len(), 2);
}

async fn a_machine_is_never_forgotten_under_a_tenant_that_comes(store: Store) {
    for n in 0..20 {
        let spec = tenant(&format!("t{n}"), &format!("vm{n}"));
        store.create_machine(&machine(spec.machine.as_str()), now(), None).await.unwrap();
        let coming = {
            let (store, spec) = (store.clone(), spec.clone());
            tokio::spawn(async move { store.create_tenant(&spec, now(), None).await })
        };
        let going = {
            let (store, name) = (store.clone(), spec.machine.clone());
            tokio::spawn(async move { store.delete_machine(&name).await })
        };
        match (coming.await.unwrap(), going.await.unwrap()) {
            (Ok(_), Err(StoreError::MachineInUse { tenant })) => assert_eq!(tenant, spec.name),
            (Err(StoreError::NoSuchMachine { .. }), Ok(())) => {}
            (came, went) => panic!("{came:?} and {went:?}"),
        }
    }
}

async fn a_tenant_is_never_forgotten_under_an_operation_that_comes(store: Store) {
    for n in 0..20 {
        let spec = settled(&store, &format!("t{n}")).await;
        let operation = deployment(&spec);
        let coming = {
            let (store, operation) = (store.clone(), operation.clone());
            tokio::spawn(async move { store.create_operation(&operation, accepted(), None).await })
        };
        let going = {
            let (store, name) = (store.clone(), spec.name.clone());
            tokio::spawn(async move { store.delete_undeployed_tenant(&name).await })
        };
        match (coming.await.unwrap(), going.await.unwrap()) {
            (Ok(()), Err(StoreError::OperationRunning { operation: id })) => assert_eq!(id, operation.id),
            (Err(StoreError::NotFound { what: "tenant", .. }), Ok(())) => {}
            (came, went) => panic!("{came:?} and {went:?}"),
        }
    }
}

/// Each record names its round three times: in the row, in a step, and as the number of its event.
async fn an_operation_that_is_being_written_is_never_read_half(store: Store) {
    let spec = settled(&store, "acme").await;
    store.create_operation(&deployment(&spec), accepted(), None).await.unwrap();
    let mut operation = claimed(&store).await;
    let id = operation.id;
    let over = Arc::new(AtomicBool::new(false));
    let readers = (0..4).map(|n| {
        let (store, over) = (store.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                let seen = if n % 2 == 0 {
                    store.operation(id).await.unwrap()
                } else {
                    let page = store.list_operations(&OperationFilter::default(), None, 5).await.unwrap();
                    page.items.into_iter().next().unwrap()
                };
                let round = seen.system.as_deref().map(|system| system.parse::<u64>().unwrap());
                let step = seen.step(StepName::Build).unwrap();
                assert_eq!(step.progress.map(|progress| progress.done), round, "read in between");
                assert_eq!(seen.last_seq as u64, 1 + round.map_or(0, |round| round + 1));
                looks += 1;
            }
            looks
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 0..300 {
        operation.system = Some(round.to_string());
        let step = operation.step_mut(StepName::Build).unwrap();
        step.status = StepStatus::Running;
        step.progress = Some(Progress::of(round, 300, Unit::Builds));
        operation.record(&store, vec![NewEvent::new(now(), EventKind::Log, "round")]).await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

async fn an_operation_whose_caller_gave_up_is_there_whole_or_not_at_all(store: Store) {
    let mut asked = Vec::new();
    for n in 0..24 {
        let spec = settled(&store, &format!("t{n}")).await;
        let operation = deployment(&spec);
        let asking = {
            let (store, operation) = (store.clone(), operation.clone());
            tokio::spawn(async move { store.create_operation(&operation, accepted(), None).await })
        };
        tokio::time::sleep(Duration::from_micros(n * 60)).await;
        asking.abort();
        asked.push(operation);
    }
    // A transaction that nobody waits for any more is still carried to its end.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut there = 0;
    for operation in asked {
        match store.operation(operation.id).await {
            Ok(found) => {
                there += 1;
                assert_eq!(found, operation.after_acceptance());
                assert_eq!(store.events(operation.id, 0, 9).await.unwrap().events.len(), 1);
            }
            Err(StoreError::NotFound { .. }) => {
                let again = deployment(&store.tenant(&operation.tenant).await.unwrap().spec);
                store.create_operation(&again, accepted(), None).await.unwrap();
            }
            Err(other) => panic!("{other}"),
        }
    }
    let waiting = OperationFilter { status: Some(OperationStatus::Queued), ..OperationFilter::default() };
    assert_eq!(
        store.list_operations(&waiting, None, 100).await.unwrap().items.len(),
        24,
        "{there} were there"
    );
}
