//! The way back: by the timer, or as somebody asks for it.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::OperationId;
use berth_engine::StepError;
use berth_protocol::{Claim, Outcome, RevertedBy};
use tokio::time::Instant;

use super::{LOOK, Record, Stands};
use crate::machine::{Machine, State, Work};
use crate::weather::Weakness;

impl Machine {
    /// Waits until an operation's time is over, and puts the previous system back.
    pub(super) async fn guard(self: Arc<Self>, operation: OperationId, boots: u64) {
        let Ok(world) = self.world() else { return };
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let due = self.change(boots, |state| state.pending(operation).map(|record| record.due));
            let Some(Some((due, by))) = due else { return };
            if due > Instant::now() {
                tokio::select! {
                    biased;
                    () = &mut moved => {}
                    () = tokio::time::sleep_until(due) => {}
                }
                continue;
            }
            if by == RevertedBy::Timer && world.weakness == Some(Weakness::MachinesForgetTimers) {
                return;
            }
            if self.begins_to_go_back(operation, boots, by) {
                return self.go_back(operation, boots, by, world.dice.millis(20..=2000)).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether the way back begins or has ended; otherwise whoever changes the machine is waited for.
    fn begins_to_go_back(&self, operation: OperationId, boots: u64, by: RevertedBy) -> bool {
        let begins = self.change(boots, |state| {
            if by == RevertedBy::Timer && state.busy == Some(Work::Switch(operation)) {
                state.busy = None;
            }
            if state.busy.is_some() {
                return false;
            }
            let committed = state.committed.clone();
            let Some(record) = state.pending(operation) else { return true };
            // The services had proved that they serve when the commit was asked for: it is finished rather than undone.
            if by == RevertedBy::Timer && record.commit_was_begun(committed.as_deref()) {
                record.stands = Stands::Committed;
                state.boot_entry = committed;
                return true;
            }
            record.stands = Stands::Reverting(by);
            state.busy = Some(Work::WayBack(operation));
            true
        });
        self.moved.notify_waiters();
        begins.unwrap_or(true)
    }

    async fn go_back(&self, operation: OperationId, boots: u64, by: RevertedBy, half: Duration) {
        let goes_on = |state: &State| state.busy == Some(Work::WayBack(operation));
        tokio::time::sleep(half).await;
        self.change(boots, |state| {
            let committed = state.committed.clone();
            if goes_on(state)
                && let Some(record) = state.pending(operation)
            {
                let (before, begun) = (record.before.clone(), record.commit_was_begun(committed.as_deref()));
                let stays = before.as_ref() == Some(&record.system);
                state.running = before.clone();
                // What stays has its boot entry made, where a commit of it was interrupted.
                if begun || stays {
                    (state.committed, state.boot_entry) = (before.clone(), before);
                }
            }
        });
        tokio::time::sleep(half).await;
        self.change(boots, |state| {
            if goes_on(state) {
                state.busy = None;
                if let Some(record) = state.pending(operation) {
                    record.stands = Stands::Reverted(by);
                }
            }
        });
        self.moved.notify_waiters();
    }

    /// Puts the machine back on the system before an operation, and waits for the end.
    pub async fn revert(self: &Arc<Self>, claim: Claim, from: Option<String>) -> Result<Outcome, StepError> {
        self.admit(claim)?;
        let operation = claim.operation;
        let boots = {
            let mut state = self.locked();
            let boots = state.boots;
            if !state.records.contains_key(&operation) {
                let from = from.or(state.running.clone());
                let Some(system) = from.filter(|from| state.committed.as_ref() != Some(from)) else {
                    return Ok(Outcome::Unknown);
                };
                let (before, commit_within) = (state.before(&system), Duration::ZERO);
                let (stands, due) = (Stands::Switched(0), (Instant::now(), RevertedBy::Request));
                state
                    .records
                    .insert(operation, Record { system, before, boot: boots, commit_within, stands, due });
            }
            let Some(record) = state.pending(operation) else { return Ok(state.outcome(operation)) };
            record.due = (Instant::now(), RevertedBy::Request);
            boots
        };
        self.moved.notify_waiters();
        tokio::spawn(Arc::clone(self).guard(operation, boots));
        self.follow(boots, |state| state.pending(operation).is_none().then(|| state.outcome(operation))).await
    }

    /// Waits at least so long from now for the commit.
    pub fn extend(&self, claim: Claim, seconds: u64) -> Result<Outcome, StepError> {
        self.admit(claim)?;
        let mut state = self.locked();
        let later = Instant::now() + Duration::from_secs(seconds);
        if let Some(record) = state.pending(claim.operation)
            && record.due.1 == RevertedBy::Timer
        {
            record.due.0 = record.due.0.max(later);
        }
        Ok(state.outcome(claim.operation))
    }
}
