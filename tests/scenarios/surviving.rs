//! Operations that outlive their daemon, and operations that somebody stops.

use std::time::Duration;

use anyhow::{Result, ensure};
use berth_domain::{EventKind, Operation, OperationStatus, StepName};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;
use berth_tests::workshop::{Extra, Workshop};

/// A deployment whose build waits at the gate.
async fn waiting(machine: &str) -> Result<Option<(Workshop, Stage, berth_testbed::Machine, Operation)>> {
    let workshop = Workshop::open(Extra::Waits { pause_ms: 50 })?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
    let vm = stage.machine(machine).await?;
    stage.client.create_tenant(&tenant("acme", machine)).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    at_the_gate(&workshop).await?;
    Ok(Some((workshop, stage, vm, operation)))
}

async fn at_the_gate(workshop: &Workshop) -> Result<()> {
    for _ in 0..600 {
        if workshop.is_waiting() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the build does not begin")
}

#[tokio::test]
async fn an_operation_whose_daemon_is_killed_while_building_is_taken_up_again_and_ends_well() -> Result<()> {
    let Some((workshop, mut stage, machine, operation)) = waiting("killed").await? else { return Ok(()) };
    stage.daemon.kill()?;
    stage.daemon.start_again()?;
    workshop.open_gate()?;
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    assert!(told.events.iter().any(|event| event.kind == EventKind::Resumed), "{:#?}", told.events);
    let numbers: Vec<i64> = told.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=told.operation.last_seq).collect::<Vec<_>>());
    assert!(web::get(&machine, "git.acme.example", "/").await?.text.contains("Git of acme"));
    Ok(())
}

#[tokio::test]
async fn a_daemon_that_is_asked_to_stop_leaves_its_operation_to_its_successor() -> Result<()> {
    let Some((workshop, mut stage, machine, operation)) = waiting("stopped").await? else { return Ok(()) };
    let status = stage.daemon.stop()?;
    ensure!(status.success(), "the daemon ended with {status}");
    stage.daemon.start_again()?;
    workshop.open_gate()?;
    Told::follow(&stage.client, operation.id).await?.succeeded()?;
    assert!(web::get(&machine, "git.acme.example", "/").await?.text.contains("Git of acme"));
    Ok(())
}

#[tokio::test]
async fn killing_the_daemon_at_any_moment_of_a_deployment_never_keeps_it_from_succeeding() -> Result<()> {
    let Some(mut stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("moments").await?;
    stage.client.create_tenant(&tenant("acme", "moments")).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    let mut seen = Vec::new();
    // Killed once in each step, as soon as it is seen to run.
    loop {
        let now = stage.client.operation(operation.id).await?;
        let running = now.steps.iter().find(|step| step.started_at.is_some() && step.finished_at.is_none());
        match running.map(|step| step.name) {
            _ if now.status.is_final() => break,
            Some(step) if !seen.contains(&step) => {
                seen.push(step);
                stage.daemon.kill()?;
                stage.daemon.start_again()?;
            }
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    let resumed = told.events.iter().filter(|event| event.kind == EventKind::Resumed).count();
    assert!(resumed >= 2, "killed while in {seen:?}, resumed {resumed} times");
    assert!(seen.contains(&StepName::Activate) || seen.contains(&StepName::Verify), "{seen:?}");
    for host in ["git", "social", "video"] {
        let page = web::get(&machine, &format!("{host}.acme.example"), "/").await?;
        assert_eq!(page.status, 200, "{host}: {}", page.text);
    }
    Ok(())
}

#[tokio::test]
async fn a_cancelled_operation_ends_at_once_and_the_next_one_may_begin() -> Result<()> {
    let Some((workshop, stage, machine, operation)) = waiting("cancelled").await? else { return Ok(()) };
    stage.client.cancel(operation.id).await?;
    let told = Told::follow(&stage.client, operation.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Cancelled);
    assert!(told.operation.cancel_requested);
    assert!(told.ended_after < Duration::from_secs(15), "{:?}", told.ended_after);
    assert!(told.events.iter().any(|event| event.kind == EventKind::CancelRequested));
    let again = stage.client.cancel(operation.id).await.unwrap_err();
    assert!(again.is_refusal("operation-finished"), "{again}");
    workshop.open_gate()?;
    stage.deploy("acme").await?.succeeded()?;
    assert!(web::get(&machine, "git.acme.example", "/").await?.text.contains("Git of acme"));
    Ok(())
}
