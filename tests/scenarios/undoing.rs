//! A tenant that moved to another provider goes back, or is not kept any longer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::{Client, DeleteTenant, Deleted};
use berth_domain::{MovePhase, OperationId, OperationStatus};
use berth_tests::daemon::DaemonOptions;
use berth_tests::moving::{self, Written};
use berth_tests::notes;
use berth_tests::stage::name;
use berth_tests::told::Told;
use tokio::time::{Duration, Instant, sleep};

use crate::migrating::{PATIENCE, Providers, providers, providers_with};

/// Moves the tenant, and waits until it is over.
async fn moved(providers: &Providers) -> Result<uuid::Uuid> {
    let (id, leaving, coming) = providers.begin().await?;
    Told::follow_within(&providers.source.client, leaving, PATIENCE).await?.succeeded()?;
    Told::follow_within(&providers.target.client, coming, PATIENCE).await?.succeeded()?;
    Ok(id)
}

async fn mode_at(client: &Client) -> Result<Option<String>> {
    Ok(client.tenant(&name("acme")).await?.spec.mode)
}

#[tokio::test]
async fn a_tenant_that_moved_goes_back_with_what_was_written_since_and_nobody_has_to_accept_it() -> Result<()>
{
    let Some(providers) = providers().await? else { return Ok(()) };
    let Providers { source, target, old, new } = &providers;
    let refused = source.client.undo_migration(&name("acme")).await.unwrap_err();
    assert!(refused.is_refusal("no-way-back"), "it came from nowhere: {refused}");
    let id = moved(&providers).await?;
    let left = source.client.migration(&name("acme")).await?;
    let way_back = left.way_back.context("a way back")?;
    assert_eq!(target.client.ticket(id).await?.way_back_until, left.kept_until.map(to_the_second));
    notes::add_to_all(new, "acme", "written at the new provider").await?;

    // Somebody writes all the time, by the old address.
    let before = notes::read(new, "git.acme.example").await?.count;
    let (written, stop) = (Arc::<Written>::default(), Arc::new(AtomicBool::new(false)));
    let writing = moving::writing(old.address().to_string(), &written, &stop);
    let back: OperationId = target.client.undo_migration(&name("acme")).await?.id;
    let told = Told::follow_within(&target.client, back, PATIENCE).await?.succeeded()?;
    assert_eq!(told.operation.migration, Some(way_back));
    let came = source.client.ticket(way_back).await?;
    Told::follow_within(&source.client, came.operation.context("an operation")?, PATIENCE)
        .await?
        .succeeded()?;
    sleep(Duration::from_secs(1)).await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.await?;

    assert_eq!(mode_at(&source.client).await?.as_deref(), Some("active"));
    assert_eq!(mode_at(&target.client).await?.as_deref(), Some("moved"));
    let found = notes::read(old, "git.acme.example").await?;
    assert!(found.intact, "{:?}", found.problems);
    written.holds(found.count - before)?;
    let all = notes::read_all(old, "acme").await?;
    assert_eq!(notes::read_all(new, "acme").await?, all, "the new machine passes on to the old one");

    // The old provider goes on with it as before, and the new one does not.
    source.deploy("acme").await?.succeeded()?;
    let left = source.client.migration(&name("acme")).await?;
    assert!(left.returned_at.is_some() && !left.is_elsewhere());
    let gone = target.client.tenant(&name("acme")).await?;
    let mut draft = gone.spec.clone();
    (draft.mode, draft.moved_to) = (Some("active".into()), None);
    target.client.put_tenant(&name("acme"), &draft, Some(gone.version)).await?;
    let refused = target.deploy("acme").await?;
    assert_eq!(refused.operation.error.as_ref().map(|error| error.code.as_str()), Some("handed-over"));
    // It can come once more, by the way that the new provider opened in its turn.
    let forth = source.client.undo_migration(&name("acme")).await?.id;
    Told::follow_within(&source.client, forth, PATIENCE).await?.succeeded()?;
    assert_eq!(notes::read_all(new, "acme").await?, all);
    assert_eq!(mode_at(&target.client).await?.as_deref(), Some("active"));
    is_refused_where_it_was_removed(&providers).await?;
    assert_eq!(notes::read_all(new, "acme").await?, all);
    Ok(())
}

/// Where an operator has removed what was left of it, it does not go back to, and stays.
async fn is_refused_where_it_was_removed(providers: &Providers) -> Result<()> {
    let Providers { source, target, .. } = providers;
    let wipe = DeleteTenant { wipe: true, abandon: false };
    let Deleted::Operation(removal) = source.client.delete_tenant(&name("acme"), wipe).await? else {
        bail!("it was deployed")
    };
    Told::follow_within(&source.client, removal.id, PATIENCE).await?.succeeded()?;
    let back = target.client.undo_migration(&name("acme")).await?.id;
    let told = Told::follow_within(&target.client, back, PATIENCE).await?;
    assert_eq!(told.operation.status, OperationStatus::Failed);
    let error = told.operation.error.context("an error")?;
    assert_eq!(error.code, "obstacles", "{}", error.message);
    assert_eq!(mode_at(&target.client).await?.as_deref(), Some("active"));
    Ok(())
}

#[tokio::test]
async fn what_is_left_of_a_tenant_that_moved_is_removed_in_time_and_then_there_is_no_way_back() -> Result<()>
{
    let options = DaemonOptions { config: "[moved]\nkeep = 20\n".into(), ..DaemonOptions::default() };
    let Some(providers) = providers_with(options).await? else { return Ok(()) };
    let Providers { source, target, new, .. } = &providers;
    moved(&providers).await?;
    let before = notes::read_all(new, "acme").await?;
    let end = Instant::now() + PATIENCE;
    while source.client.tenant(&name("acme")).await.is_ok() {
        ensure!(Instant::now() < end, "it is kept");
        sleep(Duration::from_millis(200)).await;
    }
    let machine = source.client.machine(&"old".parse()?).await?;
    assert!(machine.holds_data_of.is_none() && machine.tenant.is_none(), "{machine:?}");
    // What was proved stays.
    let left = source.client.migration(&name("acme")).await?;
    assert!(left.phase == MovePhase::Live && left.countersignature.is_some());
    let refused = target.client.undo_migration(&name("acme")).await.unwrap_err();
    assert!(refused.to_string().contains("could be used until"), "{refused}");
    assert_eq!(notes::read_all(new, "acme").await?, before, "where it is now, it is as it was");
    Ok(())
}

/// Tickets are good to the second.
fn to_the_second(at: chrono::DateTime<chrono::Utc>) -> chrono::DateTime<chrono::Utc> {
    chrono::SubsecRound::trunc_subsecs(at, 0)
}
