//! Backup plans on real machines: what is due is made, what is not kept goes, and what is missing cannot be overlooked.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::OperationFilter;
use berth_contract::Tenant;
use berth_domain::{BackupDraft, FindingKind, Operation, OperationKind, OperationStatus};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, tenant};
use berth_tests::notes;
use berth_tests::raw::Raw;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Longer than anything here takes: a plan's snapshots come once a minute.
const LIMIT: Duration = Duration::from_secs(240);

/// What is in one snapshot alone, in bytes.
const LARGE: usize = 8 << 20;

fn every_minute(keep: Value) -> BackupDraft {
    let draft = json!({"schedule": "* * * * *", "jitter_minutes": 0, "grace_minutes": 5, "keep": keep});
    serde_json::from_value(draft).unwrap()
}

/// Waits until something is there.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let waiting = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.with_context(|| format!("never came: {what}"))?
}

/// The operations of `acme` that its plan asked for, oldest first.
async fn by_plan(stage: &Stage, kind: OperationKind) -> Result<Vec<Operation>> {
    let filter = OperationFilter { tenant: Some(name("acme")), status: None };
    let mut all = stage.client.operations(&filter, 200).await?;
    all.retain(|operation| operation.kind == kind && operation.requested_by == "backup plan");
    all.sort_by_key(|operation| operation.id);
    Ok(all)
}

async fn nth(stage: &Stage, kind: OperationKind, number: usize) -> Result<Operation> {
    until(&format!("{kind} number {number}"), async || {
        Ok(by_plan(stage, kind).await?.into_iter().nth(number))
    })
    .await
}

fn findings(tenant: &Tenant) -> Vec<FindingKind> {
    let found = tenant.condition.iter().flat_map(|condition| &condition.findings);
    found.map(|finding| finding.kind).filter(|kind| kind.word().starts_with("backup")).collect()
}

/// What any restic says of `acme`'s vault where it lies.
fn restic(stage: &Stage, words: &[&str]) -> Result<String> {
    let mut command = std::process::Command::new("restic");
    command.args(words).arg("--no-cache");
    command.env("RESTIC_REPOSITORY", stage.berth_daemon(&["vault-key", "acme", "--repository"])?);
    command.env("RESTIC_PASSWORD", stage.berth_daemon(&["vault-key", "acme"])?);
    let output = command.output()?;
    ensure!(output.status.success(), "restic {words:?}: {output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn a_plan_makes_snapshots_lets_those_go_that_it_does_not_keep_and_the_others_come_back() -> Result<()> {
    let Some(mut stage) = Stage::set_up_with(DaemonOptions::default()).await? else { return Ok(()) };
    let machine = stage.machine("nightly").await?;
    stage.deployed(&tenant("acme", "nightly")).await?;
    notes::add_to_all(&machine, "acme", "first").await?;
    let before = notes::read_all(&machine, "acme").await?;
    let by_hand = stage.client.start_snapshot(&name("acme")).await?;
    Told::follow(&stage.client, by_hand.id).await?.succeeded()?;
    notes::add_to_all(&machine, "acme", "second").await?;

    // What is only in the first snapshot of the plan, and cannot be compressed.
    let mut noise = vec![0_u8; LARGE];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut noise)?;
    let large = machine.root_path().join("var/lib/gitea/large");
    std::fs::write(&large, noise)?;
    stage.client.put_backups(&name("acme"), &every_minute(json!({"last": 1})), None).await?;
    let first = nth(&stage, OperationKind::Snapshot, 0).await?;
    let first = Told::follow(&stage.client, first.id).await?.succeeded()?.operation;
    let due = first.due_at.context("when it was due")?;
    assert_eq!((due.timestamp() % 60, due <= first.created_at), (0, true), "{first:?}");
    std::fs::remove_file(&large)?;
    let second = nth(&stage, OperationKind::Snapshot, 1).await?;
    Told::follow(&stage.client, second.id).await?.succeeded()?;

    // A daemon that is killed while it removes something is followed by one that goes on.
    let pruning = nth(&stage, OperationKind::Prune, 0).await?;
    stage.daemon.kill()?;
    stage.daemon.start_again()?;
    let told = Told::follow(&stage.client, pruning.id).await?.succeeded()?;
    let words = told.events.iter().find_map(|event| event.message.strip_suffix(" bytes freed"));
    let words = words.with_context(|| format!("how many bytes: {:#?}", told.events))?;
    let freed: usize = words.rsplit(' ').next().context("a number")?.parse()?;
    // What was removed before the kill is not counted by who goes on.
    ensure!(freed >= LARGE || told.events.iter().any(|event| event.message.contains("ended")), "{words}");
    stage.client.delete_backups(&name("acme")).await?;
    if let Some(running) = by_plan(&stage, OperationKind::Snapshot).await?.last() {
        Told::follow(&stage.client, running.id).await?;
    }
    let left = stage.client.snapshots(&name("acme"), 50).await?;
    assert!(left.iter().all(|snapshot| snapshot.id != first.id && !snapshot.forgetting), "{left:#?}");
    assert!(left.iter().any(|snapshot| snapshot.id == by_hand.id), "{left:#?}");

    // Nothing of the large file is left, and everything else is whole.
    restic(&stage, &["check", "--read-data"])?;
    let size: Value = serde_json::from_str(&restic(&stage, &["stats", "--json", "--mode", "raw-data"])?)?;
    assert!(size["total_size"].as_u64().context("a size")? < LARGE as u64, "{size}");
    let restored = stage.client.restore(&name("acme"), by_hand.id, None).await?;
    Told::follow(&stage.client, restored.id).await?.succeeded()?;
    assert_eq!(notes::read_all(&machine, "acme").await?, before);

    // The newest one stays whoever asks; an older one goes.
    let newest = left.iter().find(|snapshot| snapshot.whole).context("a whole one")?.id;
    let refused = stage.client.delete_snapshot(&name("acme"), newest).await.unwrap_err();
    assert!(refused.is_refusal("newest-snapshot"), "{refused}");
    let removed = stage.client.delete_snapshot(&name("acme"), by_hand.id).await?;
    Told::follow(&stage.client, removed.id).await?.succeeded()?;
    let gone = stage.client.restore(&name("acme"), by_hand.id, None).await.unwrap_err();
    assert!(gone.is_refusal("not-found"), "{gone}");
    restic(&stage, &["check"])?;
    Ok(())
}

#[tokio::test]
async fn a_backup_that_fails_stands_on_the_tenant_until_a_whole_one_follows() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("away").await?;
    stage.deployed(&tenant("acme", "away")).await?;
    assert!(findings(&stage.client.tenant(&name("acme")).await?).is_empty());
    machine.stop().await?;
    let set = stage.berth(&["backups", "set", "acme", "--schedule", "* * * * *", "--jitter", "0"])?;
    assert!(set.status.success(), "{set:?}");
    let failed = nth(&stage, OperationKind::Snapshot, 0).await?;
    let told = Told::follow(&stage.client, failed.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Failed);
    // At once: nobody has to look at the machine first.
    let tenant = stage.client.tenant(&name("acme")).await?;
    assert_eq!(findings(&tenant), [FindingKind::BackupFailed]);
    assert!(!tenant.condition.context("a condition")?.sound);
    let listed = stage.client.tenants().await?;
    assert_eq!(findings(&listed[0]), [FindingKind::BackupFailed]);
    let shown = stage.berth(&["backups", "show", "acme"])?;
    assert_eq!(shown.status.code(), Some(5), "{shown:?}");
    let words = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(words.contains("machine-unreachable") && words.contains("there is no whole one"), "{words}");
    let metrics = Raw::stranger(stage.daemon.url(), None)?.get("/metrics").await?.body;
    assert!(metrics.contains("berth_backups_failed 1"), "{metrics}");
    machine.start().await?;
    let tenant = until("a whole one", async || {
        let tenant = stage.client.tenant(&name("acme")).await?;
        Ok(findings(&tenant).is_empty().then_some(tenant))
    })
    .await?;
    assert!(stage.client.backups(&name("acme")).await?.last_whole.is_some(), "{tenant:?}");
    let shown = stage.berth(&["backups", "show", "acme"])?;
    assert!(shown.status.success(), "{shown:?}");
    Ok(())
}

/// A daemon with the tenant `acme`, which was never deployed.
async fn house() -> Result<(Daemon, Raw)> {
    let daemon = Daemon::start(DaemonOptions::default())?;
    let client = daemon.client()?;
    client.create_machine(&absent_machine("m1")).await?;
    client.create_tenant(&tenant("acme", "m1")).await?;
    let raw = Raw::with(daemon.url(), &daemon.admin_token()?)?;
    Ok((daemon, raw))
}

const ROUTE: &str = "/v1/tenants/acme/backups";

#[tokio::test]
async fn a_plan_is_put_as_a_tenant_is_and_nobody_overwrites_what_they_did_not_read() -> Result<()> {
    let (_daemon, raw) = house().await?;
    assert_eq!(raw.get(ROUTE).await?.status, StatusCode::NOT_FOUND);
    let plan =
        json!({"schedule": "30 3 * * *", "timezone": "Europe/Berlin", "keep": {"last": 3, "daily": 7}});
    let made = raw.send(Method::PUT, ROUTE, &plan).await?;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let tag = made.headers["etag"].to_str()?.to_owned();
    assert_eq!(made.json()?["paused"], "not-deployed");
    let again = raw.send(Method::PUT, ROUTE, &plan).await?;
    assert_eq!((again.status, again.headers["etag"].to_str()?), (StatusCode::OK, tag.as_str()));
    let other = json!({"schedule": "30 4 * * *"});
    let blind = raw.send(Method::PUT, ROUTE, &other).await?;
    assert_eq!(blind.status, StatusCode::CONFLICT, "{}", blind.body);
    for (tag, expected) in [(tag.as_str(), StatusCode::OK), (tag.as_str(), StatusCode::PRECONDITION_FAILED)] {
        let put = raw.request(Method::PUT, ROUTE).header("If-Match", tag).json(&other).send().await?;
        assert_eq!(put.status(), expected);
    }
    let wrong = raw
        .send(Method::PUT, ROUTE, &json!({"schedule": "30 25 * * *", "timezone": "Mars", "keep": {}}))
        .await?;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = wrong.json()?;
    let broken = problem["errors"].as_array().context("errors")?;
    let broken: Vec<_> = broken.iter().map(|error| format!("{} {}", error["field"], error["rule"])).collect();
    assert_eq!(broken, [r#""/timezone" "timezone""#, r#""/schedule" "cron""#, r#""/keep" "keeps-nothing""#]);
    let stale = raw.request(Method::DELETE, ROUTE).header("If-Match", tag.as_str()).send().await?;
    assert_eq!(stale.status(), StatusCode::PRECONDITION_FAILED);
    for expected in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        assert_eq!(raw.request(Method::DELETE, ROUTE).send().await?.status(), expected);
    }
    if raw.get("/v1/tenants/nobody/backups").await?.status != StatusCode::NOT_FOUND {
        bail!("nobody has a plan");
    }
    Ok(())
}
