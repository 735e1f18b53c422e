//! The driver `nixos-rebuild`, with the real command. `BERTH_NIXOS_REBUILD` names folders with one each, divided by `:`, and
//! each test is done with every one; without it, that of `PATH` is used. Where there is none at all, these tests
//! say that they are skipped; how the command is called is proven without it in `daemon/nix`.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::{DeleteTenant, Deleted};
use berth_domain::{EventKind, StepName};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::flake::on_path;
use berth_tests::stage::{self, Stage, name};
use berth_tests::told::Told;
use berth_tests::{units, web};

/// The folders with a `nixos-rebuild`.
fn commands() -> Vec<PathBuf> {
    let named =
        std::env::var_os("BERTH_NIXOS_REBUILD").or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let mut found: Vec<PathBuf> =
        std::env::split_paths(&named).filter(|folder| folder.join("nixos-rebuild").is_file()).collect();
    if std::env::var_os("BERTH_NIXOS_REBUILD").is_none() {
        found.truncate(1);
    }
    if found.is_empty() {
        println!("SKIPPED: there is no nixos-rebuild in PATH, and BERTH_NIXOS_REBUILD names none");
    }
    found
}

/// A daemon that finds that command, and a machine that is deployed to with it.
async fn set_up(command: &std::path::Path) -> Result<Option<(Stage, Machine)>> {
    let options = DaemonOptions { programs: Some(command.to_owned()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
    let machine = register(&stage, "rebuilt").await?;
    Ok(Some((stage, machine)))
}

async fn register(stage: &Stage, machine: &str) -> Result<Machine> {
    let machine = stage.boot(machine).await?;
    let draft = berth_domain::MachineDraft { driver: Some("nixos-rebuild".into()), ..stage::draft(&machine) };
    stage.client.create_machine(&draft).await?;
    Ok(machine)
}

/// What the machine will boot.
async fn committed(machine: &Machine) -> Result<String> {
    let output = machine.exec(&["readlink", "-f", "/nix/var/nix/profiles/system"]).await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn running(machine: &Machine) -> Result<String> {
    let output = machine.exec(&["readlink", "-f", "/run/current-system"]).await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[tokio::test]
async fn without_the_command_a_deployment_is_refused_before_anything_changes() -> Result<()> {
    let empty = tempfile::tempdir()?;
    // What PATH has would be found.
    if on_path("nixos-rebuild").is_some() {
        println!("SKIPPED: there is a nixos-rebuild in PATH");
        return Ok(());
    }
    let Some((stage, machine)) = set_up(empty.path()).await? else { return Ok(()) };
    let before = running(&machine).await?;
    stage.client.create_tenant(&tenant("acme", "rebuilt")).await?;
    let told = stage.deploy("acme").await?;
    let error = told.failure()?;
    assert_eq!((error.code.as_str(), error.step), ("driver-missing", Some(StepName::Render)));
    assert!(error.message.contains("nixos-rebuild") && !error.retryable, "{}", error.message);
    assert_eq!(running(&machine).await?, before);
    Ok(())
}

#[tokio::test]
async fn the_real_command_deploys_changes_and_destroys() -> Result<()> {
    for command in commands() {
        println!("with {}", command.display());
        let Some((stage, machine)) = set_up(&command).await? else { return Ok(()) };
        let mut acme = tenant("acme", "rebuilt");
        let told = stage.deployed(&acme).await?;
        println!("the first deployment took {:?}", told.ended_after);
        let system = told.operation.system.clone().context("a system")?;
        assert_eq!((running(&machine).await?, committed(&machine).await?), (system.clone(), system));
        let page = web::get(&machine, "git.acme.example", "/").await?;
        assert!(page.text.contains("Git of acme"), "{}", page.text);
        let says = |told: &Told, step: StepName, text: &str| {
            told.events.iter().any(|event| event.step == Some(step) && event.message.contains(text))
        };
        assert!(says(&told, StepName::Activate, "activating the configuration"), "{:#?}", told.events);

        // Only what changed is restarted.
        let before = units::look(&machine).await?;
        acme.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), "Changed".into());
        stage.change(&acme).await?;
        let told = stage.deploy("acme").await?.succeeded()?;
        println!("a changed setting took {:?}", told.ended_after);
        let changed = units::changed(&before, &units::look(&machine).await?);
        assert!(changed.contains(&"gitea.service".to_owned()), "{changed:?}");
        assert!(!changed.iter().any(|unit| unit.starts_with("peertube")), "{changed:?}");

        // Nothing to do is nothing done.
        let before = units::look(&machine).await?;
        let told = stage.deploy("acme").await?.succeeded()?;
        println!("nothing changed took {:?}", told.ended_after);
        assert_eq!(units::changed(&before, &units::look(&machine).await?), Vec::<String>::new());

        let how = DeleteTenant { wipe: true, ..DeleteTenant::default() };
        let Deleted::Operation(destroy) = stage.client.delete_tenant(&name("acme"), how).await? else {
            bail!("it was deployed, and was forgotten without its machine");
        };
        Told::follow(&stage.client, destroy.id).await?.succeeded()?;
        assert!(web::get(&machine, "git.acme.example", "/").await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_unit_that_fails_is_named_by_the_real_command_and_the_machine_is_put_back() -> Result<()> {
    for command in commands() {
        println!("with {}", command.display());
        let Some((stage, machine)) = set_up(&command).await? else { return Ok(()) };
        let mut acme = tenant("acme", "rebuilt");
        let told = stage.deployed(&acme).await?;
        let good = told.operation.system.context("a system")?;
        break_gitea(&machine, true).await?;
        acme.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), "Changed".into());
        stage.change(&acme).await?;
        let told = stage.deploy("acme").await?;
        let error = told.failure()?;
        assert_eq!(
            (error.code.as_str(), error.step),
            ("units-failed", Some(StepName::Activate)),
            "{error:#?}"
        );
        assert!(error.message.contains("gitea.service"), "{}", error.message);
        assert!(error.log.iter().any(|line| line.starts_with("gitea.service: ")), "{:#?}", error.log);
        assert_eq!((running(&machine).await?, committed(&machine).await?), (good.clone(), good));
        let back = told.events.iter().filter(|event| event.kind == EventKind::Warning);
        assert!(back.into_iter().any(|event| event.message.contains("put back")), "{:#?}", told.events);
        break_gitea(&machine, false).await?;
        stage.deploy("acme").await?.succeeded()?;
        assert!(web::get(&machine, "git.acme.example", "/").await?.text.contains("Changed"));
    }
    Ok(())
}

/// Makes the unit fail whenever it starts, as a full disk or a taken port would.
async fn break_gitea(machine: &Machine, broken: bool) -> Result<()> {
    let folder = "/run/systemd/system/gitea.service.d";
    let commands: &[&[&str]] = match broken {
        true => &[
            &["mkdir", "-p", folder],
            &[
                "sh",
                "-c",
                "printf '[Service]\\nExecStartPre=/bin/false\\n' > /run/systemd/system/gitea.service.d/broken.conf",
            ],
            &["systemctl", "daemon-reload"],
        ],
        false => &[&["rm", "-r", folder], &["systemctl", "daemon-reload"]],
    };
    for command in commands {
        let output = machine.exec(command).await?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[tokio::test]
async fn killing_the_daemon_at_any_moment_of_a_deployment_by_the_real_command_leaves_no_half_done_thing()
-> Result<()> {
    for command in commands() {
        println!("with {}", command.display());
        let Some((mut stage, machine)) = set_up(&command).await? else { return Ok(()) };
        stage.client.create_tenant(&tenant("acme", "rebuilt")).await?;
        let operation = stage.client.deploy(&name("acme")).await?;
        let mut seen = Vec::new();
        // Killed once in each step, as soon as it is seen to run.
        loop {
            let now = stage.client.operation(operation.id).await?;
            let running =
                now.steps.iter().find(|step| step.started_at.is_some() && step.finished_at.is_none());
            match running.map(|step| step.name) {
                _ if now.status.is_final() => break,
                Some(step) if !seen.contains(&step) => {
                    seen.push(step);
                    // Into the middle of what the command does.
                    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
                    stage.daemon.kill()?;
                    stage.daemon.start_again()?;
                }
                _ => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
        println!("killed in {seen:?}");
        let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
        let system = told.operation.system.context("a system")?;
        assert_eq!((running(&machine).await?, committed(&machine).await?), (system.clone(), system));
        for host in ["git", "social", "video"] {
            let page = web::get(&machine, &format!("{host}.acme.example"), "/").await?;
            assert_eq!(page.status, 200, "{host}: {}", page.text);
        }
    }
    Ok(())
}
