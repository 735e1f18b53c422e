//! NixOps4: deployments by it, its resource provider, and its state.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use berth_domain::{OperationStatus, StepName, StepStatus};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, settings, tenant};
use berth_tests::flake::on_path;
use berth_tests::provider::{self, Provider};
use berth_tests::stage::{Stage, draft, name};
use berth_tests::told::Told;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::databases;

/// nixops4's own program to try providers with, where it is installed.
fn runner() -> Option<PathBuf> {
    let found = on_path("nixops4-resource-runner");
    if found.is_none() {
        eprintln!("SKIPPED: what needs nixops4's own runner: nixops4-resource-runner is not on PATH");
    }
    found
}

/// A folder with the stand-in for `nixops4`, and nixops4's own runner where it is installed.
fn stand_in() -> Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("berth-nixops4-stand-in-").tempdir()?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-ins/nixops4");
    fs::copy(script, folder.path().join("nixops4"))?;
    if let Some(runner) = runner() {
        std::os::unix::fs::symlink(runner, folder.path().join("nixops4-resource-runner"))?;
    }
    Ok(folder)
}

/// What the stand-in did.
fn record(folder: &TempDir) -> Vec<Value> {
    let text = fs::read_to_string(folder.path().join("record")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn with(folder: &TempDir) -> DaemonOptions {
    DaemonOptions { programs: Some(folder.path().to_owned()), ..DaemonOptions::default() }
}

#[tokio::test]
async fn a_machine_whose_driver_is_nixops4_is_deployed_by_applies_of_its_flake() -> Result<()> {
    let folder = stand_in()?;
    let Some(stage) = Stage::set_up_with(with(&folder)).await? else { return Ok(()) };
    let machine = stage.boot("applied").await?;
    stage
        .client
        .create_machine(&berth_domain::MachineDraft { driver: Some("nixops4".into()), ..draft(&machine) })
        .await?;
    let mut acme = tenant("acme", "applied");
    let told = stage.deployed(&acme).await?;
    let system = told.operation.system.clone().context("a system")?;
    let output = machine.exec(&["readlink", "--canonicalize", "/nix/var/nix/profiles/system"]).await?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), system);
    // The real provider was asked, and answered with what the operation did.
    let asked = record(&folder);
    let of = |name: &str| asked.iter().find(|entry| entry["resource"] == name).cloned().unwrap();
    assert_eq!(asked.len(), 2, "{asked:#?}");
    assert_eq!(of("machine")["asked"]["inputs"]["system"], *system);
    let outputs = &of("machine")["answered"]["createResourceResponse"]["outputProperties"];
    assert_eq!(outputs["operation"], json!(told.operation.id));
    assert_eq!(outputs["revision"], json!(told.operation.revision));
    assert!(of("state")["answered"]["createResourceResponse"].is_object());
    // nixops4 prints properties; nobody sees them.
    let words: Vec<_> = told.events.iter().map(|event| event.message.as_str()).collect();
    assert!(words.iter().any(|line| line.contains("- input system: (not shown)")), "{words:#?}");
    // What cannot be healthy is put back, as by any driver.
    let good = told.operation.system;
    acme.services.insert("gitea".to_owned(), settings(json!({ "app_name": "Changed" })));
    stage.change(&acme).await?;
    let changed = stage.deploy("acme").await?.succeeded()?;
    assert_ne!(changed.operation.system, good);
    assert_eq!(changed.step(StepName::Activate), Some(StepStatus::Succeeded));
    // And what the machine runs already takes no apply.
    let unchanged = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(unchanged.step(StepName::Activate), Some(StepStatus::Skipped));
    assert_eq!(record(&folder).len(), 4);
    Ok(())
}

#[tokio::test]
async fn a_daemon_whose_host_has_no_nixops4_says_so_before_it_begins_anything() -> Result<()> {
    if Command::new("nixops4").arg("--version").output().is_ok() {
        eprintln!("SKIPPED: this host has nixops4");
        return Ok(());
    }
    let daemon = Daemon::start(DaemonOptions::default())?;
    let client = daemon.client()?;
    client
        .create_machine(&berth_domain::MachineDraft {
            driver: Some("nixops4".into()),
            ..absent_machine("vm1")
        })
        .await?;
    client.create_tenant(&tenant("acme", "vm1")).await?;
    let operation = client.deploy(&name("acme")).await?;
    let told = Told::follow(&client, operation.id).await?;
    let failure = told.failure()?;
    assert_eq!((failure.code.as_str(), failure.step), ("driver-missing", Some(StepName::Render)));
    assert_eq!(
        failure.message,
        "this host cannot deploy with the driver nixops4: there is no program “nixops4”"
    );
    assert_eq!(told.started(), [StepName::Render]);
    Ok(())
}

#[tokio::test]
async fn whoever_applies_a_flake_by_hand_deploys_by_the_daemon_and_sees_how_it_goes() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let _machine = stage.machine("by-hand").await?;
    let told = stage.deployed(&tenant("acme", "by-hand")).await?;
    let system = told.operation.system.context("a system")?;
    let inputs = json!({"tenant": "acme", "machine": "by-hand", "system": system});
    // At every apply, as it has no state: nothing changes, and nothing breaks.
    for _ in 0..2 {
        let mut provider = Provider::start(&stage.daemon)?;
        let answer = provider.create("deployment", &inputs)?;
        let outputs = &answer["createResourceResponse"]["outputProperties"];
        assert_eq!(outputs["system"], json!(system), "{answer}");
        let (status, words) = provider.finish()?;
        assert!(status.success() && words.contains("[acme] verify: begun"), "{words}");
    }
    // A flake that is not what Berth has is refused, and the machine stays as it is.
    let other = "/nix/store/00000000000000000000000000000000-nixos";
    let mut provider = Provider::start(&stage.daemon)?;
    let answer =
        provider.create("deployment", &json!({"tenant": "acme", "machine": "by-hand", "system": other}))?;
    let message = answer["errorResponse"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("another system by now"), "{answer}");
    let moved =
        provider.create("deployment", &json!({"tenant": "acme", "machine": "vm2", "system": system}))?;
    assert!(
        moved["errorResponse"]["message"].as_str().unwrap_or_default().contains("on the machine “by-hand”"),
        "{moved}"
    );
    if let Some(runner) = runner() {
        let mut command = Command::new(runner);
        command.args([
            "create",
            "--type",
            "deployment",
            "--inputs-json",
            &inputs.to_string(),
            "--provider-exe",
        ]);
        command.arg(provider::command(&stage.daemon)?.get_program());
        command.env("BERTH_URL", stage.daemon.url()).env("BERTH_TOKEN", stage.daemon.admin_token()?);
        let output = command.output()?;
        assert!(output.status.success(), "{output:?}");
        let outputs: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(outputs["system"], json!(system));
    }
    let operations = stage.client.operations(&berth_client::OperationFilter::default(), 10).await?;
    assert!(
        operations.iter().all(|operation| operation.status != OperationStatus::Failed),
        "{operations:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn two_applies_do_not_work_on_one_state_and_its_secrets_are_nobodys_business() -> Result<()> {
    for database in databases::every()? {
        let daemon = Daemon::start(DaemonOptions { database, ..DaemonOptions::default() })?;
        let client = daemon.client()?;
        client.create_machine(&absent_machine("vm1")).await?;
        client.create_tenant(&tenant("acme", "vm1")).await?;
        let mut first = Provider::start(&daemon)?;
        let empty = json!({"_type": "nixopsState", "resources": {}, "deployments": {}});
        assert_eq!(first.read_state("acme")?["stateResourceReadResponse"]["state"], empty);
        let mut second = Provider::start(&daemon)?;
        let refused = second.read_state("acme")?;
        assert!(
            refused["errorResponse"]["message"]
                .as_str()
                .unwrap_or_default()
                .contains("is working on this state"),
            "{refused}"
        );
        // As nixops4 sends it: a resource in a composite, its properties in snake_case.
        let resource = json!({
            "type": "db", "input_properties": {"port": 5432, "password": "hunter2"}, "output_properties": {"dsn": "hunter2"}
        });
        let composite = json!({"resources": {"db": resource}, "deployments": {}});
        let patch = json!([{"op": "add", "path": "/deployments/web", "value": composite}]);
        assert_eq!(first.change_state("acme", &patch)?, json!({"stateResourceEventResponse": {}}));
        let again = first.read_state("acme")?;
        assert_eq!(again["stateResourceReadResponse"]["state"]["deployments"]["web"], composite);
        // Whoever only looks sees no secret, not even while it is being worked on.
        let shown = serde_json::to_value(client.nixops4_state(&name("acme"), None).await?)?;
        assert_eq!(shown["state"]["deployments"]["web"]["resources"]["db"]["input_properties"]["port"], 5432);
        assert!(shown["lease"]["held_by"].is_string() && shown["lease"]["fence"].is_null(), "{shown}");
        let dump = json!({"stateResourceReadRequest": {"resource": {"type": "state", "inputProperties": {"tenant": "acme"}}}});
        let dumped = second.line(&dump.to_string())?;
        let changes = serde_json::to_value(client.nixops4_changes(&name("acme")).await?)?;
        for seen in [&shown, &dumped, &changes] {
            assert!(seen.to_string().contains("web") && !seen.to_string().contains("hunter2"), "{seen}");
        }
        // The one that ends gives it back.
        first.finish()?;
        assert!(second.read_state("acme")?["stateResourceReadResponse"].is_object());
        // A bad patch changes nothing, and its refusal repeats nothing.
        let bad = second
            .change_state("acme", &json!([{"op": "replace", "path": "/nowhere", "value": "hunter2"}]))?;
        let message = bad["errorResponse"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("/patch") && !message.contains("hunter2"), "{bad}");
        // Garbage is answered, line by line.
        for garbage in ["{", "7", "{\"x\":1}", "\u{fffd}"] {
            assert!(second.line(garbage)?["errorResponse"].is_object());
        }
        second.finish()?;
        with_the_runner(&daemon)?;
        assert!(!daemon.log().contains("hunter2"));
        assert!(!everything_below(&daemon.data()).contains("hunter2"));
    }
    Ok(())
}

/// The same with nixops4's own runner, where it is installed.
fn with_the_runner(daemon: &Daemon) -> Result<()> {
    let Some(runner) = runner() else { return Ok(()) };
    let run = |words: &[&str]| {
        let mut command = Command::new(&runner);
        command.arg(words[0]).arg("--provider-exe").arg(provider::command(daemon)?.get_program());
        command.args(["--type", "state", "--inputs-json", r#"{"tenant":"acme"}"#, "--outputs-json", "{}"]);
        command.args(&words[1..]).env("BERTH_URL", daemon.url()).env("BERTH_TOKEN", daemon.admin_token()?);
        let output = command.output()?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    let patch = r#"[{"op":"add","path":"/resources/note","value":{"type":"memo","input_properties":{},"output_properties":{}}}]"#;
    run(&["state-event", "--event", "create", "--nixops-version", "0.1.0", "--patch-json", patch])?;
    assert!(run(&["state-read"])?.contains("note"));
    Ok(())
}

/// Every byte of every file, so that nothing hides in a database or a log.
fn everything_below(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() && !entry.path().is_symlink() {
            text += &everything_below(&entry.path());
        } else if entry.path().extension().is_some_and(|ending| ending.to_string_lossy().starts_with("db")) {
            text += &String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default());
        }
    }
    text
}

#[tokio::test]
async fn an_apply_that_was_killed_blocks_the_next_for_a_minute_at_most() -> Result<()> {
    let daemon = Daemon::start(DaemonOptions::default())?;
    let client = daemon.client()?;
    client.create_machine(&absent_machine("vm1")).await?;
    client.create_tenant(&tenant("acme", "vm1")).await?;
    let mut killed = Provider::start(&daemon)?;
    killed.read_state("acme")?;
    killed.kill()?;
    let lease = client.nixops4_state(&name("acme"), None).await?.lease.context("it is held")?;
    let left = (lease.expires_at - chrono::Utc::now()).num_seconds();
    assert!((0..=60).contains(&left), "{left}");
    Ok(())
}
