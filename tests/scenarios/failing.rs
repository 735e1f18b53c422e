//! Deployments that fail: the client learns why, and what ran keeps running.

use std::time::{Duration, Instant};

use anyhow::Result;
use berth_domain::{EventKind, StepName, StepStatus};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{self, Stage};
use berth_tests::workshop::{Extra, Workshop};
use berth_tests::{units, web};

/// How long the daemon gives a machine to answer; docs/src/configuration.md.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_failing_build_reaches_the_client_as_the_derivation_and_the_last_fifty_lines_of_its_log()
-> Result<()> {
    let workshop = Workshop::open(Extra::Fails)?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let _machine = stage.machine("workshop").await?;
    stage.client.create_tenant(&tenant("acme", "workshop")).await?;
    let told = stage.deploy("acme").await?;
    let error = told.failure()?;
    assert_eq!((error.code.as_str(), error.step), ("build-failed", Some(StepName::Build)));
    let derivation = error.derivation.as_deref().unwrap();
    assert!(derivation.starts_with("/nix/store/") && derivation.ends_with("-extra-1.0.drv"), "{derivation}");
    // The failing one wrote 100 lines and a word about the failure.
    let mut expected: Vec<String> = (52..=100).map(|line| format!("compiling file {line} of 100")).collect();
    expected.push("error: file 101 is missing".to_owned());
    assert_eq!(error.log, expected);
    assert_eq!(told.step(StepName::Copy), Some(StepStatus::Pending));
    assert_eq!(told.events.last().unwrap().error.as_ref(), Some(error));
    assert_eq!(stage.client.tenant(&stage::name("acme")).await?.deployed_revision, None);
    Ok(())
}

#[tokio::test]
async fn a_machine_that_does_not_answer_fails_the_deployment_in_time_with_the_reason_that_ssh_gives()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("silent").await?;
    stage.client.create_tenant(&tenant("acme", "silent")).await?;
    machine.cut_network().await?;
    let start = Instant::now();
    let told = stage.deploy("acme").await?;
    let took = start.elapsed();
    let error = told.failure()?;
    assert_eq!(error.code, "machine-unreachable");
    assert!(error.retryable);
    let reason = error.message.to_lowercase();
    assert!(["timed out", "no route to host"].iter().any(|word| reason.contains(word)), "{reason}");
    // It is tried four times, ever later; the rest is evaluating and building before.
    let retries = told.events.iter().filter(|event| event.kind == EventKind::Retrying).count();
    assert_eq!(retries, 3, "{:#?}", told.events);
    assert!(took < 4 * CONNECT_TIMEOUT + Duration::from_secs(50 + 15), "{took:?}");
    machine.heal_network().await?;
    stage.deploy("acme").await?.succeeded()?;
    Ok(())
}

#[tokio::test]
async fn a_machine_that_shows_another_host_key_is_not_deployed_to() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (wanted, impostor) = tokio::try_join!(stage.boot("wanted"), stage.boot("impostor"))?;
    let mut registered = stage::draft(&impostor);
    registered.host_key = wanted.host_key().to_string();
    stage.client.create_machine(&registered).await?;
    stage.client.create_tenant(&tenant("acme", "impostor")).await?;
    let before = units::look(&impostor).await?;
    let told = stage.deploy("acme").await?;
    let error = told.failure()?;
    assert_eq!(error.code, "wrong-host-key");
    assert!(!error.retryable, "an impostor does not go away by trying again");
    assert_eq!(told.step(StepName::Activate), Some(StepStatus::Pending));
    let changed = units::changed(&before, &units::look(&impostor).await?);
    assert!(!changed.iter().any(|unit| unit.starts_with("gitea")), "{changed:?}");
    assert!(web::get(&impostor, "git.acme.example", "/").await.is_err());
    Ok(())
}
