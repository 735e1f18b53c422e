//! The driver `berth`: the agent switches the machine in a unit of its own, so that neither a lost connection nor a
//! daemon that ends changes anything about it, and is asked again for how it went.

use async_trait::async_trait;
use berth_protocol::{Activation, Answer, Request, SwitchAction};

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
        let (operation, action) = (context.operation, SwitchAction::Test);
        let request = Request::Activate { operation, system: system.to_owned(), action };
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
    /// nothing where nothing is to be written. Asked twice where the answer was lost, as the commit may have taken
    /// place.
    async fn commit(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
        match ask(context, system, sink).await {
            Err(StepError::Failed(failure)) if StepError::Failed(failure.clone()).leaves_it_open() => {
                sink(Report::Line(format!(
                    "the commit's answer was lost ({}); asking again",
                    failure.message
                )));
                ask(context, system, sink).await
            }
            answer => answer,
        }
    }
}

/// Has the agent commit.
pub(super) async fn ask(context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError> {
    // Boot loaders write to slow places; the agent gives them ten minutes.
    let timeout = context.shared.options.timeouts.activate;
    match context.call(Request::Commit { system: system.to_owned() }, timeout, sink).await? {
        Answer::Committed { generation, changed } => Ok(Committed { generation, changed }),
        _ => Err(unexpected("the commit")),
    }
}
