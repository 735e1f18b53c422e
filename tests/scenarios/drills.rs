//! Drills on real machines: a snapshot is tried out behind a fence, what is damaged is told, and nothing of it stays.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_domain::{
    Drill, DrillOutcome, FindingKind, MachineName, Operation, OperationStatus, StepName, StepStatus,
};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::notes;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;

fn machine_name(name: &str) -> MachineName {
    name.parse().unwrap()
}

async fn snapshot(stage: &Stage) -> Result<Operation> {
    let operation = stage.client.start_snapshot(&name("acme")).await?;
    Ok(Told::follow(&stage.client, operation.id).await?.succeeded()?.operation)
}

/// Whether a process of an account gets through to a server on the tests' host. Its unit is one that nobody knows.
async fn gets_out(machine: &Machine, account: &str) -> Result<bool> {
    let host = machine.address().to_string();
    let gateway =
        host.rsplit_once('.').map(|(network, _)| format!("{network}.1")).context("an IPv4 address")?;
    let listener = std::net::TcpListener::bind((gateway.as_str(), 0))?;
    let port = listener.local_addr()?.port();
    let script =
        format!("import socket; socket.create_connection(('{gateway}', {port}), 5); print('through')");
    let account = format!("--uid={account}");
    let run = ["systemd-run", "--wait", "--pipe", "--quiet", &account, "/usr/bin/python3", "-c", &script];
    let output = machine.exec(&run).await?;
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let refused =
        ["ConnectionRefusedError", "OSError", "TimeoutError"].iter().any(|error| failed.contains(error));
    ensure!(said.contains("through") != refused, "{output:?}");
    Ok(said.contains("through"))
}

#[tokio::test]
async fn nothing_that_a_service_sends_leaves_a_fenced_machine_and_it_serves_there_nevertheless() -> Result<()>
{
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("fenced").await?;
    let mut draft = tenant("acme", "fenced");
    stage.deployed(&draft).await?;
    for account in ["mastodon", "nginx", "root"] {
        assert!(gets_out(&machine, account).await?, "{account} gets through where there is no fence");
    }
    draft.mode = Some("fenced".into());
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    for account in ["mastodon", "nginx", "root"] {
        assert!(!gets_out(&machine, account).await?, "{account} gets through the fence");
    }
    // On the machine itself all of it serves; from outside nobody is answered.
    let inside = ["curl", "--silent", "--header", "Host: git.acme.example", "http://127.0.0.1/api/healthz"];
    let inside = machine.exec(&inside).await?;
    assert!(String::from_utf8_lossy(&inside.stdout).contains("pass"), "{inside:?}");
    let outside =
        tokio::time::timeout(Duration::from_secs(2), notes::read(&machine, "git.acme.example")).await;
    assert!(!matches!(outside, Ok(Ok(_))), "{outside:?}");
    // A boot comes up behind the fence as well, and a mode without it takes it away.
    machine.reboot().await?;
    machine.settled().await?;
    let runs = machine
        .exec(&["systemctl", "is-active", "mastodon-sidekiq-all.service", "berth-fence.service"])
        .await?;
    assert!(runs.status.success(), "{runs:?}");
    assert!(!gets_out(&machine, "mastodon").await?);
    draft.mode = None;
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert!(gets_out(&machine, "mastodon").await?);
    Ok(())
}

/// Nothing of a tenant is left on the machine, and another tenant may have it.
async fn is_free_and_empty(stage: &Stage, machine: &Machine) -> Result<()> {
    let known = stage.client.machine(machine.name()).await?;
    assert_eq!((known.tenant, known.lent_to, known.holds_data_of), (None, None, None));
    let server = machine.exec(&["systemctl", "is-active", "nginx.service"]).await?;
    assert!(!server.status.success(), "{server:?}");
    holds_nothing(machine).await
}

/// Nothing of a tenant's services runs on the machine or lies there, and there is no fence.
pub(super) async fn holds_nothing(machine: &Machine) -> Result<()> {
    let root = machine.root_path();
    for path in ["var/lib/gitea", "var/lib/mastodon", "var/lib/peertube", "var/lib/berth/secrets/mastodon"] {
        let left: Vec<_> = std::fs::read_dir(root.join(path)).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "{path}: {left:?}");
    }
    let running = machine
        .exec(&["systemctl", "list-units", "--plain", "--no-legend", "gitea*", "mastodon*", "peertube*"])
        .await?;
    let running = String::from_utf8_lossy(&running.stdout).into_owned();
    assert!(!running.contains(" running"), "{running}");
    let rules = machine.exec(&["nft", "list", "tables"]).await?;
    assert!(rules.stdout.is_empty(), "{rules:?}");
    Ok(())
}

fn problems(drill: &Drill) -> Vec<(&str, Option<&str>)> {
    drill.services.iter().map(|(name, service)| (name.as_str(), service.problem.as_deref())).collect()
}

#[tokio::test]
async fn a_drill_tells_how_fast_and_to_which_point_a_tenant_comes_back_and_leaves_nothing() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (machine, spare) = (stage.machine("served").await?, stage.machine("spare").await?);
    stage.deployed(&tenant("acme", "served")).await?;
    notes::add_to_all(&machine, "acme", "kept").await?;
    let early = stage.client.start_drill(&name("acme"), &machine_name("spare"), None).await.unwrap_err();
    assert!(early.is_refusal("no-snapshot"), "{early}");
    let made = snapshot(&stage).await?;
    let taken = stage.client.start_drill(&name("acme"), &machine_name("served"), None).await.unwrap_err();
    assert!(taken.is_refusal("machine-taken"), "{taken}");

    let begun = stage.client.start_drill(&name("acme"), &machine_name("spare"), None).await?;
    // It is nobody else's meanwhile; and the tenant's own operations go on beside it.
    let refused = stage.client.create_tenant(&tenant("bolt", "spare")).await.unwrap_err();
    assert!(refused.is_refusal("machine-lent"), "{refused}");
    assert_eq!(stage.client.machine(&machine_name("spare")).await?.lent_to, Some(name("acme")));
    let beside = snapshot(&stage).await?;
    let told = Told::follow(&stage.client, begun.id).await?.succeeded()?;
    assert_eq!(told.step(StepName::Empty), Some(StepStatus::Succeeded));
    let drill = stage.client.drill(&name("acme"), begun.id).await?;
    assert_eq!((drill.outcome, drill.snapshot, drill.emptied), (DrillOutcome::Passed, made.id, true));
    assert_eq!(problems(&drill), [("gitea", None), ("mastodon", None), ("peertube", None)]);
    assert!(drill.recovery_ms.context("a time")? > 0 && drill.recovery_point_seconds.is_some(), "{drill:?}");
    for (service, found) in &drill.services {
        assert!(found.ok && found.restore_ms.is_some() && found.files > 0, "{service}: {found:?}");
        assert!(found.rows.values().any(|rows| *rows > 0), "{service}: {found:?}");
    }
    // Its secrets came back with it, so that nothing is lost with the machine.
    let mastodon = &drill.services["mastodon"];
    assert!(mastodon.secrets.iter().any(|secret| secret == "encryption-primary-key"), "{mastodon:?}");
    assert!(mastodon.left_out.iter().all(|what| !what.contains("the secret ")), "{mastodon:?}");
    is_free_and_empty(&stage, &spare).await?;
    // The tenant itself was not touched.
    assert_eq!(notes::read_all(&machine, "acme").await?[0].count, 1);

    // What is lent and given back serves the next one, which a person sees from begin to end.
    let shown = stage.berth(&["drill", "acme", "--machine", "spare", "--watch"])?;
    let words = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.status.success() && words.contains("recovery time") && words.contains("empty again"),
        "{shown:?}"
    );
    let listed = stage.client.drills(&name("acme"), 10).await?;
    assert_eq!(listed.iter().map(|drill| drill.snapshot).collect::<Vec<_>>(), [beside.id, made.id]);
    stage.client.create_tenant(&tenant("bolt", "spare")).await?;
    Ok(())
}

#[tokio::test]
async fn a_damaged_snapshot_fails_its_service_and_the_others_are_reported_as_they_are() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (machine, spare) = (stage.machine("whole").await?, stage.machine("spare").await?);
    stage.deployed(&tenant("acme", "whole")).await?;
    notes::add_to_all(&machine, "acme", "kept").await?;
    let set = stage.berth(&["backups", "set", "acme", "--schedule", "0 0 29 2 *"])?;
    assert!(set.status.success(), "{set:?}");
    snapshot(&stage).await?;
    // One file that only Mastodon has, and that fills packs of its own.
    let mut noise = vec![0_u8; 24 << 20];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut noise)?;
    std::fs::write(machine.root_path().join("var/lib/mastodon/large"), noise)?;
    let before = packs(&stage)?;
    snapshot(&stage).await?;
    let new = packs(&stage)?.into_iter().filter(|pack| !before.contains(pack));
    let largest = new.max_by_key(|pack| std::fs::metadata(pack).map(|file| file.len()).unwrap_or_default());
    let largest = largest.context("a new pack")?;
    let mut bytes = std::fs::read(&largest)?;
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0);
    std::fs::write(&largest, bytes)?;

    let shown = stage.berth(&["drill", "acme", "--machine", "spare", "--watch"])?;
    assert_eq!(shown.status.code(), Some(5), "{shown:?}");
    let drill = stage.client.drills(&name("acme"), 1).await?.remove(0);
    assert_eq!(
        (drill.outcome, drill.recovery_ms, drill.emptied),
        (DrillOutcome::Failed, None, true),
        "{drill:#?}"
    );
    let error = drill.error.clone().context("an error")?;
    assert_eq!(error.code, "drill-failed");
    assert!(error.message.starts_with("mastodon: "), "{error:?}");
    for (service, found) in &drill.services {
        assert_eq!(found.ok, service.as_str() != "mastodon", "{service}: {found:?}");
    }
    let words = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(words.contains("NOT BACK"), "{words}");
    is_free_and_empty(&stage, &spare).await?;
    // It stands where nobody overlooks it.
    let condition = stage.client.tenant(&name("acme")).await?.condition.context("a condition")?;
    let kinds: Vec<_> = condition.findings.iter().map(|finding| finding.kind).collect();
    assert!(kinds.contains(&FindingKind::DrillFailed), "{kinds:?}");
    Ok(())
}

/// The files with data in the only vault.
fn packs(stage: &Stage) -> Result<Vec<std::path::PathBuf>> {
    let data =
        std::path::Path::new(&stage.berth_daemon(&["vault-key", "acme", "--repository"])?).join("data");
    let mut packs = Vec::new();
    for folder in std::fs::read_dir(data)? {
        packs.extend(std::fs::read_dir(folder?.path())?.flatten().map(|entry| entry.path()));
    }
    Ok(packs)
}

#[tokio::test]
async fn a_daemon_that_is_killed_meanwhile_is_followed_and_one_that_is_stopped_leaves_nothing() -> Result<()>
{
    let Some(mut stage) = Stage::set_up_with(DaemonOptions::default()).await? else { return Ok(()) };
    let (machine, spare) = (stage.machine("killed").await?, stage.machine("spare").await?);
    stage.deployed(&tenant("acme", "killed")).await?;
    notes::add_to_all(&machine, "acme", "kept").await?;
    snapshot(&stage).await?;
    for step in [StepName::Restore, StepName::Empty] {
        let begun = stage.client.start_drill(&name("acme"), &machine_name("spare"), None).await?;
        until(&stage, &begun, step).await?;
        stage.daemon.kill()?;
        stage.daemon.start_again()?;
        Told::follow(&stage.client, begun.id).await?.succeeded()?;
        let drill = stage.client.drill(&name("acme"), begun.id).await?;
        assert!(drill.outcome == DrillOutcome::Passed && drill.recovery_ms.is_some(), "{drill:#?}");
        is_free_and_empty(&stage, &spare).await?;
    }
    // Somebody stops one, and the daemon is killed while it empties the machine for that.
    let begun = stage.client.start_drill(&name("acme"), &machine_name("spare"), None).await?;
    until(&stage, &begun, StepName::Restore).await?;
    stage.client.cancel(begun.id).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    stage.daemon.kill()?;
    stage.daemon.start_again()?;
    let told = Told::follow(&stage.client, begun.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Cancelled, "{:#?}", told.events);
    assert_eq!(stage.client.drill(&name("acme"), begun.id).await?.outcome, DrillOutcome::Cancelled);
    is_free_and_empty(&stage, &spare).await?;
    Ok(())
}

/// Waits until an operation has come to a step.
async fn until(stage: &Stage, operation: &Operation, step: StepName) -> Result<()> {
    let waiting = async {
        loop {
            let now = stage.client.operation(operation.id).await?;
            if now.step(step).is_some_and(|step| step.status != StepStatus::Pending) {
                return Ok(());
            }
            ensure!(!now.status.is_final(), "{now:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.context("it never comes to that step")?
}
