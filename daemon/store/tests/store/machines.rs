//! Machines.

use berth_domain::MachineFacts;
use berth_store::{Store, StoreError};

use crate::support::{busy, machine, now, on_both, settled};

on_both!(
    a_machine_is_registered_once_and_comes_back_with_what_was_found_out,
    what_a_check_finds_out_does_not_replace_what_an_operation_does,
    a_machine_with_a_tenant_on_it_is_not_forgotten,
    a_list_names_who_is_on_each_machine,
);

fn facts() -> MachineFacts {
    MachineFacts {
        at: now(),
        os: "Debian GNU/Linux 13 (trixie)".into(),
        nixos_version: None,
        system: "x86_64-linux".into(),
        kernel: "6.1".into(),
        systemd_version: Some("257".into()),
        nix_version: Some("2.26".into()),
        agent_version: "0.1.0".into(),
        processors: 2,
        memory_bytes: u64::MAX,
        memory_available_bytes: 1,
        disk_bytes: 2,
        disk_available_bytes: 1,
        data_disk_bytes: 1,
        data_disk_available_bytes: 1,
        running_system: None,
        booted_system: None,
        committed_system: Some("/nix/store/x".into()),
        needs_reboot: false,
        failed_units: vec!["a.service".into()],
    }
}

async fn a_machine_is_registered_once_and_comes_back_with_what_was_found_out(store: Store) {
    let (spec, at) = (machine("vm1"), now());
    store.create_machine(&spec, at, None).await.unwrap();
    assert!(matches!(store.create_machine(&spec, at, None).await, Err(StoreError::Exists { .. })));
    let (_, running) = busy(&store, "acme").await;
    store.set_machine_facts(running.hold, &spec.name, &facts()).await.unwrap();
    let found = store.machine(&spec.name).await.unwrap();
    assert_eq!((&found.spec, found.created_at), (&spec, at));
    assert_eq!(found.facts.map(|facts| facts.memory_bytes), Some(u64::MAX));
    let nobody = "vm2".parse().unwrap();
    assert!(matches!(store.machine(&nobody).await, Err(StoreError::NotFound { what: "machine", .. })));
    let unknown = store.set_machine_facts(running.hold, &nobody, &facts()).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "machine", .. })));
}

async fn what_a_check_finds_out_does_not_replace_what_an_operation_does(store: Store) {
    let (spec, mut running) = busy(&store, "acme").await;
    let found = facts();
    store.set_machine_facts(running.hold, &spec.machine, &found).await.unwrap();
    let checked = MachineFacts { kernel: "checked".into(), ..found.clone() };
    let known = async || store.machine(&spec.machine).await.unwrap().facts;
    store.set_checked_facts(&spec.machine, &checked).await.unwrap();
    assert_eq!(known().await, Some(found));
    running.status = berth_domain::OperationStatus::Succeeded;
    running.record(&store, Vec::new()).await.unwrap();
    store.set_checked_facts(&spec.machine, &checked).await.unwrap();
    assert_eq!(known().await, Some(checked.clone()));
    let unknown = store.set_checked_facts(&"vm9".parse().unwrap(), &checked).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { what: "machine", .. })));
}

async fn a_machine_with_a_tenant_on_it_is_not_forgotten(store: Store) {
    let spec = settled(&store, "acme").await;
    let refused = store.delete_machine(&spec.machine).await;
    assert!(matches!(refused, Err(StoreError::MachineInUse { tenant }) if tenant == spec.name));
    store.abandon_tenant(&spec.name).await.unwrap();
    store.delete_machine(&spec.machine).await.unwrap();
    assert!(matches!(store.delete_machine(&spec.machine).await, Err(StoreError::NotFound { .. })));
}

async fn a_list_names_who_is_on_each_machine(store: Store) {
    settled(&store, "bolt").await;
    store.create_machine(&machine("aaa"), now(), None).await.unwrap();
    settled(&store, "acme").await;
    let first = store.list_machines(None, 2).await.unwrap();
    let rest = store.list_machines(first.next.as_ref().map(berth_store::Cursor::as_str), 2).await.unwrap();
    let names = |tenant: &Option<berth_domain::TenantName>| tenant.as_ref().map(ToString::to_string);
    let all: Vec<_> =
        first.items.iter().chain(&rest.items).map(|m| (m.spec.name.to_string(), names(&m.tenant))).collect();
    let expected = [("aaa", None), ("acme-vm", Some("acme")), ("bolt-vm", Some("bolt"))];
    assert_eq!(all, expected.map(|(name, tenant)| (name.to_owned(), tenant.map(str::to_owned))));
    assert_eq!(rest.next, None);
}
