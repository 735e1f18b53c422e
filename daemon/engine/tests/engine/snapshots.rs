//! State into its vault, and back.

use std::path::Path;
use std::sync::atomic::Ordering;

use berth_bundle::{Entry, Head};
use berth_domain::{Operation, OperationKind, OperationStatus, StepName, StepStatus};
use berth_engine::ports::VaultAccess;
use berth_seal::Keys;
use berth_sign::TrustedKeys;
use chrono::Utc;

use crate::stage::Stage;

async fn deployed() -> Stage {
    let stage = Stage::set_up().await;
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    stage
}

async fn snapshot(stage: &Stage) -> Operation {
    let id = stage.submit(OperationKind::Snapshot, false).await;
    stage.ended(id).await.0
}

async fn restore(stage: &Stage, from: &Operation) -> Operation {
    let (tenant, machine) = (from.tenant.clone(), from.machine.clone());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Restore, false, "test".into(), Utc::now());
    let operation = Operation { snapshot: from.snapshot, ..operation };
    stage.engine.submit(&operation, None).await.unwrap();
    stage.ended(operation.id).await.0
}

#[tokio::test]
async fn a_snapshot_is_copied_while_services_go_on_then_while_they_are_quiet_and_written_down() {
    let stage = deployed().await;
    let operation = snapshot(&stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(operation.snapshot, Some(operation.id));
    let (kept, vault) = stage.store.snapshot(operation.id).await.unwrap();
    let url = format!("http://127.0.0.1:4242/vault/{}/", vault.id);
    assert_eq!(*stage.world.state.done.lock().unwrap(), [format!("live {url}"), format!("quiesced {url}")]);
    let found: Vec<_> = kept.captured().map(|(service, part)| (service.as_str(), &*part.restic)).collect();
    assert_eq!(found, [("gitea", "quiesced-of-gitea"), ("mastodon", "quiesced-of-mastodon")]);
    assert!(kept.whole && kept.revision == operation.revision);
    // Nobody is let in any more, and nobody was ever let to remove anything.
    assert_eq!(stage.world.state.admitted.load(Ordering::Relaxed), 0);
    assert_eq!(*stage.world.state.accesses.lock().unwrap(), [VaultAccess::Append; 2]);
    // The next one goes to the same vault, whose key is nowhere in clear.
    let next = snapshot(&stage).await;
    assert_eq!(stage.store.snapshot(next.id).await.unwrap().1, vault);
    assert!(vault.sealed_key.len() > 100, "{}", vault.sealed_key);
}

#[tokio::test]
async fn a_service_that_fails_is_tried_again_and_keeps_no_other_from_being_captured() {
    let stage = deployed().await;
    stage.world.state.failing.lock().unwrap().extend([vec![], vec!["mastodon"], vec!["mastodon"]]);
    let operation = snapshot(&stage).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert!(stage.store.snapshot(operation.id).await.unwrap().0.whole);

    stage.world.state.failing.lock().unwrap().push_back(vec![]);
    stage.world.state.failing.lock().unwrap().extend(vec![vec!["mastodon"]; 3]);
    let operation = snapshot(&stage).await;
    let error = operation.error.unwrap();
    assert_eq!((error.code.as_str(), &*error.message), ("snapshot-incomplete", "mastodon: it is sick"));
    let (kept, _) = stage.store.snapshot(operation.id).await.unwrap();
    assert_eq!((kept.whole, kept.captured().count()), (false, 1));

    // Of one that captured nothing, nothing is left.
    stage.world.state.failing.lock().unwrap().extend(vec![vec!["gitea", "mastodon"]; 6]);
    let operation = snapshot(&stage).await;
    assert_eq!(operation.status, OperationStatus::Failed);
    assert!(stage.store.snapshot(operation.id).await.is_err());
}

#[tokio::test]
async fn a_restore_brings_back_what_the_snapshot_holds_and_has_it_asked_whether_it_serves() {
    let stage = deployed().await;
    stage.world.state.failing.lock().unwrap().push_back(vec![]);
    stage.world.state.failing.lock().unwrap().extend(vec![vec!["mastodon"]; 3]);
    let from = snapshot(&stage).await;
    stage.world.state.done.lock().unwrap().clear();
    let probes = stage.world.count("probe");
    let operation = restore(&stage, &from).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(*stage.world.state.done.lock().unwrap(), ["restore gitea=quiesced-of-gitea"]);
    assert_eq!(stage.world.state.accesses.lock().unwrap().last(), Some(&VaultAccess::Read));
    assert_eq!(stage.world.count("probe"), probes + 1);
    assert_eq!(operation.step(StepName::Verify).map(|step| step.status), Some(StepStatus::Succeeded));
}

#[tokio::test]
async fn a_vault_goes_with_a_tenant_whose_data_is_removed_and_stays_otherwise() {
    for wipe in [true, false] {
        let stage = deployed().await;
        let made = snapshot(&stage).await;
        let (_, vault) = stage.store.snapshot(made.id).await.unwrap();
        assert_eq!(*stage.world.state.vaults_made.lock().unwrap(), [vault.id], "once");
        let id = stage.submit(OperationKind::Destroy, wipe).await;
        assert_eq!(stage.ended(id).await.0.status, OperationStatus::Succeeded);
        let expected = if wipe { vec![vault.id] } else { Vec::new() };
        assert_eq!(*stage.world.state.destroyed.lock().unwrap(), expected);
        assert_eq!(stage.store.snapshot(made.id).await.is_err(), wipe);
    }
}

pub async fn export(stage: &Stage, from: Option<&Operation>, recipient: Option<String>) -> Operation {
    let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
    let operation =
        Operation::queued(tenant, machine, OperationKind::Export, false, "test".into(), Utc::now());
    let snapshot = from.map_or(operation.snapshot, |from| from.snapshot);
    let operation = Operation { snapshot, recipient, ..operation };
    stage.engine.submit(&operation, None).await.unwrap();
    stage.ended(operation.id).await.0
}

fn entries(path: &Path) -> Vec<String> {
    let report = berth_bundle::verify(path, &TrustedKeys::default()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    let mut listed = Vec::new();
    let show = &mut |_: &Head, entry: &Entry| listed.push(entry.path.encoded());
    berth_bundle::inspect(path, &TrustedKeys::default(), show).unwrap();
    listed
}

#[tokio::test]
async fn an_export_is_a_signed_bundle_of_everything_and_its_secrets_are_for_one_recipient_alone() {
    let stage = deployed().await;
    let theirs = Keys::generate();
    let operation = export(&stage, None, Some(theirs.recipient())).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let path = stage.engine.exports().bundle(operation.id);
    let listed = entries(&path);
    for expected in [
        "configuration/flake.nix",
        "secrets/gitea/internal-token.age",
        "services/gitea/databases/gitea.dump",
        "services/gitea/files/var/lib/gitea/a file",
        "services/mastodon/files/var/lib/mastodon",
    ] {
        assert!(listed.iter().any(|path| path == expected), "{expected}: {listed:#?}");
    }
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "a secret stands there in clear");
    assert!(!stage.engine.exports().folder.join(format!("{}.work", operation.id)).exists());

    // One of an earlier snapshot captures nothing anew.
    let made = snapshot(&stage).await;
    stage.world.state.done.lock().unwrap().clear();
    let operation = export(&stage, Some(&made), None).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(operation.step(StepName::Capture).map(|step| step.status), Some(StepStatus::Skipped));
    assert_eq!(*stage.world.state.done.lock().unwrap(), Vec::<String>::new());
    let listed = entries(&stage.engine.exports().bundle(operation.id));
    assert!(listed.iter().all(|path| !path.starts_with("secrets")), "{listed:?}");
}

#[tokio::test]
async fn what_a_machine_made_a_link_of_leads_to_nothing_of_this_host() {
    let stage = deployed().await;
    let ours = stage.folder.path().join("ours");
    std::fs::write(&ours, "the daemon's own").unwrap();
    *stage.world.state.dumps_lead_to.lock().unwrap() = Some(ours);
    let operation = export(&stage, None, None).await;
    assert_eq!(operation.error.map(|error| error.code).as_deref(), Some("export-failed"));
    assert!(!stage.engine.exports().bundle(operation.id).exists());
}
