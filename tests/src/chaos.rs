//! Faults at random instants of deployments, and what must hold after every one.
//!
//! All tenants are deployed at once, each with a change of its own; each machine meets a fault at an instant of its own, and
//! the daemon is killed once as well. Once everything is mended, every operation must have ended, exactly once, and every
//! machine must run and boot what the daemon's record says, serve it, and have no timer left.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_client::Client;
use berth_domain::{EventKind, Operation, OperationId, OperationStatus, RevisionId, TenantDraft};
use berth_simulation::dice::Dice;
use berth_testbed::{Disk, Machine};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::daemon::{Daemon, DaemonOptions};
use crate::damage::{self, Damage};
use crate::drafts::{settings, tenant};
use crate::stage::{Stage, name};
use crate::told::Told;
use crate::web;
use crate::workshop::{Extra, Trouble, Workshop};
use crate::wrong_clock::WrongClock;

/// Machines wait for the commit for ten seconds after the switch, so that those that are left alone go back soon.
const CONFIG: &str = "parallel_operations = 16\n[timeouts]\nverify = 6\ndead_man = 4\n";

/// Faults come within this long after the deployments were asked for; a little longer than one takes.
const SPAN_MS: u64 = 6000;

/// How long what is broken stays so, at the most.
const BROKEN_MS: u64 = 6000;

/// How long an operation may take to end, and a machine to be what the record says, once everything is mended.
const PATIENCE: Duration = Duration::from_secs(150);

/// How large a machine's disk is.
const DISK: Disk = Disk::Limited { bytes: 1 << 30 };

/// What breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The daemon is killed (`kill -9`) and started again.
    DaemonKilled,
    /// Every process of the agent on the machine is killed.
    AgentKilled,
    /// The machine's network is cut, and healed.
    NetworkCut,
    /// The machine loses its power, and is booted.
    PowerLost,
    /// The machine loses its power, which leaves of a store path that the deployment has brought less than Nix knows. A
    /// machine that was committed to that serves again once it is deployed to.
    StorePathCorrupted,
    /// The machine's disk is filled, and freed.
    DiskFull,
    /// The clock of what runs on the machine is an hour ahead, then an hour behind, then right again.
    ClockSkewed,
    /// The new system's web server refuses its configuration.
    NginxBroken,
    /// The new system ends its own SSH server.
    SshCut,
}

impl Fault {
    /// Those that a machine can meet.
    const OF_MACHINES: [Self; 8] = [
        Self::AgentKilled,
        Self::NetworkCut,
        Self::PowerLost,
        Self::StorePathCorrupted,
        Self::DiskFull,
        Self::ClockSkewed,
        Self::NginxBroken,
        Self::SshCut,
    ];

    /// What a new configuration does wrong, where that is the fault.
    fn trouble(self) -> Option<Trouble> {
        match self {
            Self::NginxBroken => Some(Trouble::BreaksNginx),
            Self::SshCut => Some(Trouble::CutsSsh),
            _ => None,
        }
    }

    /// What may be gone when a machine loses its power is what was not there before; `known` was.
    async fn inject(self, at: &Inhabited, known: &[String], dice: &Dice) -> Result<()> {
        sleep(dice.millis(0..=SPAN_MS)).await;
        let meanwhile = dice.millis(0..=BROKEN_MS);
        let machine = &at.machine;
        match self {
            Self::DaemonKilled | Self::NginxBroken | Self::SshCut => {}
            Self::AgentKilled => {
                // None may be there at this instant.
                machine.exec(&["pkill", "-KILL", "berth-agent"]).await?;
            }
            Self::NetworkCut => {
                machine.cut_network().await?;
                sleep(meanwhile).await;
                machine.heal_network().await?;
            }
            Self::PowerLost => {
                machine.crash().await?;
                sleep(meanwhile).await;
                machine.start().await?;
            }
            Self::StorePathCorrupted => {
                machine.crash().await?;
                let paths = damage::store_paths(machine)?.into_iter().filter(|path| !known.contains(path));
                let files: Vec<_> = paths.filter_map(|path| damage::file_of(machine, &path)).collect();
                if !files.is_empty() {
                    let file = &files[dice.below(files.len())];
                    damage::damage(machine, file, Damage::ALL[dice.below(Damage::ALL.len())])?;
                }
                sleep(meanwhile).await;
                machine.start().await?;
                // A switch that meets the boot's own is refused, and what is deployed once more has to succeed.
                machine.settled().await?;
            }
            Self::ClockSkewed => {
                for hours in [1, -1] {
                    at.clock.is_off_by(hours * 3600)?;
                    sleep(meanwhile / 2).await;
                }
                at.clock.is_off_by(0)?;
            }
            Self::DiskFull => {
                // Ends when nothing is left, which it calls an error.
                machine.exec(&["dd", "if=/dev/zero", "of=/var/filled", "bs=1M"]).await?;
                sleep(meanwhile).await;
                machine.exec(&["rm", "--force", "/var/filled"]).await?;
            }
        }
        Ok(())
    }
}

/// What came of the faults of one kind.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// How many there were.
    pub faults: usize,
    /// How many of the deployments that met one succeeded all the same.
    pub succeeded: usize,
    /// What was not as it must be afterwards.
    pub wrong: Vec<String>,
}

/// What came of all faults.
pub type Tally = BTreeMap<Fault, Count>;

/// Makes at least so many faults, on so many machines. `seed` decides which, where and when; what meets what at which
/// instant is also decided by this host. `tell` hears of every round. Nothing where machines cannot be booted.
///
/// # Errors
/// If the daemon, or a machine, is beyond all help.
pub async fn wreak(faults: usize, machines: usize, seed: u64, tell: impl Fn(&str)) -> Result<Option<Tally>> {
    let workshop = Workshop::open(Extra::Nothing)?;
    let (platform, config) = (Some(workshop.reference()), CONFIG.into());
    let options = DaemonOptions { platform, config, ..DaemonOptions::usual() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
    let mut place = Place::furnish(stage, machines, seed).await?;
    let mut tally = Tally::new();
    let mut made = 0;
    while made < faults {
        made += place.round(&mut tally, &tell).await?;
        ensure!(!place.tenants.is_empty(), "no operation of the last tenants ends any more");
        let wrong: usize = tally.values().map(|count| count.wrong.len()).sum();
        tell(&format!("{made} of {faults} faults, {wrong} wrong"));
    }
    Ok(Some(tally))
}

/// The daemon, and tenants each on a machine of its own.
struct Place {
    stage: Stage,
    tenants: Vec<Inhabited>,
    dice: Dice,
    round: usize,
}

/// A tenant on its machine.
struct Inhabited {
    machine: Machine,
    clock: WrongClock,
    draft: TenantDraft,
    /// What each revision that was deployed is: its system and the name that its service shows.
    known: BTreeMap<RevisionId, (String, String)>,
}

impl Place {
    async fn furnish(stage: Stage, machines: usize, seed: u64) -> Result<Self> {
        let mut tenants = Vec::new();
        for number in 0..machines {
            let machine = stage.machine_with(&format!("m{number}"), DISK).await?;
            let clock = WrongClock::of(&machine).await?;
            let mut tenant = Inhabited { machine, clock, draft: draft(number), known: BTreeMap::new() };
            let told = stage.deployed(&tenant.draft).await?;
            tenant.learn(&told.operation);
            tenants.push(tenant);
        }
        Ok(Self { stage, tenants, dice: Dice::new(seed), round: 0 })
    }

    /// Deploys everything, breaks and mends everything, and looks at everything; returns how many faults there were.
    /// A tenant whose operation does not end takes no part in what follows.
    async fn round(&mut self, tally: &mut Tally, tell: &impl Fn(&str)) -> Result<usize> {
        self.round += 1;
        let mut plans = Vec::new();
        for tenant in &mut self.tenants {
            let fault = Fault::OF_MACHINES[self.dice.below(Fault::OF_MACHINES.len())];
            tenant.change(&self.stage, self.round, fault).await?;
            let known = damage::store_paths(&tenant.machine)?;
            let operation = self.stage.client.deploy(&name(&tenant.draft.name)).await?.id;
            plans.push((fault, known, operation));
        }
        let Stage { daemon, client, .. } = &mut self.stage;
        let own = another(&self.dice);
        let faults = self.tenants.iter().zip(&plans).map(|(tenant, (fault, known, _))| {
            let dice = another(&self.dice);
            async move { fault.inject(tenant, known, &dice).await }
        });
        let (killed, broken) = tokio::join!(kill(daemon, &own), futures_util::future::try_join_all(faults));
        killed?;
        broken?;
        let mut stuck = Vec::new();
        for (tenant, (fault, _, operation)) in self.tenants.iter_mut().zip(&plans) {
            let end = Instant::now() + PATIENCE;
            let outcome = match fault {
                Fault::StorePathCorrupted => tenant.judge_mended(client, *operation, end).await,
                _ => tenant.judge(client, *operation, end).await,
            };
            let round = self.round;
            if let Err(error) = &outcome {
                tell(&format!("  wrong: {fault:?}, round {round}, {}: {error:#}", tenant.draft.name));
            }
            if !client.operation(*operation).await?.status.is_final() {
                stuck.push(tenant.draft.name.clone());
            }
            for fault in [*fault, Fault::DaemonKilled] {
                let count = tally.entry(fault).or_default();
                // The daemon is killed once a round, whomever it was about.
                count.faults += usize::from(fault != Fault::DaemonKilled);
                match &outcome {
                    Ok(status) => count.succeeded += usize::from(*status == OperationStatus::Succeeded),
                    Err(error) if fault != Fault::DaemonKilled => {
                        count.wrong.push(format!("round {round}, {}: {error:#}", tenant.draft.name));
                    }
                    Err(_) => {}
                }
            }
        }
        self.tenants.retain(|tenant| !stuck.contains(&tenant.draft.name));
        tally.entry(Fault::DaemonKilled).or_default().faults += 1;
        Ok(plans.len() + 1)
    }
}

async fn kill(daemon: &mut Daemon, dice: &Dice) -> Result<()> {
    sleep(dice.millis(0..=SPAN_MS)).await;
    daemon.kill()?;
    daemon.start_again()
}

impl Inhabited {
    async fn change(&mut self, stage: &Stage, round: usize, fault: Fault) -> Result<()> {
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

    /// How the operation ended, if everything is as it must be once the tenant was deployed once more: what a machine has
    /// lost after its commit, nobody noticed.
    async fn judge_mended(
        &mut self,
        client: &Client,
        id: OperationId,
        end: Instant,
    ) -> Result<OperationStatus> {
        let operation = ended(client, id, end).await?;
        self.learn(&operation);
        ended_once(client, &operation).await?;
        let again = client.deploy(&name(&self.draft.name)).await?;
        match self.judge(client, again.id, end).await? {
            OperationStatus::Succeeded => Ok(operation.status),
            other => anyhow::bail!("it ended as {}, and the next deployment as {other}", operation.status),
        }
    }

    /// How the operation ended, if everything is as it must be then.
    async fn judge(&mut self, client: &Client, id: OperationId, end: Instant) -> Result<OperationStatus> {
        let operation = ended(client, id, end).await?;
        self.learn(&operation);
        ended_once(client, &operation).await?;
        let record = client.tenant(&name(&self.draft.name)).await?;
        let deployed = record.deployed_revision.context("it is not deployed any more")?;
        let succeeded = operation.status == OperationStatus::Succeeded;
        ensure!(
            succeeded == (operation.revision.as_ref() == Some(&deployed)),
            "the operation ended as {}, and the record has {deployed}",
            operation.status
        );
        let (system, title) = self.known.get(&deployed).context("a revision that never was")?;
        loop {
            match self.is(system, title).await {
                Ok(()) => return Ok(operation.status),
                // A machine that was left alone puts itself back when its timer elapses, and not earlier.
                Err(error) if Instant::now() >= end => {
                    let message = operation.error.map(|error| error.message).unwrap_or_default();
                    return Err(error.context(format!("it ended as {}: {message}", operation.status)));
                }
                Err(_) => sleep(Duration::from_millis(500)).await,
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

/// Whether an operation told every event, and its end once.
async fn ended_once(client: &Client, operation: &Operation) -> Result<()> {
    let events = Told::follow(client, operation.id).await?.events;
    let numbers: Vec<i64> = events.iter().map(|event| event.seq).collect();
    ensure!(numbers == (1..=operation.last_seq).collect::<Vec<_>>(), "events are missing: {numbers:?}");
    let ends = events.iter().filter(|event| event.kind == EventKind::Finished).count();
    ensure!(ends == 1, "it ended {ends} times");
    Ok(())
}

/// A tenant with one service.
fn draft(number: usize) -> TenantDraft {
    let services = BTreeMap::from([("gitea".to_owned(), settings(json!({ "app_name": "Git of round 0" })))]);
    TenantDraft { services, ..tenant(&format!("t{number}"), &format!("m{number}")) }
}

/// Dice of their own, so that what one machine meets does not depend on how fast another is.
fn another(dice: &Dice) -> Dice {
    Dice::new(dice.number(0..=u64::MAX))
}
