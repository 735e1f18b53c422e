//! The steps, one file each. A step looks first whether its outcome is there already, and is safe to run twice.

mod activate;
mod build;
mod commit;
mod compare;
mod context;
mod copy;
mod dry_activate;
mod evaluate;
mod forget;
mod render;
mod secrets;
mod undo;
mod verify;
mod wipe;

pub(crate) use context::{Context, FOR_THE_ANSWER, unexpected};

use berth_domain::StepName;

use crate::error::StepError;
use crate::journal::Journal;

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
        match name {
            StepName::Render => render::run(self).await,
            StepName::Evaluate => evaluate::run(self, &sink).await,
            StepName::Build => build::run(self, &sink).await,
            StepName::Compare => compare::run(self).await,
            StepName::Copy => copy::run(self, &sink).await,
            StepName::DryActivate => dry_activate::run(self, &sink).await,
            StepName::Wipe => wipe::run(self, &sink).await,
            StepName::Activate => activate::run(self, &sink).await,
            StepName::Verify => verify::run(self, &sink).await,
            StepName::Commit => commit::run(self, &sink).await,
            StepName::Forget => forget::run(self).await,
        }
    }
}
