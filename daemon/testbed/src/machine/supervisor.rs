//! Keeps a machine's systemd-nspawn: starts it, and starts it again when the machine reboots by itself.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::process::Nspawn;
use super::record::MachineRecord;
use crate::error::Result;

/// How often a machine's end is looked for.
const PAUSE: Duration = Duration::from_millis(20);

/// What runs a machine, shared with the task that watches for reboots.
#[derive(Debug)]
pub(super) struct Supervisor {
    slot: Arc<Mutex<Slot>>,
}

#[derive(Debug)]
struct Slot {
    record: MachineRecord,
    console: PathBuf,
    /// `None` while the machine is meant to be off.
    nspawn: Option<Nspawn>,
}

impl Supervisor {
    /// For a machine that is off. Must be called inside a tokio runtime.
    pub(super) fn new(record: MachineRecord, console: PathBuf) -> Self {
        let slot = Arc::new(Mutex::new(Slot { record, console, nspawn: None }));
        tokio::spawn(watch(Arc::downgrade(&slot)));
        Self { slot }
    }

    /// Starts the machine. It must not run.
    pub(super) fn start(&self) -> Result<()> {
        lock(&self.slot).start()
    }

    pub(super) fn is_running(&self) -> bool {
        lock(&self.slot).nspawn.as_ref().is_some_and(Nspawn::is_running)
    }

    /// The number of the machine's PID 1 on the host, if it runs.
    pub(super) fn leader(&self) -> Option<u32> {
        lock(&self.slot).nspawn.as_ref().and_then(Nspawn::leader)
    }

    pub(super) fn ask_to_power_off(&self) -> Result<()> {
        lock(&self.slot).nspawn.as_ref().map_or(Ok(()), Nspawn::ask_to_power_off)
    }

    /// Waits until it does not run.
    pub(super) async fn ended(&self) {
        while self.is_running() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The machine is meant to be off from now on; its processes are the caller's to end. What is returned
    /// must be dropped when they have, so that they are not left as zombies.
    pub(super) fn release(&self) -> Option<Nspawn> {
        lock(&self.slot).nspawn.take()
    }
}

impl Slot {
    fn start(&mut self) -> Result<()> {
        self.nspawn = Some(Nspawn::spawn(&self.record, &self.console)?);
        Ok(())
    }
}

/// A poisoned lock is as good as another: the slot is whole between any two of its statements.
fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For as long as the machine is held.
async fn watch(slot: Weak<Mutex<Slot>>) {
    while let Some(slot) = slot.upgrade() {
        restart_if_wanted(&mut lock(&slot));
        drop(slot);
        tokio::time::sleep(PAUSE).await;
    }
}

fn restart_if_wanted(slot: &mut Slot) {
    if slot.nspawn.as_mut().is_some_and(Nspawn::wants_restart)
        && let Err(error) = slot.start()
    {
        tracing::warn!("machine “{}” does not come back from its reboot: {error}", slot.record.name);
    }
}
