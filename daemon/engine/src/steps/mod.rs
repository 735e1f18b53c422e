//! The steps, one file each. A step looks first whether its outcome is there already, and is safe to run twice.

mod activate;
mod arriving;
mod build;
mod commit;
mod compare;
mod context;
mod copy;
mod damage;
mod deployment;
mod drill;
mod dry_activate;
mod evaluate;
mod forget;
mod migration;
mod outcome;
mod reboot;
mod render;
mod secrets;
mod state;
mod take_in;
mod undo;
mod verify;
mod wipe;

pub(crate) use context::{Context, FOR_THE_ANSWER, unexpected};
pub(crate) use undo::Left;

use std::time::Duration;

use berth_domain::{OperationKind, StepName};

use crate::error::StepError;
use crate::journal::Journal;
use crate::ports::Sink;

/// How long something took, in milliseconds.
fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// How a step ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did its work; what it did, for a person.
    Done(String),
    /// There was nothing to do; why, for a person.
    AlreadyThere(String),
    /// It could not be had, and the operation goes on without it; why, for a person.
    Without(String),
}

impl Context {
    /// Runs one step.
    pub(crate) async fn run(&mut self, name: StepName, journal: &Journal) -> Result<Outcome, StepError> {
        let sink = journal.sink(name);
        match self.run_blindly(name, &sink).await {
            Err(error) => Err(damage::explained(self, name, error, &sink).await),
            outcome => outcome,
        }
    }

    async fn run_blindly(&mut self, name: StepName, sink: &Sink) -> Result<Outcome, StepError> {
        match name {
            StepName::Render => render::run(self).await,
            StepName::Evaluate => evaluate::run(self, sink).await,
            StepName::Build => build::run(self, sink).await,
            StepName::Compare => compare::run(self).await,
            StepName::Copy => copy::run(self, sink).await,
            StepName::DryActivate => dry_activate::run(self, sink).await,
            StepName::Reboot => reboot::run(self, sink).await,
            StepName::Precopy if self.leaves() => migration::precopy(self, sink).await,
            StepName::Precopy => state::precopy(self, sink).await,
            StepName::Capture if self.kind == OperationKind::Rehearse => {
                migration::copy_for_a_rehearsal(self, sink).await
            }
            StepName::Capture if self.kind == OperationKind::Migrate => migration::capture(self, sink).await,
            StepName::Capture => state::capture(self, sink).await,
            StepName::Agree => migration::agree(self, sink).await,
            StepName::Rehearse => migration::rehearse(self, sink).await,
            StepName::TryOut => migration::try_out(self, sink).await,
            StepName::Empty if self.tries_out() => migration::throw_away(self, sink).await,
            StepName::HandOver => migration::hand_over(self, sink).await,
            StepName::Prepare if self.kind == OperationKind::TakeIn => take_in::prepare(self, sink).await,
            StepName::Prepare => migration::prepare(self, sink).await,
            StepName::Receive => migration::receive(self, sink).await,
            StepName::Unpack => take_in::unpacked(self, sink).await,
            StepName::PutInPlace if self.kind == OperationKind::TakeIn => {
                take_in::put_in_place(self, sink).await
            }
            StepName::PutInPlace => migration::put_in_place(self, sink).await,
            StepName::GoLive if self.kind == OperationKind::TakeIn => take_in::go_live(self, sink).await,
            StepName::GoLive => migration::go_live(self, sink).await,
            StepName::Bundle => state::bundle(self, sink).await,
            StepName::Prune => state::prune(self, sink).await,
            StepName::Restore if self.is_a_drill() => drill::restore(self, sink).await,
            StepName::Restore => state::restore(self, sink).await,
            StepName::Empty => drill::empty(self, sink).await,
            StepName::Wipe => wipe::run(self, sink).await,
            StepName::Activate if self.is_a_drill() => drill::activate(self, sink).await,
            StepName::Activate => activate::run(self, sink).await,
            StepName::Verify if self.is_a_drill() => drill::verify(self, sink).await,
            StepName::Verify => verify::run(self, sink).await,
            StepName::Commit => commit::run(self, sink).await,
            StepName::Forget => forget::run(self).await,
        }
    }
}
