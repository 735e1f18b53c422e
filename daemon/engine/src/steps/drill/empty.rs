//! The machine that was lent is emptied: the state goes, then the fenced system gives way to one without any tenant.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::super::{Context, Left, Outcome, activate, build, commit, copy, evaluate};
use crate::error::StepError;
use crate::ports::{Keep, Report, Sink};

/// How long to wait before a machine that could not be emptied is tried again.
const PAUSE: Duration = Duration::from_secs(3);

pub(in super::super) async fn empty(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if context.drill_record().await?.drill.emptied {
        return Ok(Outcome::AlreadyThere("nothing of it is left on the machine".into()));
    }
    // Whoever wishes to stop wishes for this.
    let _deaf = context.deafen();
    context.make_vacant(sink).await?;
    Ok(Outcome::Done("nothing of it is left on the machine".into()))
}

impl Context {
    /// Ends what did not come to its end, and was only tried out: the machine is emptied. Says in the operation's events how
    /// that went.
    pub(crate) async fn empty_in_the_end(&mut self, touched: bool, sink: &Sink) -> Left {
        self.begin_to_undo();
        let end = Instant::now() + self.shared.options.timeouts.reboot;
        loop {
            let error = match self.leave_nothing(touched, sink).await {
                Ok(()) => return Left::Asked,
                Err(StepError::Failed(failure)) => failure,
                Err(_) => return Left::Unknown,
            };
            if self.end().is_cancelled() {
                return Left::Unknown;
            }
            if Instant::now() >= end {
                let after = match self.is_a_drill() {
                    true => "it stays lent, and the next drill there empties it first",
                    false => "the next try with the ticket does so first",
                };
                let message = format!("the machine could not be emptied ({}): {after}", error.message);
                sink(Report::Warning(message));
                return Left::Asked;
            }
            self.tries += 1;
            self.forget_the_session();
            let stopped = self.end().clone();
            if stopped.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return Left::Unknown;
            }
        }
    }

    async fn leave_nothing(&mut self, touched: bool, sink: &Sink) -> Result<(), StepError> {
        if self.tries_out() {
            return self.throw_the_copy_away(sink).await;
        }
        let record = self.drill_record().await?;
        if record.drill.emptied {
            return Ok(());
        }
        // What an earlier one left is to go as well.
        if !touched && !record.cleans {
            return self.is_empty().await;
        }
        self.make_vacant(sink).await
    }

    /// Removes what the drill brought. What the operation worked on stays what its row names.
    async fn make_vacant(&mut self, sink: &Sink) -> Result<(), StepError> {
        let drilled = (self.revision.clone(), self.evaluated.clone());
        let done = self.bring_a_vacant_system(sink).await;
        (self.revision, self.evaluated) = drilled;
        // There is nothing to go back to.
        (self.switched, self.switching) = (false, None);
        done?;
        self.shared.builder.release(Keep::Machine(&self.machine)).await;
        self.is_empty().await
    }

    async fn bring_a_vacant_system(&mut self, sink: &Sink) -> Result<(), StepError> {
        // What runs is an earlier drill's only where one may have left something: nobody else's is ever removed.
        let cleans = self.drill_record().await?.cleans;
        let running = self.facts(sink).await?.running_system.filter(|_| cleans);
        // A successor may not have found it again.
        let known = self.shared.records.operation(self.operation).await?.system;
        let drilled: BTreeSet<String> = self.system().ok().into_iter().chain(known).chain(running).collect();
        let platform = self.tenants_platform().await?;
        let rendered = self.shared.render(&platform, &self.machine, None).await?;
        self.begin_another(&rendered);
        evaluate::run(self, sink).await?;
        build::run(self, sink).await?;
        copy::run(self, sink).await?;
        let vacant = self.system()?;
        for system in drilled.into_iter().filter(|system| *system != vacant) {
            self.wipe_what_is_left_by(system, sink).await?;
        }
        activate::run(self, sink).await?;
        commit::run(self, sink).await.map(drop)
    }

    async fn is_empty(&mut self) -> Result<(), StepError> {
        self.keep_found(|drill| drill.emptied = true).await
    }
}
