//! What can be done without machines: rendering, evaluating, building, and showing what would be deployed.

use berth_client::Client;
use berth_domain::{EventKind, OperationStatus, StepName, StepStatus};
use berth_testbed::prerequisites::Missing;

use super::folder::DemoFolder;
use super::stages::Stages;
use super::{host, tenant};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::follow::follow_until;
use crate::progress::{Board, Shown};

/// An address at which no machine can be (RFC 5737, TEST-NET-1).
const NOWHERE: &str = "192.0.2.1";

/// Does what can be done, says what is missing, and fails.
pub(super) async fn run(missing: &[Missing], stages: Stages, output: Output) -> Result<()> {
    for lack in missing {
        stages.note(&lack.to_string());
    }
    if let Err(failure) = show(stages, output).await {
        output.explain(&failure);
    }
    Err(Failure::NoMachines {
        what: "machines cannot be had on this host, so nothing was deployed".to_owned(),
        advice: host::advice(missing),
        missing: missing.iter().map(ToString::to_string).collect(),
    })
}

async fn show(stages: Stages, output: Output) -> Result<()> {
    let folder = DemoFolder::create()?;
    let daemon = stages.daemon(&folder).await?;
    let client = daemon.client()?;
    let key = client.provider().await?.ssh_public_key;
    let creating = tenant::create_at(&client, NOWHERE.to_owned(), key);
    stages.stage("tenant", "creating the tenant", creating).await?;
    drop(stages);
    if !output.is_json() {
        output.aside("\n  building what would be deployed");
        build(&client).await?;
        let configuration = client.configuration(&tenant::name()?).await?;
        for (path, text) in &configuration.files {
            output.text(&format!("\n# {path}\n{}", text.trim_end()));
        }
    }
    Ok(())
}

/// Deploys as far as that goes without a machine.
async fn build(client: &Client) -> Result<()> {
    let operation = client.deploy(&tenant::name()?).await?;
    let mut shown = Shown::Board(Box::new(Board::calm()));
    let reached = follow_until(client, &operation, 0, &mut shown, |event| {
        event.kind == EventKind::StepFinished && event.step == Some(StepName::Build)
    })
    .await?;
    if !reached.status.is_final() {
        // It may have ended by itself meanwhile; either is well.
        let _ = client.cancel(reached.id).await;
    }
    let built = reached
        .step(StepName::Build)
        .is_some_and(|step| matches!(step.status, StepStatus::Succeeded | StepStatus::Skipped));
    if built || reached.status == OperationStatus::Succeeded {
        return Ok(());
    }
    Err(Failure::Operation(Box::new(reached)))
}
