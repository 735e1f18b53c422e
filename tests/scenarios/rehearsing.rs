//! Rehearsals of migrations on real machines: a copy is tried out at the provider that a tenant would move to, nothing of it
//! stays, and the tenant goes on where it is.

use anyhow::{Context as _, Result};
use berth_domain::{DrillOutcome, MovePhase, OperationId, OperationStatus, Rehearsal};
use berth_testbed::Machine;
use berth_tests::notes;
use berth_tests::stage::name;
use berth_tests::told::Told;
use secrecy::SecretString;

use super::drills::holds_nothing;
use super::migrating::{PATIENCE, Providers, providers, until};

/// What keeps a service from coming up.
const BROKEN: &str = "/run/systemd/system/gitea.service.d/broken.conf";

impl Providers {
    /// A rehearsal, handed in and accepted; both operations.
    async fn rehearse(&self, id: uuid::Uuid, ticket: &SecretString) -> Result<(OperationId, OperationId)> {
        let leaving = self.source.client.rehearse(&name("acme"), ticket).await?.id;
        Ok((leaving, self.accept(id).await?))
    }

    /// Both sides' operations, once they have ended.
    async fn told(&self, leaving: OperationId, coming: OperationId) -> Result<(Told, Told)> {
        let left = Told::follow_within(&self.source.client, leaving, PATIENCE).await?;
        Ok((left, Told::follow_within(&self.target.client, coming, PATIENCE).await?))
    }

    /// The tenant is where it was and nowhere else; what both say that was found.
    async fn stayed(&self, id: uuid::Uuid) -> Result<Rehearsal> {
        let departure = self.source.client.migration(&name("acme")).await?;
        assert_eq!((departure.stopped_at, departure.handed_over_at), (None, None));
        assert_eq!(self.source.client.tenant(&name("acme")).await?.spec.mode.as_deref(), Some("active"));
        assert_eq!(self.target.client.tenant(&name("acme")).await?.spec.mode.as_deref(), Some("standby"));
        holds_nothing(&self.new).await?;
        let arrival = self.target.client.ticket(id).await?;
        assert_eq!(arrival.countersignature, None);
        let (said, heard) =
            (arrival.rehearsal.context("a report")?, departure.rehearsal.context("a report")?);
        assert_eq!((said.outcome, said.emptied), (heard.outcome, heard.emptied), "{said:#?} {heard:#?}");
        assert!(said.emptied, "{said:#?}");
        Ok(heard)
    }
}

async fn run(machine: &Machine, script: &str) -> Result<()> {
    let output = machine.exec(&["sh", "-c", script]).await?;
    assert!(output.status.success(), "{output:?}");
    Ok(())
}

#[tokio::test]
async fn a_rehearsal_tells_how_it_would_be_leaves_nothing_and_the_same_ticket_moves_the_tenant_then()
-> Result<()> {
    let Some(providers) = providers().await? else { return Ok(()) };
    let before = notes::read_all(&providers.old, "acme").await?;
    let (id, ticket) = providers.issue().await?;
    let (leaving, coming) = providers.rehearse(id, &ticket).await?;
    let (left, came) = providers.told(leaving, coming).await?;
    left.succeeded()?;
    came.succeeded()?;
    let found = providers.stayed(id).await?;
    println!("{}", found.told().join("\n"));
    assert_eq!(found.outcome, DrillOutcome::Passed);
    assert_eq!(providers.target.client.ticket(id).await?.phase, MovePhase::Rehearsed);
    let services: Vec<_> = found.services.keys().map(|name| name.as_str()).collect();
    assert_eq!(services, ["gitea", "mastodon", "peertube"]);
    for (service, found) in &found.services {
        assert!(found.found.ok && found.found.files > 0, "{service}: {found:?}");
        // Nobody wrote meanwhile, so that all of it can be compared.
        assert!(!found.compared.is_empty(), "{service}: {found:?}");
    }
    assert!(found.copied.context("times")?.bytes_sent > 0 && found.estimated_away_ms.is_some(), "{found:#?}");
    let words = providers.source.berth(&["migration", "acme"])?;
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(words.contains("an estimate") && words.contains("passed"), "{words}");
    // Nobody starts at the target what the source serves.
    let standby = providers.target.client.tenant(&name("acme")).await?;
    let mut draft = standby.spec.clone();
    draft.mode = Some("active".into());
    providers.target.client.put_tenant(&name("acme"), &draft, Some(standby.version)).await?;
    let refused = providers.target.deploy("acme").await?;
    assert_eq!(refused.operation.error.as_ref().map(|error| error.code.as_str()), Some("handed-over"));
    let now = providers.target.client.tenant(&name("acme")).await?;
    providers.target.client.put_tenant(&name("acme"), &standby.spec, Some(now.version)).await?;

    // The tenant went on; with what was written since, it moves.
    assert_eq!(notes::read_all(&providers.old, "acme").await?, before);
    notes::add_to_all(&providers.old, "acme", "between").await?;
    let before = notes::read_all(&providers.old, "acme").await?;
    let leaving = providers.source.client.migrate(&name("acme"), &ticket).await?.id;
    let coming = providers.accept(id).await?;
    let (left, came) = providers.told(leaving, coming).await?;
    left.succeeded()?;
    came.succeeded()?;
    assert_eq!(notes::read_all(&providers.new, "acme").await?, before);
    let arrival = providers.target.client.ticket(id).await?;
    assert_eq!((arrival.phase, arrival.rehearses), (MovePhase::Live, false));
    assert_eq!(arrival.rehearsal.map(|rehearsal| rehearsal.outcome), Some(DrillOutcome::Passed));
    Ok(())
}

#[tokio::test]
async fn a_copy_that_does_not_come_up_is_told_and_a_daemon_that_is_killed_meanwhile_is_followed() -> Result<()>
{
    let Some(mut providers) = providers().await? else { return Ok(()) };
    let before = notes::read_all(&providers.old, "acme").await?;
    let (id, ticket) = providers.issue().await?;
    let folder = BROKEN.rsplit_once('/').context("a folder")?.0;
    run(
        &providers.new,
        &format!("mkdir -p {folder} && printf '[Service]\\nExecStartPre=/bin/false\\n' > {BROKEN}"),
    )
    .await?;
    let (leaving, coming) = providers.rehearse(id, &ticket).await?;
    let (left, came) = providers.told(leaving, coming).await?;
    let said = came.operation.error.context("why it failed")?.message;
    assert!(said.contains("gitea.service"), "{said}");
    let heard = left.operation.error.context("why it failed")?.message;
    assert!(heard.contains("gitea.service"), "{heard}");
    let found = providers.stayed(id).await?;
    assert_eq!(found.outcome, DrillOutcome::Failed);
    assert!(found.problem.is_some_and(|problem| problem.contains("gitea.service")));
    assert_eq!(notes::read_all(&providers.old, "acme").await?, before);

    // The ticket is good for another try, whose daemon ends in the middle.
    run(&providers.new, &format!("rm {BROKEN} && systemctl daemon-reload")).await?;
    let (leaving, coming) = providers.rehearse(id, &ticket).await?;
    until(&providers.target.client, id, |arrival| arrival.phase == MovePhase::Trying).await?;
    providers.target.daemon.kill()?;
    providers.target.daemon.start_again()?;
    let (left, came) = providers.told(leaving, coming).await?;
    left.succeeded()?;
    came.succeeded()?;
    assert_eq!(providers.stayed(id).await?.outcome, DrillOutcome::Passed);

    // Somebody at the source stops one.
    let (leaving, coming) = providers.rehearse(id, &ticket).await?;
    until(&providers.target.client, id, |arrival| arrival.phase == MovePhase::Trying).await?;
    providers.source.client.cancel(leaving).await?;
    let (left, came) = providers.told(leaving, coming).await?;
    assert_eq!(left.operation.status, OperationStatus::Cancelled, "{:#?}", left.events);
    assert_ne!(came.operation.status, OperationStatus::Running);
    holds_nothing(&providers.new).await?;
    assert_eq!(notes::read_all(&providers.old, "acme").await?, before);
    Ok(())
}
