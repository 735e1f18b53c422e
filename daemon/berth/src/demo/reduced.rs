//! What can be done without machines: rendering, evaluating, building, and showing what would be deployed.

use berth_client::Client;
use berth_domain::invalid::Rule;
use berth_domain::revision::Files;
use berth_domain::{Address, EventKind, StepName, StepStatus, TenantDraft, TenantSpec};
use berth_render::pin::PinError;
use berth_render::{RenderInput, RenderMachine, Tls, render};
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

/// The platform that a tenant's flake names where none is configured and the rehearsal platform cannot be used.
const PLATFORM: &str = "github:berth-host/berth";

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
    output.aside("\n  building what would be deployed");
    if let Err(failure) = build(&client).await {
        output.aside(&format!("  {failure}"));
    }
    if !output.is_json() {
        for (path, text) in &files(&client).await? {
            output.text(&format!("\n# {path}\n{}", text.trim_end()));
        }
    }
    Ok(())
}

/// What would be deployed: as the daemon says, or where it has no working Nix to pin the platform with, rendered here.
async fn files(client: &Client) -> Result<Files> {
    let name = tenant::name()?;
    match client.configuration(&name).await {
        Ok(configuration) => Ok(configuration.files),
        Err(_) => render_here(tenant::look(client).await?.spec),
    }
}

fn render_here(draft: TenantDraft) -> Result<Files> {
    let failed = |reason: String| Failure::local(format!("the tenant cannot be rendered: {reason}"));
    let tenant = TenantSpec::try_from(draft).map_err(|invalid| failed(invalid.to_string()))?;
    let address: Address = NOWHERE.parse().map_err(|rule: Rule| failed(rule.message))?;
    let platform = PLATFORM.parse().map_err(|error: PinError| failed(error.to_string()))?;
    let machine = RenderMachine {
        name: &tenant.machine,
        address: &address,
        system: "x86_64-linux",
        tls: Tls::None,
        ssh: None,
    };
    let input = RenderInput { tenant: Some(&tenant), machine: &machine, platform: &platform };
    Ok(render(&input).map_err(|error| failed(error.to_string()))?.files)
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
    let status = reached.step(StepName::Build).map(|step| step.status);
    match status {
        Some(StepStatus::Succeeded | StepStatus::Skipped) => Ok(()),
        _ => Err(Failure::Operation(Box::new(reached))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_deployed_can_be_shown_without_nix() {
        let files = render_here(tenant::draft()).unwrap();
        assert!(files["tenant.nix"].contains("app_name = \"Acme Git\";"), "{}", files["tenant.nix"]);
        assert!(files["flake.nix"].contains(PLATFORM));
    }
}
