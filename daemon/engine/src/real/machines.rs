//! Sessions over SSH.

use async_trait::async_trait;
use berth_domain::MachineSpec;
use berth_domain::Progress;
use berth_domain::manifest::Manifest;
use berth_domain::progress::Unit;
use berth_machine::{Agent, Connector, MachineError, Session, outside};
use berth_protocol::{Answer, Health, Note, Request, StorePath};
use futures_util::future::BoxFuture;

use crate::error::StepError;
use crate::ports::{AgentStart, Bounds, Login, MachineSession, Machines, Report, Sink};

/// Opens sessions over SSH.
pub struct SshMachines {
    connector: Connector,
}

impl SshMachines {
    /// With the daemon's SSH identity.
    pub fn new(connector: Connector) -> Self {
        Self { connector }
    }
}

#[async_trait]
impl Machines for SshMachines {
    async fn open(
        &self,
        machine: &MachineSpec,
        bounds: &Bounds,
    ) -> Result<Box<dyn MachineSession>, StepError> {
        let session = self.connector.connect(machine, &bounds.cancel).await?;
        Ok(Box::new(SshSession { connector: self.connector.clone(), session, agent: None }))
    }
}

struct SshSession {
    connector: Connector,
    session: Session,
    /// The agent and where it stands.
    agent: Option<(StorePath, Agent)>,
}

impl SshSession {
    /// A usable agent: the one that was started, or the same program started anew over a connection that holds.
    async fn agent(&mut self, bounds: &Bounds) -> Result<&mut Agent, MachineError> {
        let machine = self.session.machine().clone();
        let lost = || MachineError::Lost {
            machine: machine.name.clone(),
            reason: "its agent was not started".into(),
        };
        let (path, agent) = self.agent.as_mut().ok_or_else(lost)?;
        if !agent.is_usable() {
            self.session = self.connector.connect(&machine, &bounds.cancel).await?;
            *agent = self.session.agent(path, &bounds.cancel).await?;
        }
        Ok(agent)
    }

    async fn ask(&mut self, request: Request, bounds: &Bounds, sink: &Sink) -> Result<Answer, MachineError> {
        let agent = self.agent(bounds).await?;
        let (sink, unit) = (sink.clone(), counted_by(&request));
        agent.call(request, bounds.timeout, &bounds.cancel, move |note| sink(report(note, unit))).await
    }
}

#[async_trait]
impl MachineSession for SshSession {
    async fn start_agent(&mut self, path: &str, bounds: &Bounds) -> Result<AgentStart, StepError> {
        let path: StorePath = path
            .parse()
            .map_err(|error| StepError::failed("internal", format!("the agent's path: {error}")))?;
        match self.session.agent(&path, &bounds.cancel).await {
            Ok(agent) => {
                self.agent = Some((path, agent));
                Ok(AgentStart::Started)
            }
            Err(MachineError::AgentMissing { .. }) => Ok(AgentStart::Missing),
            Err(error) => Err(error.into()),
        }
    }

    async fn call(&mut self, request: Request, bounds: &Bounds, sink: &Sink) -> Result<Answer, StepError> {
        match self.ask(request.clone(), bounds, sink).await {
            // Every question may be put twice; one lost connection (a restarted sshd, a changed address) is no reason
            // to fail.
            Err(MachineError::Lost { reason, .. }) => {
                sink(Report::Line(format!("the connection was lost ({reason}); connecting again")));
                Ok(self.ask(request, bounds, sink).await?)
            }
            answer => Ok(answer?),
        }
    }

    fn probe_from_outside(
        &self,
        manifest: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>> {
        let (connector, machine) = (self.connector.clone(), self.session.machine().clone());
        Box::pin(async move {
            // A new connection, too: an open one does not prove that the machine can still be entered.
            let anew = connector.try_anew(&machine, &bounds.cancel);
            let probes = outside::probe_manifest(&machine.address, &manifest, bounds.timeout);
            let probes =
                async { bounds.cancel.run_until_cancelled(probes).await.ok_or(StepError::Cancelled) };
            let (entered, health) = tokio::join!(anew, probes);
            entered?;
            health
        })
    }

    fn store(&self) -> (String, String) {
        (self.session.store_url(), self.session.nix_ssh_opts())
    }

    fn login(&self) -> Login {
        Login {
            destination: self.session.destination(),
            ssh_options: self.session.ssh_opts(),
            root: self.session.machine().user.as_str() == "root",
        }
    }
}

fn report(note: Note, unit: Unit) -> Report {
    match note {
        Note::Line(line) => Report::Line(line),
        Note::Progress { done, expected } => Report::Progress(Progress::of(done, expected, unit)),
    }
}

/// What the agent counts while it does something.
fn counted_by(request: &Request) -> Unit {
    match request {
        Request::Wipe { .. } => Unit::Holdings,
        Request::Activate { .. } => Unit::Units,
        _ => Unit::Probes,
    }
}
