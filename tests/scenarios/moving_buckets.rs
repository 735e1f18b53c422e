//! A tenant moves to a provider where it gets another bucket: its objects come along.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_contract::NewAcceptance;
use berth_domain::{MovePhase, OperationStatus};
use berth_garage::{Garage, Owner};
use berth_tests::moving;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::buckets::{beside_stores, objects, snapshot_of, store_of, with_a_store};
use crate::migrating::{PATIENCE, until};

/// How many objects there are beside those of every sort.
const MANY: u64 = 500;

fn content(number: u64) -> Vec<u8> {
    let mut chance = fastrand::Rng::with_seed(number);
    std::iter::repeat_with(|| chance.u8(..)).take(60_000).collect()
}

fn key(number: u64) -> String {
    format!("many/{number:03}")
}

/// The old bucket, full, and the new one, in which somebody has something already.
async fn buckets(garage: &Garage) -> (Owner, Owner) {
    let (old, own) = (Owner::of(garage.bucket("old").await), Owner::of(garage.bucket("own").await));
    for (key, headers, content) in objects() {
        old.put(key, headers, &content).await;
    }
    for number in 0..MANY {
        old.put(&key(number), &[], &content(number)).await;
    }
    own.put("foreign", &[], b"of somebody else").await;
    (old, own)
}

/// Both daemons, the tenant at the source with the old bucket.
struct Providers {
    source: Stage,
    target: Stage,
    machines: [berth_testbed::Machine; 2],
}

async fn providers(old: &Owner) -> Result<Option<Providers>> {
    let Some(source) = Stage::set_up().await? else { return Ok(None) };
    let Some(target) = beside_stores().await? else { return Ok(None) };
    let machines = [source.machine("old").await?, target.machine("new").await?];
    source.deployed(&with_a_store("acme", "old", store_of(old))).await?;
    Ok(Some(Providers { source, target, machines }))
}

impl Providers {
    /// A ticket that was handed in; its id and the code.
    async fn handed_in(&self) -> Result<(uuid::Uuid, String)> {
        let issued = self.target.client.issue_ticket(&moving::ticket_for(&self.machines[1])?).await?;
        let (id, ticket) = (issued.info.id, SecretString::from(issued.ticket));
        self.source.client.migrate(&name("acme"), &ticket).await?;
        until(&self.target.client, id, |arrival| arrival.phase == MovePhase::Claimed).await?;
        Ok((id, self.source.client.migration(&name("acme")).await?.code))
    }

    async fn accept(&self, id: uuid::Uuid, code: &str, store: Value) -> Result<uuid::Uuid> {
        let services = serde_json::from_value(json!({ "gitea": { "object_storage": store } }))?;
        let acceptance = NewAcceptance { code: code.to_owned(), services };
        Ok(self.target.client.accept_ticket_with(id, &acceptance).await?.id)
    }
}

/// Waits until objects come into a bucket.
async fn until_some_came(own: &Owner) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while own.get(&key(0)).await.is_none() {
        ensure!(Instant::now() < end, "nothing comes");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

// The store is served while commands are waited for.
#[tokio::test(flavor = "multi_thread")]
async fn objects_come_along_into_another_bucket_while_they_change_and_the_daemon_is_killed() -> Result<()> {
    let Some(garage) = Garage::start().await else { return Ok(()) };
    let (old, own) = buckets(&garage).await;
    let Some(mut providers) = providers(&old).await? else { return Ok(()) };
    let (id, code) = providers.handed_in().await?;
    let leaving = providers.source.client.migration(&name("acme")).await?.operation;
    let coming = providers.accept(id, &code, store_of(&own)).await?;

    until_some_came(&own).await?;
    providers.target.daemon.kill()?;
    old.delete(&key(0)).await;
    old.put(&key(1), &[], b"changed while the daemon was away").await;
    providers.target.daemon.start_again()?;
    until(&providers.target.client, id, |arrival| arrival.phase == MovePhase::Receiving).await?;
    let serves = providers.source.client.migration(&name("acme")).await?;
    ensure!(serves.handed_over_at.is_none(), "the services go on until everything was copied once");
    old.delete(&key(2)).await;
    old.put(&key(3), &[("content-type", "image/webp")], b"changed while the source sends").await;
    old.put("later", &[], b"new").await;

    let came = Told::follow_within(&providers.target.client, coming, PATIENCE).await?.succeeded()?;
    Told::follow_within(&providers.source.client, leaving, PATIENCE).await?.succeeded()?;
    for (key, ..) in objects() {
        ensure!(own.get(key).await.context(key)? == old.get(key).await.context(key)?, "{key}");
    }
    for number in 0..MANY {
        ensure!(own.get(&key(number)).await == old.get(&key(number)).await, "{number}");
    }
    assert_eq!(own.get(&key(2)).await, None, "what was deleted does not come back");
    assert_eq!(own.get(&key(0)).await, None, "nor what the daemon that was killed had put there");
    assert_eq!(own.get("later").await.context("later")?.1, b"new");
    assert_eq!(own.get("foreign").await.context("foreign")?.1, b"of somebody else");
    let told: Vec<_> = came.events.iter().map(|event| event.message.as_str()).collect();
    let told = told.join("\n");
    ensure!(told.contains("gitea, bucket old to bucket own: "), "{told}");
    ensure!(
        !told.contains(&format!(": {} objects copied", objects().len() as u64 + MANY)),
        "not all at once: {told}"
    );
    ensure!(told.contains("removed again"), "{told}");

    // The tenant has the new one here, and its next snapshot is of that.
    let spec = serde_json::to_value(providers.target.client.tenant(&name("acme")).await?.spec)?;
    assert_eq!(spec["services"]["gitea"]["object_storage"]["bucket"], "own");
    assert_eq!(snapshot_of(&providers.target).await?, objects().len() as u64 + MANY - 2 + 2);
    let secret = own.0.secret.expose_secret().to_owned();
    ensure!(!told.contains(&secret) && !providers.target.daemon.log().contains(&secret));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_written_to_leaves_the_tenant_where_it_was() -> Result<()> {
    let Some(garage) = Garage::start().await else { return Ok(()) };
    let (old, own) = (Owner::of(garage.bucket("old").await), Owner::of(garage.bucket("own").await));
    old.put("a", &[], b"a").await;
    let Some(providers) = providers(&old).await? else { return Ok(()) };
    let mut wrong = store_of(&own);
    wrong["secret_key"] = "of-nobody".into();
    let (id, code) = providers.handed_in().await?;
    let coming = providers.accept(id, &code, wrong).await?;
    let came = Told::follow_within(&providers.target.client, coming, PATIENCE).await?;
    let error = came.operation.error.clone().context("an error")?;
    assert_eq!((came.operation.status, error.code.as_str()), (OperationStatus::Failed, "bucket-failed"));
    ensure!(error.message.starts_with("gitea/object_storage: the new bucket: "), "{}", error.message);
    assert_eq!(own.get("a").await, None);
    let leaving = providers.source.client.migration(&name("acme")).await?.operation;
    let left = Told::follow_within(&providers.source.client, leaving, PATIENCE).await?;
    assert_eq!(left.operation.status, OperationStatus::Failed);
    let mode = providers.source.client.tenant(&name("acme")).await?.spec.mode;
    assert_eq!(mode.as_deref(), Some("active"));
    Ok(())
}
