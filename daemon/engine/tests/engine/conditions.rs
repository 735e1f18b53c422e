//! Checks of deployed tenants.

use std::time::Duration;

use berth_domain::{Condition, FindingKind, OperationKind, TenantName};
use berth_engine::conditions::CheckError;
use berth_engine::{CheckOptions, EngineOptions};
use berth_store::StoreError;
use chrono::{TimeDelta, Utc};

use crate::fakes::{OLD, facts};
use crate::stage::Stage;

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

async fn examined(stage: &Stage) -> Condition {
    let tenant = stage.store.tenant(&acme()).await.unwrap();
    let condition = stage.engine.examine(&tenant).await.unwrap();
    stage.engine.keep_condition(&tenant, &condition, None).await.unwrap();
    assert_eq!(stage.store.tenant(&acme()).await.unwrap().condition, Some(condition.clone()));
    condition
}

fn kinds(condition: &Condition) -> Vec<FindingKind> {
    condition.findings.iter().map(|finding| finding.kind).collect()
}

#[tokio::test]
async fn a_machine_that_is_as_it_was_committed_is_sound_and_nothing_is_done_to_it() {
    let stage = Stage::set_up().await;
    stage.deploy().await;
    stage.world.done.lock().unwrap().clear();
    let condition = examined(&stage).await;
    assert!(condition.sound, "{condition:?}");
    let done = stage.world.done.lock().unwrap().clone();
    let harmless = ["platform", "open", "facts", "probe", "outside"];
    assert!(done.iter().all(|done| harmless.contains(&done.split(' ').next().unwrap())), "{done:?}");
}

#[tokio::test]
async fn everything_that_is_not_as_it_should_be_is_found_and_left_as_it_is() {
    let stage = Stage::set_up().await;
    stage.deploy().await;
    {
        let mut machine = stage.world.machine.lock().unwrap();
        machine.running = Some(OLD.into());
        machine.committed = Some(OLD.into());
        let mut told = facts(&machine);
        told.at = Utc::now() - TimeDelta::minutes(5);
        told.needs_reboot = true;
        (told.disk_bytes, told.disk_available_bytes) = (100 << 30, 1 << 30);
        told.failed_units = vec!["backup.service".into()];
        *stage.world.facts.lock().unwrap() = Some(told);
    }
    let soon = Utc::now() + TimeDelta::days(3);
    stage.world.certificates.lock().unwrap().insert("git.acme.example".into(), soon);
    let condition = examined(&stage).await;
    use FindingKind::*;
    let expected =
        [RunsOther, BootsOther, RebootNeeded, DiskNearlyFull, ClockSkew, UnitFailed, CertificateExpires];
    assert_eq!(kinds(&condition), expected, "{condition:?}");
    assert_eq!(stage.machine().running.as_deref(), Some(OLD));
    // The next deployment puts it right, and what was found before holds no more.
    *stage.world.facts.lock().unwrap() = None;
    stage.deploy().await;
    assert_eq!(stage.store.tenant(&acme()).await.unwrap().condition, None);
}

#[tokio::test]
async fn a_machine_that_cannot_be_asked_is_a_finding_and_no_error() {
    let stage = Stage::set_up().await;
    stage.deploy().await;
    stage.world.fail("open");
    let condition = examined(&stage).await;
    assert_eq!(kinds(&condition), [FindingKind::Unreachable]);
}

#[tokio::test]
async fn what_was_never_deployed_or_is_worked_on_is_not_judged() {
    let stage = Stage::set_up().await;
    let tenant = stage.store.tenant(&acme()).await.unwrap();
    let never = stage.engine.examine(&tenant).await.unwrap_err();
    assert!(matches!(never, CheckError::Store(StoreError::NotDeployed { .. })), "{never:?}");
    stage.deploy().await;
    let tenant = stage.store.tenant(&acme()).await.unwrap();
    let condition = stage.engine.examine(&tenant).await.unwrap();
    stage.world.hang("probe");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    let busy = stage.engine.keep_condition(&tenant, &condition, None).await;
    assert!(matches!(busy, Err(StoreError::OperationRunning { operation }) if operation == id), "{busy:?}");
}

#[tokio::test]
async fn deployed_tenants_are_checked_by_themselves_again_and_again() {
    let checks = CheckOptions { every: Some(Duration::from_millis(400)), parallel: 2 };
    let stage = Stage::with(EngineOptions { checks, ..EngineOptions::default() }).await;
    stage.deploy().await;
    let seen = async |beyond| loop {
        let condition = stage.store.tenant(&acme()).await.unwrap().condition;
        if let Some(condition) = condition.filter(|condition| Some(condition.checked_at) > beyond) {
            return condition.checked_at;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let twice = async {
        let first = seen(None).await;
        seen(Some(first)).await
    };
    tokio::time::timeout(Duration::from_secs(30), twice).await.expect("it is not checked");
}
