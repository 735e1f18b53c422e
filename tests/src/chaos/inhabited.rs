//! A tenant and its machine, and what both must be once an operation has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_client::Client;
use berth_domain::{Event, EventKind, Operation, OperationId, OperationStatus, RevisionId, TenantDraft};
use berth_testbed::{Disk, Machine};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Fault, Plan};
use crate::drafts::{settings, tenant};
use crate::stage::{Stage, name};
use crate::told::Told;
use crate::visitor;
use crate::web;
use crate::workshop::Trouble;
use crate::wrong_clock::WrongClock;

/// How large a machine's disk is.
const DISK: Disk = Disk::Limited { bytes: 1 << 30 };

/// The subdomain of what no deployment changes, and a page of it.
const UNCHANGED: (&str, &str) = ("meet", "/public-groups.json");

/// A tenant on its machine.
pub(super) struct Inhabited {
    pub(super) machine: Machine,
    pub(super) clock: WrongClock,
    pub(super) draft: TenantDraft,
    /// What each revision that was deployed is: its system and the name that its service shows.
    known: BTreeMap<RevisionId, (String, String)>,
}

impl Inhabited {
    /// Boots a machine for a tenant of this number, and deploys it for the first time.
    pub(super) async fn settle(stage: &Stage, number: usize) -> Result<Self> {
        let machine = stage.machine_with(&format!("m{number}"), DISK).await?;
        let clock = WrongClock::of(&machine).await?;
        let mut tenant = Self { machine, clock, draft: draft(number), known: BTreeMap::new() };
        let told = stage.deployed(&tenant.draft).await?;
        tenant.learn(&told.operation);
        Ok(tenant)
    }

    pub(super) async fn change(&mut self, stage: &Stage, round: usize, fault: Fault) -> Result<()> {
        let title = format!("Git of round {round}");
        self.draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), title.into());
        self.draft.plan = fault.trouble().map(Trouble::plan);
        stage.change(&self.draft).await
    }

    fn title(&self) -> String {
        let gitea = self.draft.services.get("gitea");
        gitea.and_then(|gitea| gitea.get("app_name")?.as_str()).unwrap_or_default().to_owned()
    }

    fn learn(&mut self, operation: &Operation) {
        if let (Some(revision), Some(system)) = (&operation.revision, &operation.system) {
            self.known.insert(revision.clone(), (system.clone(), self.title()));
        }
    }

    /// Somebody comes who asks for what this deployment does not change, for as long as it goes on.
    pub(super) async fn is_visited(&self) -> Result<()> {
        visitor::comes(&self.machine, &self.unchanged(), UNCHANGED.1).await
    }

    fn unchanged(&self) -> String {
        format!("{}.{}", UNCHANGED.0, self.draft.domain)
    }

    /// How what was planned ended, if everything is as it must be.
    pub(super) async fn judge(
        &mut self,
        client: &Client,
        plan: &Plan,
        end: Instant,
    ) -> Result<OperationStatus> {
        let outcome = self.outcome(client, plan, end).await;
        if !plan.fault.takes_the_power() {
            let unanswered = visitor::leaves(&self.machine).await.context(self.unchanged());
            // What else is wrong says more.
            if outcome.is_ok() {
                let unanswered = unanswered?;
                ensure!(unanswered.is_empty(), "{} was not answered: {unanswered:?}", self.unchanged());
            }
        }
        outcome
    }

    async fn outcome(&mut self, client: &Client, plan: &Plan, end: Instant) -> Result<OperationStatus> {
        let mut operation = self.ended(client, plan.operation, end).await?;
        let status = operation.status;
        if plan.fault == Fault::StorePathCorrupted {
            // What a machine has lost after its commit, nobody noticed.
            let again = client.deploy(&name(&self.draft.name)).await?;
            operation = self.ended(client, again.id, end).await?;
            ensure!(
                operation.status == OperationStatus::Succeeded,
                "it ended as {status}, and the next deployment so: {}",
                told(client, &operation).await?
            );
        }
        match self.is_as_recorded(client, &operation, end).await {
            Ok(()) => Ok(status),
            Err(error) => Err(error.context(told(client, &operation).await?)),
        }
    }

    /// The operation once it has ended, which it must once.
    async fn ended(&mut self, client: &Client, id: OperationId, end: Instant) -> Result<Operation> {
        let operation = ended(client, id, end).await?;
        self.learn(&operation);
        ended_once(client, &operation).await?;
        Ok(operation)
    }

    /// Whether the record is what the operation's end says, and the machine what the record says, before `end`.
    async fn is_as_recorded(&self, client: &Client, operation: &Operation, end: Instant) -> Result<()> {
        let record = client.tenant(&name(&self.draft.name)).await?;
        let deployed = record.deployed_revision.context("it is not deployed any more")?;
        let succeeded = operation.status == OperationStatus::Succeeded;
        ensure!(
            succeeded == (operation.revision.as_ref() == Some(&deployed)),
            "the record has {deployed}, and it was to deploy {:?}",
            operation.revision
        );
        let (system, title) = self.known.get(&deployed).context("a revision that never was")?;
        loop {
            match self.is(system, title).await {
                // A machine that was left alone puts itself back when its timer elapses, and not earlier.
                Err(_) if Instant::now() < end => sleep(Duration::from_millis(500)).await,
                answer => return answer,
            }
        }
    }

    /// Whether the machine runs, boots and serves this.
    async fn is(&self, system: &str, title: &str) -> Result<()> {
        for link in ["/run/current-system", "/nix/var/nix/profiles/system"] {
            let found = self.machine.exec(&["readlink", "--canonicalize", link]).await?;
            let found = String::from_utf8(found.stdout)?;
            ensure!(found.trim() == system, "{link} leads to {} and not to {system}", found.trim());
        }
        let timers = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "berth-guard-*"];
        let timers = String::from_utf8(self.machine.exec(&timers).await?.stdout)?;
        ensure!(timers.trim().is_empty(), "a timer is left: {timers}");
        let page = web::get(&self.machine, &format!("git.{}", self.draft.domain), "/").await?;
        ensure!(page.status == 200 && page.text.contains(title), "it does not serve “{title}”: {page:?}");
        let page = web::get(&self.machine, &self.unchanged(), UNCHANGED.1).await?;
        ensure!(page.status == 200, "{}: {page:?}", self.unchanged());
        Ok(())
    }
}

/// The operation once it has ended.
async fn ended(client: &Client, id: OperationId, end: Instant) -> Result<Operation> {
    loop {
        let operation = client.operation(id).await?;
        if operation.status.is_final() {
            return Ok(operation);
        }
        let step =
            operation.steps.iter().find(|step| step.started_at.is_some() && step.finished_at.is_none());
        ensure!(Instant::now() < end, "it does not end; it is at {:?}", step.map(|step| step.name));
        sleep(Duration::from_millis(200)).await;
    }
}

/// What an operation told, which must be every event, and its end once.
async fn ended_once(client: &Client, operation: &Operation) -> Result<Vec<Event>> {
    let events = Told::follow(client, operation.id).await?.events;
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    ensure!(numbers == (1..=operation.last_seq).collect::<Vec<_>>(), "events are missing: {numbers:?}");
    let ends = events.iter().filter(|event| event.kind == EventKind::Finished).count();
    ensure!(ends == 1, "it ended {ends} times");
    Ok(events)
}

/// How an operation ended and the last that it told, for who has to find out what went wrong.
async fn told(client: &Client, operation: &Operation) -> Result<String> {
    let events = ended_once(client, operation).await?;
    let words = events.iter().rev().filter(|event| event.kind != EventKind::Log && !event.message.is_empty());
    let words = words.take(12).map(|event| match event.step {
        Some(step) => format!("{step}: {}", event.message),
        None => event.message.clone(),
    });
    Ok(format!("it ended as {} and told: {}", operation.status, words.collect::<Vec<_>>().join(" ← ")))
}

/// A tenant with one service that every deployment changes, and one that none does.
fn draft(number: usize) -> TenantDraft {
    let services = BTreeMap::from([
        ("gitea".to_owned(), settings(json!({ "app_name": "Git of round 0" }))),
        ("galene".to_owned(), settings(json!({ "rooms": [{ "name": "garden" }] }))),
    ]);
    TenantDraft { services, ..tenant(&format!("t{number}"), &format!("m{number}")) }
}
