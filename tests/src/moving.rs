//! Faults at random instants of migrations, and what must hold after every one.
//!
//! A tenant moves back and forth between two providers, by a ticket or by the way back that the last move opened, while somebody
//! writes to it all the time, by its old address. Each move meets a fault. Once everything is mended, both operations must have ended and agree; exactly one provider serves the tenant,
//! with everything that was written and acknowledged; nothing of it runs at the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_client::{Client, ClientError, DeleteTenant, Deleted};
use berth_contract::NewTicket;
use berth_domain::{MovePhase, Operation, OperationId, OperationStatus, TenantDraft};
use berth_simulation::dice::Dice;
use berth_testbed::Machine;
use secrecy::SecretString;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::daemon::DaemonOptions;
use crate::drafts::{settings, tenant};
use crate::notes;
use crate::stage::{Stage, name};

/// The tenant.
pub const TENANT: &str = "acme";

/// Its only host.
const HOST: &str = "git.acme.example";

/// The unit of its only service.
const UNIT: &str = "gitea.service";

/// How long what is broken stays so, at the most.
const BROKEN_MS: u64 = 6000;

/// How long both sides may take to come to an end, once everything is mended.
const PATIENCE: Duration = Duration::from_secs(400);

/// Machines wait for the commit for a short time after the switch, so that those that are left alone go back soon.
const CONFIG: &str = "[timeouts]\nverify = 30\ndead_man = 10\n";

/// Which databases are followed by what changes in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// Those that are large, as it is where nobody says anything.
    Large,
    /// All of them, as that has more that can be broken off.
    All,
}

impl Followed {
    fn config(self) -> String {
        let told = match self {
            Self::Large => "",
            Self::All => "[migration]\nreplicate_databases_above = 0\n",
        };
        format!("{CONFIG}{told}")
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing: how it should go.
    None,
    /// The source's daemon is killed (`kill -9`) and started again.
    SourceKilled,
    /// The target's daemon is killed and started again.
    TargetKilled,
    /// The source machine's network is cut, and healed.
    OldCutOff,
    /// The target machine's network is cut, and healed.
    NewCutOff,
    /// The source's machine loses its power, and is booted.
    OldPowerLost,
    /// The target's machine loses its power, and is booted.
    NewPowerLost,
    /// Somebody at the source cancels.
    Cancelled,
    /// The same, and the source's daemon is killed and started again.
    CancelledAndKilled,
    /// Somebody at the target takes the ticket back.
    Revoked,
}

impl Fault {
    /// All that break something.
    pub const ALL: [Self; 9] = [
        Self::SourceKilled,
        Self::TargetKilled,
        Self::OldCutOff,
        Self::NewCutOff,
        Self::OldPowerLost,
        Self::NewPowerLost,
        Self::Cancelled,
        Self::CancelledAndKilled,
        Self::Revoked,
    ];
}

/// What came of the faults of one kind.
#[derive(Debug, Clone, Default)]
pub struct Count {
    /// How many there were.
    pub faults: usize,
    /// How many of the migrations that met one succeeded all the same.
    pub moved: usize,
    /// What was not as it must be afterwards.
    pub wrong: Vec<String>,
}

/// What came of all faults.
pub type Tally = BTreeMap<Fault, Count>;

/// A provider with its machine.
pub struct House {
    /// The provider.
    pub stage: Stage,
    /// Its machine.
    pub machine: Machine,
}

/// Two providers, and where the tenant is.
pub struct Neighbours {
    houses: [House; 2],
    at: usize,
    dice: Dice,
    written: Arc<Written>,
    /// Whether the other one keeps what is left of it, so that it can go back there.
    kept: bool,
    /// How long a move takes that nothing disturbs: faults come within that time.
    usual: Duration,
}

/// What was written to the tenant.
#[derive(Debug, Default)]
pub struct Written {
    tried: AtomicU64,
    acknowledged: AtomicU64,
}

impl Written {
    /// Whether so many notes are all that were acknowledged, and none that was never tried.
    ///
    /// # Errors
    /// If not.
    pub fn holds(&self, count: u64) -> Result<()> {
        let (acknowledged, tried) =
            (self.acknowledged.load(Ordering::Relaxed), self.tried.load(Ordering::Relaxed));
        ensure!(
            (acknowledged..=tried).contains(&count),
            "{count} notes are there; {acknowledged} were acknowledged, {tried} tried"
        );
        Ok(())
    }
}

/// A migration that is under way.
struct Moving {
    id: uuid::Uuid,
    leaving: OperationId,
    coming: OperationId,
}

impl Neighbours {
    /// Two providers, a tenant at the first. Nothing where machines cannot be booted.
    ///
    /// # Errors
    /// If something of it does not start.
    pub async fn settle(seed: u64, followed: Followed) -> Result<Option<Self>> {
        let mut houses = Vec::new();
        for number in 0..2 {
            let options = DaemonOptions { config: followed.config(), ..DaemonOptions::usual() };
            let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
            let machine = stage.machine(&machine_of(number)).await?;
            houses.push(House { stage, machine });
        }
        let houses: [House; 2] = houses.try_into().ok().context("two providers")?;
        houses[0].stage.deployed(&draft()).await?;
        let usual = Duration::from_secs(30);
        Ok(Some(Self { houses, at: 0, dice: Dice::new(seed), written: Arc::default(), kept: false, usual }))
    }

    /// Moves the tenant to the other provider, meets a fault on the way, and looks at what came of it; whether the tenant
    /// moved. What is wrong afterwards is in the error.
    ///
    /// # Errors
    /// What is wrong, or beyond all help.
    pub async fn move_once(&mut self, fault: Fault) -> Result<bool> {
        let (from, to) = self.sides();
        let moving = if self.kept { go_back(from, to).await? } else { begin(from, to).await? };
        let began = Instant::now();
        let stop = Arc::new(AtomicBool::new(false));
        let writing = writing(from.machine.address().to_string(), &self.written, &stop);
        let after = Duration::from_millis(self.dice.below(self.usual.as_millis() as usize) as u64);
        let broken = Duration::from_millis(self.dice.below(BROKEN_MS as usize) as u64);
        self.disturb(fault, &moving, after, broken).await.context("the fault itself")?;
        let end = patience();
        let (from, to) = self.sides();
        let left = ended(&from.stage.client, moving.leaving, end).await.context("the source's operation");
        let came = ended(&to.stage.client, moving.coming, end).await.context("the target's operation");
        if fault == Fault::None {
            self.usual = began.elapsed();
        }
        // The last ones are written when everything is over.
        sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        writing.await?;
        let moved = self.judge(&moving, &left?, &came?, end).await?;
        // A ticket that was taken back stays so, and with it the way back that it was.
        self.kept &= moved || fault != Fault::Revoked;
        self.tidy(moved).await?;
        Ok(moved)
    }

    /// The provider that has the tenant, and the other one.
    pub fn sides(&self) -> (&House, &House) {
        (&self.houses[self.at], &self.houses[1 - self.at])
    }

    async fn disturb(
        &mut self,
        fault: Fault,
        moving: &Moving,
        after: Duration,
        broken: Duration,
    ) -> Result<()> {
        sleep(after).await;
        let at = self.at;
        match fault {
            Fault::None => {}
            Fault::SourceKilled => restart(&mut self.houses[at].stage, broken).await?,
            Fault::TargetKilled => restart(&mut self.houses[1 - at].stage, broken).await?,
            Fault::OldCutOff => cut(&self.houses[at].machine, broken).await?,
            Fault::NewCutOff => cut(&self.houses[1 - at].machine, broken).await?,
            Fault::OldPowerLost => crash(&self.houses[at].machine, broken).await?,
            Fault::NewPowerLost => crash(&self.houses[1 - at].machine, broken).await?,
            // Both come too late where it is over, or where nobody's wish counts any more.
            Fault::Cancelled => drop(self.houses[at].stage.client.cancel(moving.leaving).await),
            Fault::CancelledAndKilled => {
                let stage = &mut self.houses[at].stage;
                drop(stage.client.cancel(moving.leaving).await);
                restart(stage, broken).await?;
            }
            Fault::Revoked => drop(self.houses[1 - at].stage.client.revoke_ticket(moving.id).await),
        }
        Ok(())
    }

    /// Whether everything is as it must be once both operations have ended; whether the tenant moved.
    async fn judge(&self, moving: &Moving, left: &Operation, came: &Operation, end: Instant) -> Result<bool> {
        let (from, to) = self.sides();
        let arrival = to.stage.client.ticket(moving.id).await?;
        let moved = arrival.phase == MovePhase::Live;
        let why = || {
            let said = |operation: &Operation| operation.error.as_ref().map(|error| error.message.clone());
            format!(
                "{:?}; source {} {:?}; target {} {:?}",
                arrival.phase,
                left.status,
                said(left),
                came.status,
                said(came)
            )
        };
        ensure!(arrival.phase.is_final(), "the target does not say how it ended: {}", why());
        ensure!(
            moved == (left.status == OperationStatus::Succeeded),
            "the source sees it otherwise: {}",
            why()
        );
        ensure!(
            moved == (came.status == OperationStatus::Succeeded),
            "the target sees it otherwise: {}",
            why()
        );
        let (serves, rests) = if moved { (to, from) } else { (from, to) };
        loop {
            let found = look(serves, rests, &self.written).await;
            match found {
                Ok(()) => return Ok(moved),
                Err(error) if Instant::now() >= end => return Err(error.context(why())),
                Err(_) => sleep(Duration::from_millis(500)).await,
            }
        }
    }

    /// Frees the machine of the one that does not have the tenant; or leaves it there, so that the next move goes back.
    async fn tidy(&mut self, moved: bool) -> Result<()> {
        let kept = if moved { self.dice.below(2) == 1 } else { self.kept };
        let (from, to) = self.sides();
        if !kept {
            remove(if moved { from } else { to }).await?;
        }
        self.kept = kept;
        if moved {
            self.at = 1 - self.at;
        }
        Ok(())
    }
}

/// Removes what is left of the tenant.
async fn remove(rests: &House) -> Result<()> {
    let how = DeleteTenant { wipe: true, abandon: false };
    match rests.stage.client.delete_tenant(&name(TENANT), how).await {
        Ok(Deleted::Operation(operation)) => {
            let ended = ended(&rests.stage.client, operation.id, patience()).await?;
            ensure!(ended.status == OperationStatus::Succeeded, "it cannot be removed: {:?}", ended.error);
            Ok(())
        }
        Ok(Deleted::Gone) => Ok(()),
        Err(error) if error.is_refusal("not-found") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the tenant is served here, with all that was written, and does not run there.
async fn look(serves: &House, rests: &House, written: &Written) -> Result<()> {
    let found = notes::read(&serves.machine, HOST).await?;
    ensure!(found.intact, "not intact: {:?}", found.problems);
    ensure!(found.count > 0, "nothing was ever written");
    written.holds(found.count)?;
    let state = rests.machine.exec(&["systemctl", "is-active", UNIT]).await?;
    let state = String::from_utf8(state.stdout)?;
    ensure!(state.trim() != "active", "its service runs at both");
    Ok(())
}

/// Writes to the tenant's first service by this address until it is to stop.
pub fn writing(address: String, written: &Arc<Written>, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
    tokio::spawn(write(address, Arc::clone(written), Arc::clone(stop)))
}

/// Writes all the time to one of the tenant's services, to whoever answers at the old address, until it is to stop.
pub async fn write(address: String, written: Arc<Written>, stop: Arc<AtomicBool>) {
    let Ok(http) = crate::web::http() else { return };
    while !stop.load(Ordering::Relaxed) {
        written.tried.fetch_add(1, Ordering::Relaxed);
        let request = http.post(format!("http://{address}/stand-in/notes")).header("Host", HOST);
        let answer = request.json(&json!({ "text": "written meanwhile" })).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            written.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// A ticket for a machine, and nothing else.
///
/// # Errors
/// The machine has no name.
pub fn ticket_for(machine: &Machine) -> Result<NewTicket> {
    Ok(NewTicket::for_machine(machine.name().to_string().parse().ok().context("a machine")?))
}

async fn begin(source: &House, target: &House) -> Result<Moving> {
    let (source, target, wanted) = (&source.stage.client, &target.stage.client, ticket_for(&target.machine)?);
    let issued = target.issue_ticket(&wanted).await?;
    let leaving = source.migrate(&name(TENANT), &SecretString::from(issued.ticket)).await?.id;
    let coming = accept(source, target, issued.info.id).await?;
    Ok(Moving { id: issued.info.id, leaving, coming })
}

/// The same by the way back, which nobody has to accept.
async fn go_back(source: &House, target: &House) -> Result<Moving> {
    let leaving = source.stage.client.undo_migration(&name(TENANT)).await?;
    let id = leaving.migration.context("a migration")?;
    let end = patience();
    let coming = loop {
        // One of an earlier try may stand there until the ticket is handed in again.
        let arrival = target.stage.client.ticket(id).await?;
        let taken_up = !arrival.phase.is_vacant() && arrival.phase != MovePhase::Claimed;
        if let (Some(coming), true) = (arrival.operation, taken_up) {
            break coming;
        }
        ensure!(Instant::now() < end, "nobody takes it in");
        sleep(Duration::from_millis(50)).await;
    };
    Ok(Moving { id, leaving: leaving.id, coming })
}

/// Accepts at the target what was handed in at the source.
///
/// # Errors
/// If it is not handed in, or not accepted.
pub async fn accept(source: &Client, target: &Client, id: uuid::Uuid) -> Result<OperationId> {
    let end = patience();
    while target.ticket(id).await?.phase != MovePhase::Claimed {
        ensure!(Instant::now() < end, "the ticket is not handed in");
        sleep(Duration::from_millis(50)).await;
    }
    let code = source.migration(&name(TENANT)).await?.code;
    Ok(target.accept_ticket(id, &code).await?.id)
}

/// Until when somebody is waited for from now on.
pub fn patience() -> Instant {
    Instant::now() + PATIENCE
}

/// The operation once it has ended; a daemon that is away is asked again.
///
/// # Errors
/// If it does not end in time.
pub async fn ended(client: &Client, id: OperationId, end: Instant) -> Result<Operation> {
    loop {
        match client.operation(id).await {
            Ok(operation) if operation.status.is_final() => return Ok(operation),
            Ok(operation) => {
                let step = operation
                    .steps
                    .iter()
                    .find(|step| step.started_at.is_some() && step.finished_at.is_none());
                ensure!(Instant::now() < end, "it does not end; it is at {:?}", step.map(|step| step.name));
            }
            Err(error @ ClientError::Refused(_)) => return Err(error.into()),
            Err(error) => ensure!(Instant::now() < end, "it cannot be asked: {error}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
}

async fn restart(stage: &mut Stage, broken: Duration) -> Result<()> {
    stage.daemon.kill()?;
    sleep(broken).await;
    stage.daemon.start_again()
}

async fn cut(machine: &Machine, broken: Duration) -> Result<()> {
    machine.cut_network().await?;
    sleep(broken).await;
    Ok(machine.heal_network().await?)
}

async fn crash(machine: &Machine, broken: Duration) -> Result<()> {
    machine.crash().await?;
    sleep(broken).await;
    Ok(machine.start().await?)
}

fn machine_of(number: usize) -> String {
    format!("m{number}")
}

/// A tenant with one service.
fn draft() -> TenantDraft {
    let services = BTreeMap::from([("gitea".to_owned(), settings(json!({})))]);
    TenantDraft { services, ..tenant(TENANT, &machine_of(0)) }
}

/// Makes so many faults, one in each migration. `seed` decides which and when. `tell` hears of every migration. Nothing where
/// machines cannot be booted.
///
/// # Errors
/// If something is beyond all help.
pub async fn wreak(faults: usize, seed: u64, tell: impl Fn(&str)) -> Result<Option<Tally>> {
    let Some(mut neighbours) = Neighbours::settle(seed, Followed::All).await? else { return Ok(None) };
    let mut tally = Tally::new();
    let undisturbed = neighbours.move_once(Fault::None).await?;
    ensure!(undisturbed, "not even a migration that nothing disturbs succeeds");
    tell(&format!("undisturbed: {:.1} s", neighbours.usual.as_secs_f64()));
    for number in 0..faults {
        let fault = Fault::ALL[neighbours.dice.below(Fault::ALL.len())];
        let outcome = neighbours.move_once(fault).await;
        let count = tally.entry(fault).or_default();
        count.faults += 1;
        match outcome {
            Ok(moved) => {
                count.moved += usize::from(moved);
                tell(&format!(
                    "{} of {faults}: {fault:?}: {}",
                    number + 1,
                    if moved { "moved" } else { "stayed" }
                ));
            }
            Err(error) => {
                tell(&format!("{} of {faults}: {fault:?}: wrong: {error:#}", number + 1));
                count.wrong.push(format!("migration {}: {error:#}", number + 1));
                // What comes after would be judged by what this left behind.
                return Ok(Some(tally));
            }
        }
    }
    Ok(Some(tally))
}
