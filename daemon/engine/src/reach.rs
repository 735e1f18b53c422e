//! A session with a machine, the agent behind it.

use berth_domain::MachineSpec;
use tokio_util::sync::CancellationToken;

use crate::engine::Shared;
use crate::error::StepError;
use crate::ports::{AgentStart, Bounds, MachineSession, Sink};

/// A session, and whether its agent could be started.
pub(crate) type Opened = (Box<dyn MachineSession>, AgentStart);

impl Shared {
    /// A session with a machine, its agent running. The agent itself is copied to a machine that does not have it.
    pub(crate) async fn reach(
        &self,
        machine: &MachineSpec,
        agent: &str,
        cancel: &CancellationToken,
        sink: &Sink,
    ) -> Result<Box<dyn MachineSession>, StepError> {
        let opened = self.open(machine, agent, cancel).await?;
        self.with_agent(opened, agent, cancel, sink).await
    }

    /// A session with a machine, its agent running where the machine has it.
    pub(crate) async fn open(
        &self,
        machine: &MachineSpec,
        agent: &str,
        cancel: &CancellationToken,
    ) -> Result<Opened, StepError> {
        let bounds = Bounds { cancel: cancel.clone(), timeout: self.options.timeouts.connect };
        let mut session = self.machines.open(machine, &bounds).await?;
        let started = session.start_agent(agent, &bounds).await?;
        Ok((session, started))
    }

    /// Copies the agent to a machine that does not have it, and starts it.
    pub(crate) async fn with_agent(
        &self,
        (mut session, started): Opened,
        agent: &str,
        cancel: &CancellationToken,
        sink: &Sink,
    ) -> Result<Box<dyn MachineSession>, StepError> {
        if started == AgentStart::Missing {
            let bounds = |timeout| Bounds { cancel: cancel.clone(), timeout };
            let timeouts = &self.options.timeouts;
            self.builder.copy(agent, session.as_ref(), &bounds(timeouts.copy), sink).await?;
            let mut started = session.start_agent(agent, &bounds(timeouts.connect)).await?;
            if started == AgentStart::Missing {
                // Nix calls it valid, and does not copy it for that, but it is not what it was.
                let agent = [agent.to_owned()];
                self.builder.send_again(&agent, session.as_ref(), &bounds(timeouts.copy)).await?;
                started = session.start_agent(&agent[0], &bounds(timeouts.connect)).await?;
            }
            if started == AgentStart::Missing {
                let message = "the agent was copied to the machine but is not there";
                return Err(StepError::failed("agent-missing", message));
            }
        }
        Ok(session)
    }
}
