//! The way to another system.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::OperationId;
use berth_engine::StepError;
use berth_protocol::{Claim, Deadline, RevertedBy};
use tokio::time::Instant;

use super::{Record, Stands, refused};
use crate::machine::{Machine, State, Work, busy};
use crate::weather::Weakness;

impl Machine {
    /// Begins an operation's switch, or finds the one that it began. Answers with the exit code once it is over.
    pub async fn activate(
        self: &Arc<Self>,
        claim: Claim,
        system: &str,
        deadline: Deadline,
    ) -> Result<i32, StepError> {
        Self::look_for(&self.locked(), system)?;
        self.admit(claim)?;
        let boots = self.start_unless_there(claim.operation, system, deadline)?;
        self.follow(boots, |state| {
            let stands = state.records.get(&claim.operation).map(|record| record.stands)?;
            match stands {
                Stands::Switching => None,
                Stands::Switched(exit_code) => Some(Ok(exit_code)),
                Stands::Committed => Some(Ok(0)),
                Stands::NeverSwitched => Some(Err(busy())),
                Stands::Reverting(by) | Stands::Reverted(by) => Some(Err(refused(by))),
            }
        })
        .await?
    }

    /// Starts the switch, unless the operation's switch to this very system runs or has ended. Tells the start of the machine
    /// in which it runs.
    fn start_unless_there(
        self: &Arc<Self>,
        operation: OperationId,
        system: &str,
        deadline: Deadline,
    ) -> Result<u64, StepError> {
        let world = self.world()?;
        let forgets = world.weakness == Some(Weakness::MachinesForgetOperations);
        let mut state = self.locked();
        let boots = state.boots;
        if let Some(known) = state.records.get(&operation).filter(|_| !forgets) {
            known.refuse_reverted()?;
            let runs = state.busy == Some(Work::Switch(operation));
            if known.system != system && runs {
                return Err(busy());
            }
            let ended =
                matches!(known.stands, Stands::Switched(_) | Stands::Committed) && known.boot == boots;
            if known.system == system && (runs || ended) {
                return Ok(boots);
            }
        }
        let before = match state.pending(operation) {
            Some(pending) => pending.before.clone(),
            None => state.before(system),
        };
        let is_free = state.busy.is_none();
        let commit_within = Duration::from_secs(deadline.commit_seconds);
        let due = Instant::now() + Duration::from_secs(deadline.switch_seconds) + commit_within;
        let record = Record {
            system: system.to_owned(),
            before,
            boot: boots,
            commit_within,
            stands: if is_free { Stands::Switching } else { Stands::NeverSwitched },
            due: (due, RevertedBy::Timer),
        };
        state.records.insert(operation, record);
        if is_free {
            // A start undoes what was not committed, so that the same switch is another one after it.
            let first = state.begun.insert((operation, system.to_owned(), boots));
            world.laws.hold(first, || format!("{} switched twice for {operation}", self.name));
            state.busy = Some(Work::Switch(operation));
            state.end_others(operation, None);
            drop(state);
            tokio::spawn(Arc::clone(self).guard(operation, boots));
            tokio::spawn(Arc::clone(self).switch(operation, system.to_owned(), boots));
        }
        Ok(boots)
    }

    async fn switch(self: Arc<Self>, operation: OperationId, system: String, boots: u64) {
        let Ok(world) = self.world() else { return };
        let half = world.dice.millis(50..=4000);
        // The timer ends a switch that takes too long.
        let goes_on = |state: &State| state.busy == Some(Work::Switch(operation));
        // As on NixOS: first the link to the running system, then the units.
        tokio::time::sleep(half).await;
        self.change(boots, |state| {
            if goes_on(state) {
                state.running = Some(system);
            }
        });
        tokio::time::sleep(half).await;
        let sick = world.fault(world.weather().sick / 2.0);
        self.change(boots, |state| {
            if !goes_on(state) {
                return;
            }
            state.busy = None;
            if let Some(record) = state.pending(operation) {
                record.stands = Stands::Switched(if sick { 4 } else { 0 });
                if record.due.1 == RevertedBy::Timer {
                    record.due.0 = Instant::now() + record.commit_within;
                }
            }
        });
        self.moved.notify_waiters();
    }
}
