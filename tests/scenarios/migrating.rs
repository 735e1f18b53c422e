//! Tenants that move from one provider to another: two daemons that do not know each other, each with a machine.

use anyhow::{Context as _, Result, ensure};
use berth_client::Client;
use berth_domain::{Arrival, MovePhase, OperationId, OperationStatus};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::moving;
use berth_tests::notes;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use secrecy::SecretString;
use tokio::time::{Duration, Instant, sleep};

/// How long either side may take to say what is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(400);

/// Two providers.
pub(super) struct Providers {
    pub(super) source: Stage,
    pub(super) target: Stage,
    pub(super) old: Machine,
    pub(super) new: Machine,
}

/// A tenant `acme` at the source, with notes, and an empty machine at the target.
pub(super) async fn providers() -> Result<Option<Providers>> {
    providers_with(DaemonOptions::default()).await
}

/// The same with a source that is started so.
pub(super) async fn providers_with(source: DaemonOptions) -> Result<Option<Providers>> {
    let Some(source) = Stage::set_up_with(source).await? else { return Ok(None) };
    let Some(target) = Stage::set_up_with(DaemonOptions::default()).await? else { return Ok(None) };
    let (old, new) = (source.machine("old").await?, target.machine("new").await?);
    source.deployed(&tenant("acme", "old")).await?;
    notes::add_to_all(&old, "acme", "first").await?;
    notes::add_to_all(&old, "acme", "second").await?;
    Ok(Some(Providers { source, target, old, new }))
}

/// Waits until a ticket stands so.
pub(super) async fn until(
    client: &Client,
    id: uuid::Uuid,
    enough: impl Fn(&Arrival) -> bool,
) -> Result<Arrival> {
    let end = Instant::now() + PATIENCE;
    loop {
        let arrival = client.ticket(id).await?;
        if enough(&arrival) {
            return Ok(arrival);
        }
        ensure!(Instant::now() < end, "the ticket stays so: {arrival:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

impl Providers {
    /// A ticket of the target, handed in at the source and accepted; both operations.
    pub(super) async fn begin(&self) -> Result<(uuid::Uuid, OperationId, OperationId)> {
        let (id, ticket) = self.issue().await?;
        let leaving = self.source.client.migrate(&name("acme"), &ticket).await?.id;
        Ok((id, leaving, self.accept(id).await?))
    }

    /// A ticket of the target.
    pub(super) async fn issue(&self) -> Result<(uuid::Uuid, SecretString)> {
        let issued = self.target.client.issue_ticket(&moving::ticket_for(&self.new)?).await?;
        Ok((issued.info.id, SecretString::from(issued.ticket)))
    }

    /// Accepts what was handed in, by the code that the source shows.
    pub(super) async fn accept(&self, id: uuid::Uuid) -> Result<OperationId> {
        let claimed = until(&self.target.client, id, |arrival| arrival.phase == MovePhase::Claimed).await?;
        let shown = self.source.client.migration(&name("acme")).await?;
        assert_eq!(claimed.code.as_deref(), Some(shown.code.as_str()), "both show the same code");
        Ok(self.target.client.accept_ticket(id, &shown.code).await?.id)
    }
}

#[tokio::test]
async fn a_ticket_moves_a_tenant_with_all_that_it_has_to_a_provider_that_nobody_knew() -> Result<()> {
    let Some(providers) = providers().await? else { return Ok(()) };
    let Providers { source, target, old, new } = &providers;
    let before = notes::read_all(old, "acme").await?;
    let (id, leaving, coming) = providers.begin().await?;
    let left = Told::follow_within(&source.client, leaving, PATIENCE).await?.succeeded()?;
    let came = Told::follow_within(&target.client, coming, PATIENCE).await?.succeeded()?;
    assert_eq!(left.operation.migration, Some(id));
    assert_eq!(came.operation.migration, Some(id));
    assert_eq!(notes::read_all(new, "acme").await?, before, "everything is there");

    // Both say so, and each has signed for it.
    let arrival = target.client.ticket(id).await?;
    let departure = source.client.migration(&name("acme")).await?;
    assert_eq!((arrival.phase, departure.phase), (MovePhase::Live, MovePhase::Live));
    assert_eq!(arrival.countersignature, departure.countersignature);
    assert_eq!(arrival.manifest, departure.manifest);
    let manifest = arrival.manifest.context("a manifest")?;
    let (said, _) = berth_sign::Countersignature::verify(&arrival.countersignature.context("a signature")?)?;
    assert_eq!(said.manifest_sha256, berth_transfer::Manifest::sum(&manifest));

    // The old machine passes on what still comes to it, and the tenant goes on at the new one.
    notes::add_to_all(old, "acme", "by the old address").await?;
    let after = notes::read_all(new, "acme").await?;
    assert_eq!(after[0].count, before[0].count + 1);
    assert_eq!(source.client.tenant(&name("acme")).await?.spec.mode.as_deref(), Some("moved"));
    assert_eq!(target.client.tenant(&name("acme")).await?.spec.mode.as_deref(), Some("active"));
    // The old provider does not serve it again by mistake.
    let moved = source.client.tenant(&name("acme")).await?;
    let mut draft = moved.spec.clone();
    (draft.mode, draft.moved_to) = (Some("active".into()), None);
    source.client.put_tenant(&name("acme"), &draft, Some(moved.version)).await?;
    let refused = source.deploy("acme").await?;
    assert_eq!(refused.operation.error.as_ref().map(|error| error.code.as_str()), Some("handed-over"));
    assert_eq!(notes::read_all(old, "acme").await?, after, "the old machine goes on passing on");
    // What came is a snapshot, too.
    let snapshots = target.client.snapshots(&name("acme"), 10).await?;
    assert_eq!(snapshots.iter().map(|snapshot| snapshot.id).collect::<Vec<_>>(), [coming]);
    Ok(())
}

#[tokio::test]
async fn what_comes_to_nothing_leaves_the_tenant_where_it_was() -> Result<()> {
    let Some(providers) = providers().await? else { return Ok(()) };
    let Providers { source, target, old, .. } = &providers;
    let before = notes::read_all(old, "acme").await?;
    let (id, leaving, coming) = providers.begin().await?;
    until(&target.client, id, |arrival| arrival.phase == MovePhase::Receiving).await?;
    target.client.revoke_ticket(id).await?;
    let left = Told::follow_within(&source.client, leaving, PATIENCE).await?;
    assert_eq!(left.operation.status, OperationStatus::Failed, "{:?}", left.operation.error);
    let came = Told::follow_within(&target.client, coming, PATIENCE).await?;
    assert_eq!(came.operation.status, OperationStatus::Failed, "{:?}", came.operation.error);
    assert_eq!(notes::read_all(old, "acme").await?, before);
    notes::add_to_all(old, "acme", "after").await?;
    assert_eq!(source.client.tenant(&name("acme")).await?.spec.mode.as_deref(), Some("active"));
    // Nor does the one to which it did not come, until somebody says that it is nobody else's.
    let left = target.client.tenant(&name("acme")).await?;
    let mut draft = left.spec.clone();
    draft.mode = Some("active".into());
    target.client.put_tenant(&name("acme"), &draft, Some(left.version)).await?;
    let refused = target.deploy("acme").await?;
    assert_eq!(refused.operation.error.as_ref().map(|error| error.code.as_str()), Some("handed-over"));
    target.client.take_back(&name("acme")).await?;
    assert!(target.client.take_back(&name("acme")).await.unwrap_err().is_refusal("nothing-to-take-back"));
    target.deploy("acme").await?.succeeded()?;
    Ok(())
}

#[tokio::test]
async fn whatever_breaks_in_the_middle_one_provider_serves_all_that_was_written_and_the_other_nothing()
-> Result<()> {
    // Printed, so that a run that failed can be made once more.
    let seed = uuid::Uuid::now_v7().as_u64_pair().1 | 1;
    println!("seed {seed}");
    let Some(tally) = moving::wreak(3, seed, |line| println!("{line}")).await? else { return Ok(()) };
    let wrong: Vec<_> = tally.iter().filter(|(_, count)| !count.wrong.is_empty()).collect();
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
    Ok(())
}
