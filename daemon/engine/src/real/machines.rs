//! Sessions over SSH.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::progress::Unit;
use berth_domain::{MachineSpec, Progress, Timestamp};
use berth_machine::{Agent, Connector, Forward, MachineError, Session, certificate, outside};
use berth_protocol::{Answer, Health, Note, Request, StorePath};
use futures_util::future::{BoxFuture, join_all};

use crate::error::StepError;
use crate::ports::{AgentStart, Bounds, FarStore, Login, MachineSession, Machines, Report, Sink, Way};

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
        let mut started = self.session.agent(&path, &bounds.cancel).await;
        // A program of which only a part is on the disk is killed by the kernel, which `ssh` tells as if the connection had
        // ended. So may one that somebody else killed.
        if matches!(started, Err(MachineError::Lost { .. })) {
            let there = self.session.has_path(&path, &bounds.cancel).await;
            started = match self.session.agent(&path, &bounds.cancel).await {
                Err(MachineError::Lost { .. }) if there.is_ok() => return Ok(AgentStart::Missing),
                started => started,
            };
        }
        match started {
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

    fn enter_anew(&self, bounds: Bounds) -> BoxFuture<'static, Result<(), StepError>> {
        let (connector, machine) = (self.connector.clone(), self.session.machine().clone());
        Box::pin(async move { Ok(connector.try_anew(&machine, &bounds.cancel).await?) })
    }

    fn probe_from_outside(
        &self,
        manifest: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>> {
        let machine = self.session.machine().clone();
        Box::pin(async move {
            let probes = outside::probe_manifest(&machine.address, &manifest, bounds.timeout);
            bounds.cancel.run_until_cancelled(probes).await.ok_or(StepError::Cancelled)
        })
    }

    fn certificates(
        &self,
        manifest: Manifest,
    ) -> BoxFuture<'static, Vec<(String, Result<Timestamp, String>)>> {
        let address = self.session.machine().address.clone();
        let probes = manifest.services.into_values().flat_map(|contract| contract.probes);
        let shown = probes.filter(|probe| probe.scheme == "https" && !probe.inside_only);
        let hosts: BTreeSet<String> = shown.map(|probe| probe.host).collect();
        Box::pin(async move {
            let look = |host: String| {
                let address = &address;
                async move {
                    let expiry = certificate::expiry(address, &host).await;
                    (host, expiry.map(Timestamp::from))
                }
            };
            join_all(hosts.into_iter().map(look)).await
        })
    }

    async fn lead_to(&mut self, address: SocketAddr, bounds: &Bounds) -> Result<Box<dyn Way>, StepError> {
        Ok(Box::new(SshWay(self.session.forward_to(address, &bounds.cancel).await?)))
    }

    fn store(&self) -> FarStore {
        let (url, ssh_options) = (self.session.store_url(), self.session.nix_ssh_opts());
        FarStore { url, ssh_options, socket: Some(self.session.socket()) }
    }

    fn login(&self) -> Login {
        Login {
            destination: self.session.destination(),
            ssh_options: self.session.ssh_opts(),
            root: self.session.machine().user.as_str() == "root",
        }
    }
}

struct SshWay(Forward);

impl Way for SshWay {
    fn port(&self) -> u16 {
        self.0.port()
    }
}

fn report(note: Note, unit: Unit) -> Report {
    match note {
        Note::Line(line) => Report::Line(line),
        Note::Progress { done, expected } => Report::Progress(Progress::of(done, expected, unit)),
        Note::Transfer(moved) => Report::Progress(match moved.bytes_expected {
            0 => Progress::open(moved.bytes_done, Unit::Bytes),
            expected => Progress::of(moved.bytes_done, expected, Unit::Bytes),
        }),
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
