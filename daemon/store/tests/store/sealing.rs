//! Sealing everything to another key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use berth_domain::event::NewEvent;
use berth_domain::{
    EventKind, Operation, OperationId, OperationKind, OperationStatus, Revision, RevisionId, SealedSecret,
    Setting, TenantSpec, VaultId,
};
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState};
use berth_store::{OperationFilter, Reseal, SealedPlace, Store, StoreError, VaultRecord};
use chrono::TimeDelta;

use crate::support::{busy, now, on_both, postgres};

on_both!(
    the_first_key_is_noted_and_stays,
    everything_is_sealed_anew_in_its_place_and_nothing_else_changes,
    what_cannot_be_sealed_anew_leaves_everything_as_it_was,
);

async fn the_first_key_is_noted_and_stays(store: Store) {
    assert_eq!(store.sealed_to().await.unwrap(), None);
    assert_eq!(store.note_sealed_to("age1a").await.unwrap(), "age1a");
    assert_eq!(store.note_sealed_to("age1b").await.unwrap(), "age1a");
    assert_eq!(store.sealed_to().await.unwrap().as_deref(), Some("age1a"));
}

/// A tenant with the secrets `/token` and `/smtp/password`, in everything that is stored of it.
async fn filled(store: &Store) -> TenantSpec {
    let (bare, mut running) = busy(store, "acme").await;
    let spec = with_secrets(bare.clone(), "kept");
    let id: RevisionId = "ab".repeat(32).parse().unwrap();
    let revision = |id: RevisionId, spec: &TenantSpec| Revision {
        id,
        tenant: spec.name.clone(),
        spec: spec.clone(),
        files: [("flake.nix".into(), "{ }\n".into())].into(),
        created_at: now(),
    };
    store.keep_revision(running.hold, &revision(id, &spec)).await.unwrap();
    store.keep_revision(running.hold, &revision("cd".repeat(32).parse().unwrap(), &bare)).await.unwrap();
    for (operation, sealed) in [(2, None), (1, Some("place"))] {
        store.keep_offsite(&crate::offsite::record(operation, sealed), now()).await.unwrap();
    }
    let vault = VaultRecord { id: VaultId::from_u128(7), sealed_key: "key".into() };
    store.keep_vault(running.hold, &spec.name, &vault, now()).await.unwrap();
    running.status = OperationStatus::Succeeded;
    running.record(store, Vec::new()).await.unwrap();
    store.update_tenant(&spec, None, now()).await.unwrap();
    let (tenant, machine) = (spec.name.clone(), spec.machine.clone());
    let preview = Operation::queued(tenant, machine, OperationKind::Preview, false, "panel".into(), now());
    let asked = with_secrets(bare, "asked");
    let accepted = NewEvent::new(now(), EventKind::Accepted, "accepted");
    store.create_preview(&preview, &asked, accepted, None).await.unwrap();
    let until = now() + TimeDelta::seconds(60);
    let lease = LeaseRecord { holder: "one".into(), held_by: "one".into(), until };
    let fence = store.lease_nixops4_state(&spec.name, &lease, now()).await.unwrap();
    let change = ChangeRecord {
        serial: 1,
        at: now(),
        event: "create".into(),
        nixops_version: "0.1.0".into(),
        made_by: "test".into(),
        patch: "patch".into(),
    };
    let state = NewState { change, fence, document: "document".into(), sensitive: Vec::new() };
    store.keep_nixops4_state(&spec.name, &state, None).await.unwrap();
    spec
}

fn with_secrets(mut spec: TenantSpec, value: &str) -> TenantSpec {
    let secret =
        |version, name: &str| Setting::Secret(SealedSecret { version, sealed: format!("{value} {name}") });
    let settings = &mut spec.services.values_mut().next().unwrap().settings;
    settings.insert("token".into(), secret(1, "token"));
    let smtp = [
        ("host".to_owned(), Setting::Text("$secret".into())),
        ("password".to_owned(), secret(3, "password")),
    ];
    settings.insert("smtp".into(), Setting::Attrs(smtp.into()));
    spec
}

/// Writes down where it was asked, after what was there.
fn by_place() -> Reseal {
    Arc::new(|place, sealed| {
        let place = match place {
            SealedPlace::Secret { tenant, service, setting, version } => {
                format!("{tenant}/{service}{setting} {version}")
            }
            SealedPlace::Nixops4State { tenant, serial } => format!("{tenant} state {serial}"),
            SealedPlace::Nixops4Change { tenant, serial } => format!("{tenant} change {serial}"),
            SealedPlace::VaultKey { vault } => format!("vault {vault}"),
            SealedPlace::Ticket { operation } => format!("ticket {operation}"),
            SealedPlace::Offsite { operation } => format!("offsite {operation}"),
        };
        Ok(format!("{sealed} at {place}"))
    })
}

fn sealed(spec: &TenantSpec) -> [String; 2] {
    let settings = Setting::Attrs(spec.services["gitea"].settings.clone());
    ["/token", "/smtp/password"].map(|at| settings.secret_at(at).unwrap().sealed.clone())
}

async fn everything_is_sealed_anew_in_its_place_and_nothing_else_changes(store: Store) {
    let spec = filled(&store).await;
    let before = store.tenant(&spec.name).await.unwrap();
    store.note_sealed_to("age1a").await.unwrap();
    assert_eq!(store.reseal(Some("age1a"), "age1b", by_place()).await.unwrap(), 10);
    assert_eq!(store.sealed_to().await.unwrap().as_deref(), Some("age1b"));
    let after = store.tenant(&spec.name).await.unwrap();
    let expected = |value: &str| {
        [
            format!("{value} token at acme/gitea/token 1"),
            format!("{value} password at acme/gitea/smtp/password 3"),
        ]
    };
    assert_eq!(sealed(&after.spec), expected("kept"));
    assert_eq!((after.version, after.updated_at), (before.version, before.updated_at));
    for revised in store.revised_specs(&spec.name).await.unwrap() {
        let others = TenantSpec { services: revised.services.clone(), ..before.spec.clone() };
        assert_eq!(revised, others);
        if revised.services["gitea"].settings.contains_key("token") {
            assert_eq!(sealed(&revised), expected("kept"));
        }
    }
    let operations = store.list_operations(&OperationFilter::default(), None, 10).await.unwrap().items;
    let preview = operations.iter().find(|operation| operation.kind == OperationKind::Preview).unwrap();
    assert_eq!(sealed(&store.previewed_spec(preview.id).await.unwrap()), expected("asked"));
    let state = store.nixops4_state(&spec.name).await.unwrap();
    assert_eq!(state.document.as_deref(), Some("document at acme state 1"));
    let vault = store.vault(&spec.name).await.unwrap().unwrap();
    assert_eq!(vault.sealed_key, format!("key at vault {}", VaultId::from_u128(7)));
    let place = store.offsite(OperationId::from_u128(1)).await.unwrap().unwrap();
    assert_eq!(place.sealed, Some(format!("place at offsite {}", OperationId::from_u128(1))));
    let changes = store.list_nixops4_changes(&spec.name, None, 10).await.unwrap();
    assert_eq!(changes.items[0].patch, "patch at acme change 1");
    let stale = store.reseal(Some("age1a"), "age1c", by_place()).await.unwrap_err();
    assert!(matches!(&stale, StoreError::SealedToAnother { recipient } if recipient == "age1b"), "{stale}");
}

async fn what_cannot_be_sealed_anew_leaves_everything_as_it_was(store: Store) {
    let spec = filled(&store).await;
    store.note_sealed_to("age1a").await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    // The last of all.
    let fail: Reseal = Arc::new(move |place, sealed| match asked.fetch_add(1, Ordering::Relaxed) {
        7 => Err("it is spoiled".to_owned()),
        _ => by_place()(place, sealed),
    });
    let refused = store.reseal(Some("age1a"), "age1b", fail).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Reseal(reason) if reason == "it is spoiled"), "{refused}");
    assert_eq!(store.sealed_to().await.unwrap().as_deref(), Some("age1a"));
    assert_eq!(store.tenant(&spec.name).await.unwrap().spec, spec);
    assert_eq!(store.nixops4_state(&spec.name).await.unwrap().document.as_deref(), Some("document"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sealed_anew_on_postgresql_while_a_daemon_uses_it() {
    let Some((store, database)) = postgres().await else { return };
    let mut one = store.join().await.unwrap();
    let two = store.join().await.unwrap();
    for present in [Some(two), None] {
        let refused = store.reseal(None, "age1b", by_place()).await.unwrap_err();
        assert!(matches!(refused, StoreError::InUse(_)), "{refused}");
        drop(present);
    }
    assert!(one.holds().await);
    drop(one);
    // The server sees in its own time that the connections are gone.
    let mut attempt = 0;
    while let Err(error) = store.reseal(None, "age1b", by_place()).await {
        attempt += 1;
        assert!(matches!(error, StoreError::InUse(_)) && attempt < 100, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.sealed_to().await.unwrap().as_deref(), Some("age1b"));
    drop(store);
    database.remove().await;
}
