//! A machine: what the agent on it promises, with a commit and a wipe that take a while and go on when nobody waits for
//! them, with starts in between, full disks and links that are cut.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use berth_domain::{MachineFacts, MachineName, OperationId};
use berth_engine::StepError;
use berth_engine::error::{AGENT_FAILED, FENCED, MACHINE_BUSY, NO_SUCH_SYSTEM};
use berth_engine::ports::Clock as _;
use berth_protocol::Claim;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::activation::Record;
use crate::state::{Kind, Services};
use crate::vaults::Lane;
use crate::weather::Weakness;
use crate::world::{World, locked};

/// The agent's store path.
pub const AGENT: &str = "/nix/store/agent";

/// A machine.
pub struct Machine {
    pub(crate) name: MachineName,
    world: Weak<World>,
    state: Mutex<State>,
    /// Some operation's deadline changed, or what was awaited of it came.
    pub(crate) moved: Notify,
}

/// What a machine is at a moment.
#[derive(Debug, Clone)]
pub struct State {
    /// Whether it runs.
    pub up: bool,
    /// How often it was started.
    pub boots: u64,
    /// The system that runs.
    pub running: Option<String>,
    /// The system that the profile points at.
    pub committed: Option<String>,
    /// The system that the next boot runs.
    pub boot_entry: Option<String>,
    /// How often a tenant's data was removed.
    pub wipes: u64,
    /// The greatest fence that it was asked with.
    pub fence: u64,
    /// What its store holds.
    has: BTreeSet<String>,
    /// What operations asked to switch to, and what became of it.
    pub(crate) records: BTreeMap<OperationId, Record>,
    /// Every switch that was begun, and after which start; for the laws.
    pub(crate) begun: BTreeSet<(OperationId, String, u64)>,
    /// What changes it now.
    pub(crate) busy: Option<Work>,
    /// Its services' state.
    pub services: Services,
    /// The ways to vaults that were ever led to it, by their port.
    pub(crate) lanes: Vec<Lane>,
    disk_full_until: Instant,
    unreachable_until: Instant,
}

/// Something that changes a machine. It excludes everything else that does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Switch(OperationId),
    WayBack(OperationId),
    Commit,
    Wipe,
    State(OperationId, Kind),
}

pub(crate) fn busy() -> StepError {
    StepError::transient(MACHINE_BUSY, "this machine is being changed")
}

/// Nobody waits in a world that is over.
pub(crate) fn over() -> StepError {
    StepError::Stopping
}

impl Machine {
    /// A machine that was never deployed to.
    pub fn new(world: &Arc<World>, name: &MachineName) -> Arc<Self> {
        let state = State {
            up: true,
            boots: 1,
            running: None,
            committed: None,
            boot_entry: None,
            wipes: 0,
            fence: 0,
            has: BTreeSet::new(),
            records: BTreeMap::new(),
            begun: BTreeSet::new(),
            busy: None,
            services: Services::default(),
            lanes: Vec::new(),
            disk_full_until: Instant::now(),
            unreachable_until: Instant::now(),
        };
        let (name, world, state) = (name.clone(), Arc::downgrade(world), Mutex::new(state));
        Arc::new(Self { name, world, state, moved: Notify::new() })
    }

    pub(crate) fn world(&self) -> Result<Arc<World>, StepError> {
        self.world.upgrade().ok_or_else(over)
    }

    pub(crate) fn locked(&self) -> std::sync::MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// What it is now.
    pub fn state(&self) -> State {
        self.locked().clone()
    }

    /// Whether something changes it.
    pub fn is_busy(&self) -> bool {
        self.locked().busy.is_some()
    }

    /// Whether it can be reached, and how often it was started.
    pub fn reach(&self) -> Option<u64> {
        let state = self.locked();
        (state.up && state.unreachable_until <= Instant::now()).then_some(state.boots)
    }

    /// Cuts the links to it.
    pub fn cut(&self, time: Duration) {
        self.locked().unreachable_until = Instant::now() + time;
    }

    /// Fills its disk.
    pub fn fill(&self, time: Duration) {
        self.locked().disk_full_until = Instant::now() + time;
    }

    /// Ends all that goes on in it; it comes back after a while with what it boots.
    pub fn reboot(self: &Arc<Self>, time: Duration) {
        {
            let mut state = self.locked();
            if !state.up {
                return;
            }
            (state.up, state.busy) = (false, None);
            state.boots += 1;
            // What was stopped serves again, and what was half exchanged is put back.
            state.services.stopped.clear();
            state.running = state.boot_entry.clone();
        }
        self.moved.notify_waiters();
        let machine = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            machine.locked().up = true;
        });
    }

    /// Whether a path is in its store.
    pub fn has(&self, path: &str) -> bool {
        self.locked().has.contains(path)
    }

    /// Takes a path into its store.
    pub fn take(&self, path: &str) -> Result<(), StepError> {
        let mut state = self.locked();
        if state.disk_full_until > Instant::now() {
            return Err(StepError::transient("copy-failed", "no space left on device"));
        }
        state.has.insert(path.to_owned());
        Ok(())
    }

    /// What it says of itself.
    pub fn facts(&self) -> MachineFacts {
        let state = self.locked();
        MachineFacts {
            at: self.world.upgrade().map(|world| world.now()).unwrap_or_default(),
            os: "simulated".into(),
            nixos_version: None,
            system: "x86_64-linux".into(),
            kernel: "1".into(),
            systemd_version: None,
            nix_version: None,
            agent_version: "0".into(),
            processors: 1,
            memory_bytes: 1,
            memory_available_bytes: 1,
            disk_bytes: 1,
            disk_available_bytes: 1,
            data_disk_bytes: 1,
            data_disk_available_bytes: 1,
            running_system: state.running.clone(),
            booted_system: None,
            committed_system: state.committed.clone(),
            needs_reboot: false,
            failed_units: Vec::new(),
        }
    }

    /// Looks at who asks: an older claim than the newest that was seen is refused.
    pub fn admit(&self, claim: Claim) -> Result<(), StepError> {
        let world = self.world()?;
        let mut state = self.locked();
        if claim.fence >= state.fence {
            state.fence = claim.fence;
            return Ok(());
        }
        if world.weakness == Some(Weakness::MachinesIgnoreFences) {
            let (name, newer) = (&self.name, state.fence);
            world.laws.hold(false, || format!("{name} obeyed the fence {} after {newer}", claim.fence));
            return Ok(());
        }
        world.laws.count(|counts| counts.refused += 1);
        Err(StepError::failed(FENCED, "another worker has taken over"))
    }

    /// Makes a system the one that boots; says whether anything was to be written. A machine that goes down in between has
    /// the system in its profile and boots another one.
    pub async fn commit(self: &Arc<Self>, claim: Claim, system: &str) -> Result<bool, StepError> {
        self.admit(claim)?;
        self.may_commit(claim.operation, system)?;
        let begin = |state: &mut State, system: &str, world: &World, name: &MachineName| {
            if state.committed.as_deref() == Some(system) && state.boot_entry == state.committed {
                return false;
            }
            let sound =
                state.running.as_deref() == Some(system) || state.committed.as_deref() == Some(system);
            world.laws.hold(sound, || format!("{name} was committed to {system}, which it does not run"));
            state.committed = Some(system.to_owned());
            true
        };
        let end = move |state: &mut State, system: &str| {
            state.boot_entry = Some(system.to_owned());
            state.committed_by(claim.operation, system);
        };
        let changed = self.work(Work::Commit, system, begin, end).await;
        self.moved.notify_waiters();
        changed
    }

    /// Removes the tenant's data; safe to be asked for twice.
    pub async fn wipe(self: &Arc<Self>, claim: Claim, system: &str) -> Result<bool, StepError> {
        self.admit(claim)?;
        self.work(Work::Wipe, system, |_, _, _, _| true, |state, _| state.wipes += 1).await
    }

    /// Whether a system is here at all.
    pub(crate) fn look_for(state: &State, system: &str) -> Result<(), StepError> {
        if state.has.contains(system) || state.committed.as_deref() == Some(system) {
            return Ok(());
        }
        Err(StepError::failed(NO_SUCH_SYSTEM, format!("{system} is not here")))
    }

    /// Something that takes a while, and comes to its end whether or not somebody waits for it. What `begin` answers is told.
    async fn work(
        self: &Arc<Self>,
        work: Work,
        system: &str,
        begin: impl FnOnce(&mut State, &str, &World, &MachineName) -> bool + Send + 'static,
        end: impl FnOnce(&mut State, &str) + Send + 'static,
    ) -> Result<bool, StepError> {
        let world = self.world()?;
        {
            let mut state = self.locked();
            if state.busy.is_some() {
                return Err(busy());
            }
            Self::look_for(&state, system)?;
            if state.disk_full_until > Instant::now() {
                return Err(StepError::failed(AGENT_FAILED, "no space left on device"));
            }
            state.busy = Some(work);
        }
        let (machine, system, boots) = (Arc::clone(self), system.to_owned(), self.boots());
        let takes = world.dice.millis(10..=1000);
        let done = tokio::spawn(async move {
            tokio::time::sleep(takes).await;
            let name = machine.name.clone();
            let told = machine.change(boots, |state| begin(state, &system, &world, &name));
            tokio::time::sleep(takes).await;
            let ended = machine.change(boots, |state| {
                end(state, &system);
                state.busy = None;
            });
            told.filter(|_| ended.is_some())
        });
        // A machine that is started anew in between leaves it undone.
        let lost = || StepError::transient("connection-lost", "the machine went down");
        done.await.ok().flatten().ok_or_else(lost)
    }

    pub(crate) fn boots(&self) -> u64 {
        self.locked().boots
    }

    /// Changes the machine unless it was started anew since.
    pub(crate) fn change<T>(&self, boots: u64, change: impl FnOnce(&mut State) -> T) -> Option<T> {
        let mut state = self.locked();
        (state.boots == boots).then(|| change(&mut state))
    }
}
