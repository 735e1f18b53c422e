//! Previews: what a deployment would change, told before, and nothing changed by it.

use std::fs;

use anyhow::{Context as _, Result};
use berth_client::ClientError;
use berth_contract::NewDeployment;
use berth_domain::preview::PreviewPart;
use berth_domain::{OperationKind, OperationStatus, Preview, StepName, StepStatus, TenantDraft};
use berth_testbed::Machine;
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, settings, tenant};
use berth_tests::raw::Raw;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::units;
use berth_tests::workshop::{Extra, Workshop};
use reqwest::Method;
use serde_json::json;

use crate::databases;

async fn previewed(stage: &Stage, draft: Option<&TenantDraft>) -> Result<Preview> {
    Ok(told(stage, draft).await?.1)
}

async fn told(stage: &Stage, draft: Option<&TenantDraft>) -> Result<(Told, Preview)> {
    let operation = stage.client.start_preview(&name("acme"), draft).await?;
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    Ok((told, stage.client.preview(operation.id).await?))
}

/// What a switch or a commit would leave on a machine.
async fn traces(machine: &Machine) -> Result<String> {
    let places = "readlink /run/current-system /run/booted-system /nix/var/nix/profiles/system; \
        ls -lR --full-time /nix/var/nix/profiles /run/systemd/system.control /var/lib/berth /run/nixos 2>/dev/null \
        | grep -v switch-to-configuration.lock; ls -l --full-time /run/systemd/system; ls -lR --full-time /etc/systemd/system";
    let output = machine.exec(&["sh", "-c", places]).await?;
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn a_preview_of_a_changed_setting_names_exactly_the_unit_that_then_restarts_and_changes_nothing_itself()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("preview").await?;
    let mut draft = tenant("acme", "preview");
    stage.deployed(&draft).await?;
    let tenant = stage.client.tenant(&name("acme")).await?;
    let (before, traces_before) = (units::look(&machine).await?, traces(&machine).await?);
    let registered = stage.client.machine(&"preview".parse().unwrap()).await?;
    let revisions = stage.client.revisions(&name("acme")).await?;

    draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": "Foreseen by its preview" })));
    let preview = previewed(&stage, Some(&draft)).await?;
    let foreseen =
        preview.machine.clone().with_context(|| format!("what the machine would do: {preview:#?}"))?;
    assert_eq!(foreseen.restart, ["gitea.service"], "{preview:#?}");
    assert_eq!(
        (foreseen.stop, foreseen.start, foreseen.reload, foreseen.reboot.len()),
        (vec![], vec![], vec![], 0)
    );
    let files: Vec<_> = preview.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["tenant.nix"]);
    assert!(
        preview.files[0].diff.contains("+        app_name = \"Foreseen by its preview\";"),
        "{}",
        preview.files[0].diff
    );
    let closure = preview.closure.as_ref().context("the packages")?;
    assert!(
        closure.bytes_before > 0 && closure.bytes_after > 0 && !closure.packages.is_empty(),
        "{closure:#?}"
    );
    assert!(preview.missing.is_empty());

    assert_eq!(units::changed(&before, &units::look(&machine).await?), Vec::<String>::new());
    assert_eq!(traces(&machine).await?, traces_before);
    assert_eq!(stage.client.tenant(&name("acme")).await?, tenant);
    assert_eq!(stage.client.machine(&"preview".parse().unwrap()).await?, registered);
    assert_eq!(stage.client.revisions(&name("acme")).await?, revisions);

    stage.change(&draft).await?;
    let told = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(units::changed(&before, &units::look(&machine).await?), foreseen.restart);
    assert_eq!(
        (told.operation.revision, told.operation.system),
        (Some(preview.revision), Some(preview.system))
    );

    // And now there is nothing left to change.
    let preview = previewed(&stage, None).await?;
    assert!(preview.is_empty(), "{preview:#?}");
    Ok(())
}

#[tokio::test]
async fn a_preview_of_a_first_deployment_tells_all_that_would_come_and_leaves_the_machine_empty() -> Result<()>
{
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("empty").await?;
    stage.client.create_tenant(&tenant("acme", "empty")).await?;
    let before = units::look(&machine).await?;
    let preview = previewed(&stage, None).await?;
    let start =
        preview.machine.clone().with_context(|| format!("what the machine would do: {preview:#?}"))?.start;
    for unit in ["gitea.service", "nginx.service", "peertube.service"] {
        assert!(start.iter().any(|it| it == unit), "{unit}: {start:?}");
    }
    assert_eq!((preview.files.len(), preview.deployed_system.as_ref()), (3, None));
    assert_eq!(units::changed(&before, &units::look(&machine).await?), Vec::<String>::new());
    let there = machine.exec(&["ls", "/nix/var/nix/profiles/system", "/run/current-system"]).await?;
    assert!(!there.status.success(), "{}", String::from_utf8_lossy(&there.stdout));
    // It never was deployed, so it goes at once.
    stage.client.delete_tenant(&name("acme"), Default::default()).await?;
    assert!(stage.client.tenant(&name("acme")).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_preview_while_the_machine_is_away_has_the_parts_that_need_none_and_says_why_the_other_is_missing()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("away").await?;
    let mut draft = tenant("acme", "away");
    stage.deployed(&draft).await?;
    draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": "Far away" })));
    machine.cut_network().await?;
    let (told, preview) = told(&stage, Some(&draft)).await?;
    assert!(
        preview.machine.is_none() && preview.closure.is_some() && preview.files.len() == 1,
        "{preview:#?}"
    );
    let [missing] = &preview.missing[..] else { panic!("{preview:#?}") };
    assert_eq!(missing.part, PreviewPart::Machine);
    // The daemon may still have a connection from the deployment before.
    assert!(
        ["machine-unreachable", "connection-lost", "timeout"].contains(&missing.code.as_str()),
        "{missing:?}"
    );
    assert_eq!(told.step(StepName::DryActivate), Some(StepStatus::Missed));
    machine.heal_network().await?;
    assert!(previewed(&stage, Some(&draft)).await?.machine.is_some());
    Ok(())
}

#[tokio::test]
async fn a_preview_can_be_cancelled_and_keeps_the_tenant_from_nothing_afterwards() -> Result<()> {
    let workshop = Workshop::open(Extra::Waits { pause_ms: 50 })?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let daemon = Daemon::start(options)?;
    let client = daemon.client()?;
    client.create_machine(&absent_machine("vm1")).await?;
    client.create_tenant(&tenant("acme", "vm1")).await?;
    let operation = client.start_preview(&name("acme"), None).await?;
    let waiting = async {
        while !workshop.is_waiting() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await?;
    // One operation at a time, and no outcome before the end.
    for refused in [client.deploy(&name("acme")).await, client.start_preview(&name("acme"), None).await] {
        assert_eq!(code(refused.err()), "operation-running");
    }
    assert_eq!(code(client.preview(operation.id).await.err()), "operation-unfinished");
    client.cancel(operation.id).await?;
    let told = Told::follow(&client, operation.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Cancelled);
    assert_eq!(code(client.preview(operation.id).await.err()), "not-found");
    let roots = fs::read_dir(daemon.data().join("nix/roots"))?;
    let kept: Vec<_> = roots.flatten().map(|root| root.file_name()).collect();
    assert!(!kept.iter().any(|root| root.to_string_lossy().starts_with("preview-")), "{kept:?}");
    Ok(())
}

fn code(error: Option<ClientError>) -> String {
    error.and_then(|error| error.problem().map(|problem| problem.code().to_owned())).unwrap_or_default()
}

#[tokio::test]
async fn a_dry_run_is_a_preview_and_what_put_refuses_a_preview_refuses() -> Result<()> {
    for database in databases::every()? {
        let daemon = Daemon::start(DaemonOptions { database, ..DaemonOptions::default() })?;
        let client = daemon.client()?;
        client.create_machine(&absent_machine("vm1")).await?;
        let draft = tenant("acme", "vm1");
        client.create_tenant(&draft).await?;
        let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
        let path = "/v1/tenants/acme/preview";
        let refused = |change: &dyn Fn(&mut TenantDraft)| {
            let mut draft = draft.clone();
            change(&mut draft);
            json!(draft)
        };
        for (field, body) in [
            ("/name", refused(&|draft| draft.name = "other".into())),
            ("/machine", refused(&|draft| draft.machine = "nowhere".into())),
            (
                "/services/gitea/colour",
                refused(&|draft| {
                    draft.services.insert("gitea".into(), settings(json!({ "colour": 1 })));
                }),
            ),
        ] {
            let answer = raw.send(Method::POST, path, &body).await?;
            assert_eq!(answer.status, 422, "{field}");
            assert_eq!(answer.json()?["errors"][0]["field"], field);
        }
        assert!(client.operations(&Default::default(), 9).await?.is_empty(), "nothing was begun");
        let wanted = json!(NewDeployment { dry_run: true });
        let answer = raw.send(Method::POST, "/v1/tenants/acme/deployments", &wanted).await?;
        assert_eq!((answer.status.as_u16(), &answer.json()?["kind"]), (202, &json!("preview")));
        let id = answer.json()?["id"].as_str().context("an id")?.parse()?;
        client.cancel(id).await?;
        let told = Told::follow(&client, id).await?;
        assert_eq!(told.operation.kind, OperationKind::Preview);
    }
    Ok(())
}
