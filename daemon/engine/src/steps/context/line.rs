//! The way to the machine: the session with its agent, and what the machine says of itself.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::{MachineFacts, MachineSpec, OperationKind};
use berth_protocol::{Answer, Request};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Context, missing, unexpected};
use crate::engine::Shared;
use crate::error::StepError;
use crate::ports::{AgentStart, Bounds, MachineSession, Sink, nobody};
use crate::reach::Opened;

/// For how long what a machine said while it was not needed yet counts: somebody may change the machine by hand.
const FRESH: Duration = Duration::from_secs(10);

/// The session, once something was asked.
#[derive(Default)]
pub(super) struct Line {
    session: Option<Box<dyn MachineSession>>,
    /// One that is being opened while nobody needs it yet.
    early: Option<AbortOnDropHandle<Result<Early, StepError>>>,
    /// What the machine said meanwhile.
    said: Option<Said>,
}

/// A session that was opened before it was needed.
struct Early {
    opened: Opened,
    said: Option<Said>,
}

/// What a machine said of itself, and when.
struct Said {
    facts: Box<MachineFacts>,
    at: Instant,
}

impl Shared {
    async fn open_early(
        &self,
        machine: &MachineSpec,
        agent: &str,
        bounds: &Bounds,
    ) -> Result<Early, StepError> {
        let (mut session, started) = self.open(machine, agent, &bounds.cancel).await?;
        let mut said = None;
        if started == AgentStart::Started
            && let Answer::Facts(facts) = session.call(Request::Facts, bounds, &nobody()).await?
        {
            said = Some(Said { facts, at: Instant::now() });
        }
        Ok(Early { opened: (session, started), said })
    }
}

impl Context {
    /// What failed may have left the session in the middle of something: the next question opens another.
    pub(crate) fn forget_the_session(&mut self) {
        self.line = Line::default();
        self.facts = None;
    }

    /// The session with the machine, its agent running; opened where there is none. The agent itself is copied to a
    /// machine that does not have it.
    pub(crate) async fn session(&mut self, sink: &Sink) -> Result<&mut Box<dyn MachineSession>, StepError> {
        if self.line.session.is_none() {
            self.line.session = Some(self.connect(sink).await?);
        }
        self.line.session.as_mut().ok_or_else(|| missing("session"))
    }

    /// Begins to open the session and to ask what the machine says of itself, so that both are there once something was evaluated
    /// and built.
    pub(crate) async fn connect_early(&mut self) -> Result<(), StepError> {
        let (machine, agent) = self.whom_to_reach().await?;
        let (shared, bounds) = (Arc::clone(&self.shared), self.bounds(self.shared.options.timeouts.brief));
        let early = async move { shared.open_early(&machine, &agent, &bounds).await };
        self.line.early = Some(AbortOnDropHandle::new(tokio::spawn(early)));
        Ok(())
    }

    async fn connect(&mut self, sink: &Sink) -> Result<Box<dyn MachineSession>, StepError> {
        let (machine, agent) = self.whom_to_reach().await?;
        let cancel = self.bounds(Duration::ZERO).cancel;
        let opened = match self.line.early.take() {
            Some(early) => {
                let early =
                    early.await.map_err(|error| StepError::failed("internal", error.to_string()))??;
                self.line.said = early.said;
                early.opened
            }
            None => self.shared.open(&machine, &agent, &cancel).await?,
        };
        self.shared.with_agent(opened, &agent, &cancel, sink).await
    }

    pub(crate) async fn whom_to_reach(&mut self) -> Result<(MachineSpec, String), StepError> {
        let agent = self.platform().await?.agent.clone();
        let machine = self.shared.records.machine(&self.machine).await?.spec;
        Ok((machine, agent))
    }

    /// Asks the machine's agent.
    pub(crate) async fn call(
        &mut self,
        request: Request,
        timeout: Duration,
        sink: &Sink,
    ) -> Result<Answer, StepError> {
        let bounds = self.bounds(timeout);
        self.session(sink).await?.call(request, &bounds, sink).await
    }

    /// What the machine says of itself, asked once an operation; also kept for the API, but by a preview, which keeps
    /// nothing.
    pub(crate) async fn facts(&mut self, sink: &Sink) -> Result<MachineFacts, StepError> {
        if let Some(facts) = &self.facts {
            return Ok(facts.clone());
        }
        // It may have been said before, while the session was opened.
        self.session(sink).await?;
        let facts = match self.line.said.take() {
            Some(said) if said.at.elapsed() < FRESH => said.facts,
            _ => match self.call(Request::Facts, self.shared.options.timeouts.brief, sink).await? {
                Answer::Facts(facts) => facts,
                _ => return Err(unexpected("facts")),
            },
        };
        if self.kind != OperationKind::Preview {
            self.shared.records.set_machine_facts(self.hold(), &self.machine, &facts).await?;
        }
        self.facts = Some((*facts).clone());
        Ok(*facts)
    }
}
