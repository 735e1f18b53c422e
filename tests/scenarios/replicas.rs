//! Two daemons on one PostgreSQL.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_contract::{NewToken, NewWatchLink};
use berth_domain::{EventKind, OperationStatus};
use berth_tests::daemon::{Daemon, DaemonOptions};
use berth_tests::drafts::{absent_machine, tenant};
use berth_tests::raw::Raw;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;
use berth_tests::workshop::{Extra, Workshop};
use reqwest::Method;
use serde_json::json;

use crate::databases;

/// Which of two daemons claimed the operation; waits until one did.
async fn holder<'a>(
    daemons: [&'a mut Daemon; 2],
    operation: &str,
) -> Result<(&'a mut Daemon, &'a mut Daemon)> {
    let [first, second] = daemons;
    for _ in 0..600 {
        let claimed = |daemon: &Daemon| {
            let log = daemon.log();
            log.lines().any(|line| line.contains("claimed") && line.contains(operation))
        };
        if claimed(first) {
            return Ok((first, second));
        }
        if claimed(second) {
            return Ok((second, first));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("nobody claims {operation}")
}

#[tokio::test]
async fn a_deployment_whose_daemon_is_killed_is_taken_over_by_the_other_and_every_watcher_sees_it_whole()
-> Result<()> {
    let Some(database) = databases::postgres()? else { return Ok(()) };
    let workshop = Workshop::open(Extra::Waits { pause_ms: 50 })?;
    let options =
        DaemonOptions { database, platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(mut stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let mut other = stage.daemon.replica()?;
    let machine = stage.machine("shared").await?;
    stage.client.create_tenant(&tenant("acme", "shared")).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    for _ in 0..600 {
        if workshop.is_waiting() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ensure!(workshop.is_waiting(), "the build does not begin");
    let id = operation.id.to_string();
    let (holder, successor) = holder([&mut stage.daemon, &mut other], &id).await?;
    let (client, lost_client) = (successor.client()?, holder.client()?);
    // One that watches where it does not run, and one whose daemon goes away under it.
    let watching = tokio::spawn(async move { Told::follow(&client, operation.id).await });
    let mut interrupted = lost_client.watch(operation.id, 0);
    let first = interrupted.next().await?.context("an event")?;
    holder.kill()?;
    workshop.open_gate()?;
    let told = watching.await??.succeeded()?;
    drop((first, interrupted));
    let numbers: Vec<i64> = told.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=told.operation.last_seq).collect::<Vec<_>>());
    let count = |kind| told.events.iter().filter(|event| event.kind == kind).count();
    assert_eq!((count(EventKind::Resumed), count(EventKind::Finished)), (1, 1), "{:#?}", told.events);
    assert!(web::get(&machine, "git.acme.example", "/").await?.text.contains("Git of acme"));
    // The one that was killed comes back and sees the same.
    holder.start_again()?;
    let again = Told::follow(&holder.client()?, operation.id).await?;
    assert_eq!(again.events, told.events);
    Ok(())
}

#[tokio::test]
async fn a_wish_to_cancel_reaches_the_daemon_that_runs_the_operation() -> Result<()> {
    let Some(database) = databases::postgres()? else { return Ok(()) };
    let workshop = Workshop::open(Extra::Waits { pause_ms: 50 })?;
    let options =
        DaemonOptions { database, platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(mut stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let mut other = stage.daemon.replica()?;
    let _machine = stage.machine("wished").await?;
    stage.client.create_tenant(&tenant("acme", "wished")).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    let (_, bystander) = holder([&mut stage.daemon, &mut other], &operation.id.to_string()).await?;
    let client = bystander.client()?;
    client.cancel(operation.id).await?;
    let told = Told::follow(&client, operation.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Cancelled);
    assert!(told.ended_after < Duration::from_secs(15), "{:?}", told.ended_after);
    Ok(())
}

#[tokio::test]
async fn what_one_daemon_answered_the_other_knows() -> Result<()> {
    let Some(database) = databases::postgres()? else { return Ok(()) };
    let first = Daemon::start(DaemonOptions { database, ..DaemonOptions::default() })?;
    let second = first.replica()?;
    let [one, two] = [&first, &second].map(|daemon| {
        let token = daemon.admin_token()?;
        Raw::with(daemon.url(), &token)
    });
    let (one, two) = (one?, two?);
    // A request that is sent again, to the other.
    let posts = [
        ("/v1/machines", json!(absent_machine("vm1"))),
        ("/v1/tenants", serde_json::to_value(tenant("acme", "vm1"))?),
        ("/v1/tenants/acme/deployments", json!({})),
    ];
    let mut location = String::new();
    for (path, body) in &posts {
        let post = |raw: &Raw| raw.request(Method::POST, path).header("Idempotency-Key", *path).json(body);
        let (a, b) = (one.answer(post(&one)).await?, two.answer(post(&two)).await?);
        ensure!(a.status.is_success(), "{path}: {}", a.body);
        assert_eq!((&a.status, &a.body), (&b.status, &b.body), "{path}");
        location = a.headers.get("location").context("a location")?.to_str()?.to_owned();
    }
    // A token, from its making to its end.
    let (client, other) = (first.client()?, second.client()?);
    let token = NewToken { name: "panel".into(), scope: "tenant:acme:read".into(), expires_in_seconds: None };
    let created = client.create_token(&token).await?;
    let guest = Raw::with(second.url(), &created.token)?;
    assert!(guest.get("/v1/tenants/acme").await?.status.is_success());
    client.delete_token(created.info.id).await?;
    assert_eq!(guest.get("/v1/tenants/acme").await?.status.as_u16(), 401);
    // A link for the customer.
    let id = location.rsplit('/').next().context("an id")?.parse()?;
    let link = client.watch_link(id, &NewWatchLink::default()).await?;
    let elsewhere = link.url.replace(first.url(), second.url());
    let shown = reqwest::get(&elsewhere).await?;
    assert!(shown.status().is_success(), "{elsewhere}: {}", shown.status());
    // And what the operation told.
    let told = Told::follow(&other, id).await?;
    assert_eq!(told.events, Told::follow(&client, id).await?.events);
    Ok(())
}
