//! A machine's state on its way into a vault and back: pieces of work that go on when nobody waits for them, that one and the
//! same operation finds again, and that are undone by a start in the middle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::{OperationId, ServiceName, VaultId};
use berth_engine::StepError;
use berth_engine::error::AGENT_FAILED;
use berth_engine::ports::Clock as _;
use berth_protocol::{Answer, Capture, Captured, Claim, Pass, Repository, RestorePart, ServiceCapture};

use tokio::time::Instant;

use crate::machine::{Machine, State, Work, busy};
use crate::vaults::{Copy, Lane, address};
use crate::weather::Weakness;
use crate::world::{World, locked};

/// The services that every machine has.
pub const SERVICES: [&str; 2] = ["gitea", "mastodon"];

/// What a machine knows of the state of its services, and of work on it.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// The services that were stopped and do not serve yet.
    pub stopped: Vec<String>,
    /// What was brought back last, by the service.
    pub origin: BTreeMap<String, String>,
    /// How often each operation brought something back.
    pub restored: BTreeMap<OperationId, u64>,
    jobs: BTreeMap<(OperationId, Kind), Job>,
    /// Until when services cannot be captured.
    sick: BTreeMap<String, Instant>,
}

impl Services {
    /// Whether a restore goes on.
    pub fn restores(&self, operation: OperationId, boots: u64) -> bool {
        let job = self.jobs.get(&(operation, Kind::Restore));
        job.is_some_and(|job| job.boots == boots && job.stands == Stands::Running)
    }
}

/// What is done to a machine's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Live,
    Quiesced,
    Restore,
}

/// A piece of work.
#[derive(Debug, Clone)]
struct Job {
    /// After which start it was begun.
    boots: u64,
    stands: Stands,
}

#[derive(Debug, Clone, PartialEq)]
enum Stands {
    Running,
    Captured(Capture),
    Restored,
    Failed(String),
}

impl Stands {
    /// Whether there is nothing left to do.
    fn is_well(&self) -> bool {
        let failed = |capture: &Capture| {
            capture.services.values().any(|service| matches!(service, ServiceCapture::Failed { .. }))
        };
        match self {
            Self::Captured(capture) => !failed(capture),
            Self::Restored => true,
            Self::Running | Self::Failed(_) => false,
        }
    }
}

/// What is asked of a machine.
enum Wish {
    Capture { vault: VaultId, quiet: bool },
    Restore { vault: VaultId, parts: Vec<RestorePart> },
}

fn failed(message: &str) -> StepError {
    StepError::failed(AGENT_FAILED, message)
}

impl Machine {
    /// Opens a way that leads to the vaults of the daemon that lives this life.
    pub(crate) fn open_lane(&self, lane: Lane) -> u16 {
        let mut state = self.locked();
        state.lanes.push(lane);
        u16::try_from(state.lanes.len()).unwrap_or(u16::MAX)
    }

    /// Copies the services' state into a vault.
    pub(crate) async fn capture(
        self: &Arc<Self>,
        claim: Claim,
        system: &str,
        repository: &Repository,
        pass: Pass,
    ) -> Result<Answer, StepError> {
        let kind = if pass == Pass::Live { Kind::Live } else { Kind::Quiesced };
        let (port, vault, access) = address(repository).ok_or_else(|| failed("an odd address"))?;
        self.world()?.laws.hold(access == "append", || format!("a capture with the right to {access}"));
        let wish = Wish::Capture { vault, quiet: kind == Kind::Quiesced };
        match self.pursue(claim, system, kind, port, wish).await? {
            Stands::Captured(capture) => Ok(Answer::Captured(capture)),
            _ => Err(failed("the capture was broken off")),
        }
    }

    /// Puts what is in a vault in place of the services' state.
    pub(crate) async fn restore(
        self: &Arc<Self>,
        claim: Claim,
        system: &str,
        repository: &Repository,
        parts: Vec<RestorePart>,
    ) -> Result<Answer, StepError> {
        let (port, vault, access) = address(repository).ok_or_else(|| failed("an odd address"))?;
        self.world()?.laws.hold(access == "read", || format!("a restore with the right to {access}"));
        match self.pursue(claim, system, Kind::Restore, port, Wish::Restore { vault, parts }).await? {
            Stands::Restored => Ok(Answer::Restored),
            _ => Err(failed("the restore was broken off")),
        }
    }

    /// Begins a piece of work, or finds the one that the operation began; waits for its end.
    async fn pursue(
        self: &Arc<Self>,
        claim: Claim,
        system: &str,
        kind: Kind,
        port: u16,
        wish: Wish,
    ) -> Result<Stands, StepError> {
        let world = self.world()?;
        Self::look_for(&self.locked(), system)?;
        self.admit(claim)?;
        let name = (claim.operation, kind);
        let forgets = world.weakness == Some(Weakness::MachinesForgetOperations);
        let boots = {
            let mut state = self.locked();
            let boots = state.boots;
            let known = state.services.jobs.get(&name).filter(|_| !forgets);
            let runs = known.is_some_and(|job| job.boots == boots && job.stands == Stands::Running);
            match known {
                Some(job) if job.stands.is_well() => return Ok(job.stands.clone()),
                _ if runs => {}
                _ if state.busy.is_some() => return Err(busy()),
                _ => {
                    state.busy = Some(Work::State(claim.operation, kind));
                    state.services.jobs.insert(name, Job { boots, stands: Stands::Running });
                    let lane = state.lanes.get(usize::from(port) - 1).cloned();
                    tokio::spawn(Arc::clone(self).labour(name, boots, lane, wish));
                }
            }
            boots
        };
        self.follow(boots, |state| {
            let job = state.services.jobs.get(&name)?;
            match &job.stands {
                Stands::Running => None,
                Stands::Failed(message) => Some(Err(failed(message))),
                ended => Some(Ok(ended.clone())),
            }
        })
        .await?
    }

    async fn labour(self: Arc<Self>, name: (OperationId, Kind), boots: u64, lane: Option<Lane>, wish: Wish) {
        let Ok(world) = self.world() else { return };
        let leads = |machine: &Self| lane.as_ref().is_some_and(|lane| lane.is_open(machine.reach()));
        let stands = match wish {
            Wish::Capture { vault, quiet } => {
                self.copy_all(&world, name.0, boots, vault, quiet, &leads).await
            }
            Wish::Restore { vault, parts } => {
                self.bring_back(&world, name.0, boots, vault, &parts, &leads).await
            }
        };
        self.change(boots, |state| {
            state.busy = None;
            state.services.stopped.clear();
            if let Some(job) = state.services.jobs.get_mut(&name) {
                job.stands = stands;
            }
        });
        self.moved.notify_waiters();
    }

    async fn copy_all(
        &self,
        world: &World,
        operation: OperationId,
        boots: u64,
        vault: VaultId,
        quiet: bool,
        leads: &(dyn Fn(&Self) -> bool + Sync),
    ) -> Stands {
        let mut capture = Capture::default();
        for service in SERVICES {
            let Ok(name) = service.parse::<ServiceName>() else { continue };
            if quiet {
                self.change(boots, |state| state.services.stopped.push(service.to_owned()));
            }
            tokio::time::sleep(world.dice.millis(100..=8000)).await;
            let outcome = if !leads(self) {
                return Stands::Failed("the vault is out of reach".into());
            } else if self.is_sick(world, service) {
                ServiceCapture::Failed { message: "it cannot be dumped".into() }
            } else {
                let there = self.change(boots, |state| state.services.stopped.contains(&service.to_owned()));
                let id = world.id().to_string();
                let copy = Copy { service: service.into(), operation, quiet: there == Some(true) };
                locked(&world.vaults).entry(vault).or_default().insert(id.clone(), copy);
                ServiceCapture::Captured(copied(id))
            };
            self.change(boots, |state| state.services.stopped.retain(|stopped| stopped != service));
            capture.services.insert(name, outcome);
        }
        Stands::Captured(capture)
    }

    /// Whether a service cannot be captured; such a thing lasts for a while.
    fn is_sick(&self, world: &World, service: &str) -> bool {
        let falls_ill = world.fault(world.weather().sick);
        let (now, lasting) = (Instant::now(), world.dice.millis(1000..=90_000));
        let mut state = self.locked();
        if falls_ill {
            state.services.sick.insert(service.to_owned(), now + lasting);
        }
        state.services.sick.get(service).is_some_and(|until| *until > now)
    }

    async fn bring_back(
        &self,
        world: &World,
        operation: OperationId,
        boots: u64,
        vault: VaultId,
        parts: &[RestorePart],
        leads: &(dyn Fn(&Self) -> bool + Sync),
    ) -> Stands {
        let all = locked(&world.vaults).get(&vault).cloned().unwrap_or_default();
        let fits = |part: &RestorePart| {
            all.get(&part.snapshot).is_some_and(|copy| copy.service == part.service.as_str())
        };
        tokio::time::sleep(world.dice.millis(100..=15_000)).await;
        if !leads(self) {
            return Stands::Failed("the vault is out of reach".into());
        }
        if parts.is_empty() || !parts.iter().all(fits) {
            return Stands::Failed("there is no such snapshot".into());
        }
        self.change(boots, |state| state.services.stopped = SERVICES.map(String::from).to_vec());
        tokio::time::sleep(world.dice.millis(100..=3000)).await;
        if world.fault(world.weather().sick) {
            return Stands::Failed("a directory cannot be exchanged; everything is as it was".into());
        }
        let done = self.change(boots, |state: &mut State| {
            *state.services.restored.entry(operation).or_default() += 1;
            for part in parts {
                state.services.origin.insert(part.service.to_string(), part.snapshot.clone());
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        if done.is_some() { Stands::Restored } else { Stands::Failed("the machine went down".into()) }
    }
}

fn copied(id: String) -> Captured {
    Captured {
        snapshot: Some(id),
        bytes_added: 1,
        bytes_total: 1,
        files_total: 1,
        databases: Vec::new(),
        replicas: Vec::new(),
        data_version: None,
        quiet_ms: 1,
        left_out: Vec::new(),
        buckets: Vec::new(),
        not_started: Vec::new(),
        fingerprint: None,
    }
}
