//! Switching a machine, and its way back: a dead-man timer puts the previous system back unless the commit comes in time.
//! What becomes of each operation stands in a record, as with the agent.
//!
//! | module | subject |
//! | --- | --- |
//! | [`switch`] | the way to another system |
//! | [`way_back`] | the way back |

mod switch;
mod way_back;

use std::time::Duration;

use berth_domain::OperationId;
use berth_engine::StepError;
use berth_engine::error::{REVERTED, REVERTED_BY_TIMER};
use berth_protocol::{Outcome, Reverted, RevertedBy};
use tokio::time::Instant;

use crate::machine::{Machine, State};

/// How often whoever changes the machine is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// What a machine knows of an operation.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    system: String,
    /// The system to go back to.
    before: Option<String>,
    /// After which start it was begun.
    boot: u64,
    /// How long the commit may take to come after the switch has ended.
    commit_within: Duration,
    stands: Stands,
    /// When the previous system is put back, and on whose account.
    due: (Instant, RevertedBy),
}

/// Where an operation stands on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Switching,
    /// It has ended with this exit code; the commit is awaited.
    Switched(i32),
    Reverting(RevertedBy),
    Committed,
    Reverted(RevertedBy),
    /// Something else was in the way, so that nothing was changed.
    NeverSwitched,
}

impl Record {
    /// Whether its timer has something to guard.
    fn is_pending(&self, boots: u64) -> bool {
        let open = matches!(self.stands, Stands::Switching | Stands::Switched(_) | Stands::Reverting(_));
        open && self.boot == boots
    }

    /// Why it does not go on, where it was reverted; not where the machine was merely booted.
    fn refuse_reverted(&self) -> Result<(), StepError> {
        match self.stands {
            Stands::Reverting(by) | Stands::Reverted(by) if by != RevertedBy::Reboot => Err(refused(by)),
            _ => Ok(()),
        }
    }

    /// The profile is what a commit sets first.
    fn commit_was_begun(&self, committed: Option<&str>) -> bool {
        committed == Some(self.system.as_str()) && self.before.as_deref() != Some(self.system.as_str())
    }

    fn reverted(&self, by: RevertedBy) -> Outcome {
        Outcome::Reverted(Reverted { by, to: self.before.clone(), problem: None })
    }
}

fn refused(by: RevertedBy) -> StepError {
    let code = if by == RevertedBy::Timer { REVERTED_BY_TIMER } else { REVERTED };
    StepError::failed(code, "the machine was put back on its previous system")
}

impl State {
    fn pending(&mut self, operation: OperationId) -> Option<&mut Record> {
        let boots = self.boots;
        self.records.get_mut(&operation).filter(|record| record.is_pending(boots))
    }

    /// An operation committed a system; nothing is awaited of any other one any more.
    pub(crate) fn committed_by(&mut self, operation: OperationId, system: &str) {
        self.end_others(operation, Some(system));
        if let Some(record) = self.records.get_mut(&operation).filter(|record| record.system == system) {
            record.stands = Stands::Committed;
        }
    }

    fn end_others(&mut self, operation: OperationId, committed: Option<&str>) {
        let boots = self.boots;
        let others = self.records.iter_mut().filter(|(other, _)| **other != operation);
        for (_, record) in others.filter(|(_, record)| record.is_pending(boots)) {
            record.stands = match committed {
                Some(system) if system == record.system => Stands::Committed,
                _ => Stands::Reverted(RevertedBy::Operation),
            };
        }
    }

    /// Where the way back from `system` leads: to what was committed last; where nothing was, to what an earlier
    /// operation that is pending goes back to, or to what ran before.
    fn before(&self, system: &str) -> Option<String> {
        if self.committed.is_some() {
            return self.committed.clone();
        }
        let mut earlier = self.records.values().filter(|record| record.is_pending(self.boots));
        match earlier.find(|record| record.system != system) {
            Some(record) => record.before.clone(),
            None => self.running.clone().filter(|running| running != system),
        }
    }

    /// Whether a timer is to put the machine back, or something changes it now.
    pub fn is_guarded(&self) -> bool {
        self.busy.is_some() || self.records.values().any(|record| record.is_pending(self.boots))
    }

    /// Whether this operation's commit is awaited.
    pub fn awaits(&self, operation: OperationId) -> bool {
        self.records.get(&operation).is_some_and(|record| record.is_pending(self.boots))
    }

    /// Whether the machine runs what it boots. A start in the middle of a commit may leave the profile at another system; the
    /// next commit sees to that.
    pub fn is_settled(&self) -> bool {
        self.running == self.boot_entry
    }

    /// What became of an operation's activation.
    pub fn outcome(&self, operation: OperationId) -> Outcome {
        let Some(record) = self.records.get(&operation) else { return Outcome::Unknown };
        let booted = record.boot != self.boots;
        match record.stands {
            Stands::Committed => Outcome::Committed { generation: 1 },
            Stands::NeverSwitched => Outcome::NeverSwitched { message: "the machine was busy".into() },
            Stands::Reverted(by) => record.reverted(by),
            _ if booted && self.committed.as_ref() == Some(&record.system) => {
                Outcome::Switched { exit_code: 0 }
            }
            _ if booted => record.reverted(RevertedBy::Reboot),
            Stands::Reverting(by) => record.reverted(by),
            Stands::Switched(exit_code) => Outcome::Switched { exit_code },
            Stands::Switching => Outcome::Switching,
        }
    }
}

impl Machine {
    /// Refuses to commit what the machine was put back from.
    pub(crate) fn may_commit(&self, operation: OperationId, system: &str) -> Result<(), StepError> {
        let state = self.locked();
        let Some(record) = state.records.get(&operation) else { return Ok(()) };
        record.refuse_reverted()?;
        let begun = matches!(record.stands, Stands::Switching | Stands::Switched(_));
        // A commit sets the profile first: one that a start interrupted is finished.
        if begun && record.boot != state.boots && state.committed.as_deref() != Some(system) {
            return Err(refused(RevertedBy::Reboot));
        }
        Ok(())
    }

    /// Waits until `ended` answers. A machine that goes down ends the waiting as well.
    pub(crate) async fn follow<T>(
        &self,
        boots: u64,
        mut ended: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T, StepError> {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            let lost = || StepError::transient("connection-lost", "the machine went down");
            if let Some(answer) = self.change(boots, &mut ended).ok_or_else(lost)? {
                return Ok(answer);
            }
            moved.await;
        }
    }
}
