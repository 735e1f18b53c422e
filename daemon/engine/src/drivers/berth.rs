//! The driver `berth`: the agent switches the machine in a unit of its own, so that neither a lost connection nor a
//! daemon that ends changes anything about it, and is asked again for how it went. A dead-man timer on the machine puts the
//! previous system back unless the commit comes in time.

use async_trait::async_trait;
use berth_protocol::{Activation, Answer, Request, SwitchAction};
use tokio::time::Instant;

use super::{Committed, Deployer};
use crate::error::StepError;
use crate::ports::{Report, Sink};
use crate::steps::{Context, unexpected};

pub(super) struct Berth;

#[async_trait]
impl Deployer for Berth {
    async fn check(&self, _context: &mut Context) -> Result<(), StepError> {
        Ok(())
    }

    async fn switch(
        &self,
        context: &mut Context,
        system: &str,
        sink: &Sink,
    ) -> Result<Activation, StepError> {
        let (claim, deadline) = (context.claim(), context.deadline());
        let action = SwitchAction::Test;
        let request = Request::Activate { claim, system: system.to_owned(), action, deadline };
        match context.call(request, context.shared.options.timeouts.activate, sink).await? {
            Answer::Activation(activation) => Ok(activation),
            _ => Err(unexpected("the activation")),
        }
    }

    async fn see_the_end(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<(), StepError> {
        match self.switch(context, system, sink).await {
            Err(error) if error.leaves_it_open() => Err(error),
            // However it went: it is over.
            _ => Ok(()),
        }
    }

    /// Asked even where the profile points at the system already: the agent also looks after the boot entry, and writes
    /// nothing where nothing is to be written. Asked again where the answer was lost, as the commit may have taken place:
    /// until the machine must have put its previous system back otherwise, and in any case twice.
    async fn commit(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
        let mut asked_again = false;
        loop {
            let error = match ask(context, system, sink).await {
                Err(error @ StepError::Failed(_)) if error.leaves_it_open() => error,
                answer => return answer,
            };
            let lasts = error.is_out_of_touch() && Instant::now() < context.hope();
            if asked_again && !lasts {
                return Err(error);
            }
            // It may have been started anew meanwhile.
            (context.facts, context.may_run_another) = (None, true);
            sink(Report::Line(format!("the commit's answer was lost ({error}); asking again")));
            if std::mem::replace(&mut asked_again, true) {
                context.wait_a_moment().await?;
            }
        }
    }
}

/// Has the agent commit.
pub(super) async fn ask(context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
    // Boot loaders write to slow places; the agent gives them ten minutes.
    let timeout = context.shared.options.timeouts.activate;
    let (claim, keep_generations) = (context.claim(), context.shared.options.keep_generations);
    let request = Request::Commit { claim, system: system.to_owned(), keep_generations };
    match context.call(request, timeout, sink).await? {
        Answer::Committed { generation, changed } => Ok(Committed { generation, changed }),
        _ => Err(unexpected("the commit")),
    }
}
