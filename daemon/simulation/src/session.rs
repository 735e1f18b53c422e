//! The way to a machine: questions and answers that take a while, are lost, or come twice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::{MachineName, MachineSpec, Timestamp};
use berth_engine::StepError;
use berth_engine::ports::{AgentStart, Bounds, FarStore, Login, MachineSession, Machines, Report, Sink, Way};
use berth_protocol::{Activation, ActivationOutcome, Answer, Health, Request, StoreCheck};
use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::life::Life;
use crate::machine::Machine;
use crate::vaults::{Guide, Lane};
use crate::world::World;

/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(250);

/// One daemon's way to all machines.
pub struct Links {
    world: Arc<World>,
    life: Life,
}

impl Links {
    /// The ways of the daemon that lives this life.
    pub fn new(world: &Arc<World>, life: &Life) -> Self {
        Self { world: Arc::clone(world), life: life.clone() }
    }
}

#[async_trait]
impl Machines for Links {
    async fn open(
        &self,
        machine: &MachineSpec,
        bounds: &Bounds,
    ) -> Result<Box<dyn MachineSession>, StepError> {
        self.life.pass().await;
        let name = machine.name.clone();
        let machine =
            self.world.machine(&name).ok_or_else(|| StepError::failed("machine-unreachable", "unknown"))?;
        let end = Instant::now() + bounds.timeout;
        let boots = loop {
            if bounds.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            match machine.reach() {
                Some(boots) => break boots,
                None if Instant::now() >= end => {
                    return Err(StepError::transient("machine-unreachable", "no answer"));
                }
                None => tokio::time::sleep(LOOK * 4).await,
            }
        };
        tokio::time::sleep(self.world.dice.millis(10..=200)).await;
        self.life.pass().await;
        let (world, life) = (Arc::clone(&self.world), self.life.clone());
        Ok(Box::new(Session { world, life, name, machine, boots }))
    }
}

/// A session with a machine.
struct Session {
    world: Arc<World>,
    life: Life,
    name: MachineName,
    machine: Arc<Machine>,
    boots: u64,
}

fn lost() -> StepError {
    StepError::transient("connection-lost", "the connection was lost")
}

impl Session {
    fn is_there(&self) -> bool {
        self.machine.reach() == Some(self.boots)
    }

    /// A question and its answer.
    async fn ask(&self, request: &Request, bounds: &Bounds) -> Result<Answer, StepError> {
        let (world, weather) = (&self.world, self.world.weather());
        self.life.pass().await;
        tokio::time::sleep(world.dice.millis(1..=50)).await;
        if !self.is_there() || world.fault(weather.question_lost) {
            return Err(lost());
        }
        if world.fault(weather.question_twice) {
            self.ask_again_later(request);
        }
        let answering = answer(Arc::clone(world), Arc::clone(&self.machine), request.clone());
        // What the machine does goes on when nobody waits any more.
        let mut answering = tokio::spawn(answering);
        let end = Instant::now() + bounds.timeout;
        let answer = loop {
            if bounds.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if Instant::now() >= end {
                return Err(StepError::transient("timeout", "no answer in time"));
            }
            if !self.is_there() {
                return Err(lost());
            }
            if let Ok(answer) = tokio::time::timeout(LOOK, &mut answering).await {
                break answer.unwrap_or_else(|_| Err(lost()));
            }
        };
        self.life.pass().await;
        tokio::time::sleep(world.dice.millis(1..=50)).await;
        if !self.is_there() || world.fault(weather.answer_lost) {
            return Err(lost());
        }
        answer
    }

    /// The same question comes once more, when whoever asked may have gone on.
    fn ask_again_later(&self, request: &Request) {
        let again = answer(Arc::clone(&self.world), Arc::clone(&self.machine), request.clone());
        let (later, machine, boots) =
            (self.world.dice.millis(10..=40_000), Arc::clone(&self.machine), self.boots);
        // A commit is not asked for by a program that outlives its connection.
        if !matches!(request, Request::Commit { .. } | Request::Wipe { .. }) {
            tokio::spawn(async move {
                tokio::time::sleep(later).await;
                if machine.reach() == Some(boots) {
                    let _ = again.await;
                }
            });
        }
    }
}

/// What the agent does when it is asked.
async fn answer(world: Arc<World>, machine: Arc<Machine>, request: Request) -> Result<Answer, StepError> {
    match request {
        Request::Facts => Ok(Answer::Facts(Box::new(machine.facts()))),
        Request::DryActivate { .. } => Ok(Answer::DryActivation(Box::default())),
        Request::AwaitQuiet { .. } => Ok(Answer::Quiet),
        Request::CheckStore { .. } => Ok(Answer::Store(StoreCheck::default())),
        Request::PrepareSecrets { claim, .. } => {
            machine.admit(claim)?;
            Ok(Answer::Prepared)
        }
        Request::Activate { claim, system, deadline, .. } => {
            let exit_code = machine.activate(claim, &system, deadline).await?;
            let failed_units = if exit_code == 0 { Vec::new() } else { vec!["sick.service".into()] };
            let outcome = ActivationOutcome::of(exit_code);
            Ok(Answer::Activation(Activation { exit_code, outcome, failed_units }))
        }
        Request::Extend { claim, seconds } => Ok(Answer::Outcome(machine.extend(claim, seconds)?)),
        Request::Revert { claim, from } => Ok(Answer::Outcome(machine.revert(claim, from).await?)),
        Request::Outcome { operation } => Ok(Answer::Outcome(machine.state().outcome(operation))),
        Request::Probe { .. } => {
            tokio::time::sleep(world.dice.millis(50..=3000)).await;
            Ok(Answer::Health(health(&world)))
        }
        Request::Commit { claim, system, .. } => {
            let changed = machine.commit(claim, &system).await?;
            Ok(Answer::Committed { generation: 1, changed })
        }
        Request::Capture { claim, system, repository, pass, .. } => {
            machine.capture(claim, &system, &repository, pass).await
        }
        Request::Restore { claim, system, repository, parts, .. } => {
            machine.restore(claim, &system, &repository, parts).await
        }
        Request::Logs { .. } => Ok(Answer::Logs(Vec::new())),
        Request::SecretsOf { claim, .. } => {
            machine.admit(claim)?;
            Ok(Answer::Secrets(Vec::new()))
        }
        // Machines lose their power here, which is worse; no script wishes for it.
        Request::KeepQuiet { .. }
        | Request::Resume { .. }
        | Request::AdoptSecrets { .. }
        | Request::Fingerprint { .. }
        | Request::SumAhead { .. }
        | Request::RestoreAhead { .. }
        | Request::Reboot { .. } => Err(StepError::failed("internal", "nobody wishes for this here")),
        Request::Wipe { claim, system } => {
            let removed = if machine.wipe(claim, &system).await? { vec!["data".into()] } else { Vec::new() };
            Ok(Answer::Wiped { removed })
        }
    }
}

fn health(world: &World) -> Health {
    let healthy = !world.fault(world.weather().sick);
    Health { healthy, units: Vec::new(), probes: Vec::new(), also_failed: Vec::new() }
}

#[async_trait]
impl MachineSession for Session {
    async fn start_agent(&mut self, path: &str, _: &Bounds) -> Result<AgentStart, StepError> {
        self.life.pass().await;
        if !self.is_there() {
            return Err(lost());
        }
        Ok(if self.machine.has(path) { AgentStart::Started } else { AgentStart::Missing })
    }

    async fn call(&mut self, request: Request, bounds: &Bounds, sink: &Sink) -> Result<Answer, StepError> {
        match self.ask(&request, bounds).await {
            // As the real session does.
            Err(StepError::Failed(failure)) if failure.code == "connection-lost" => {
                sink(Report::Line("the connection was lost; connecting again".into()));
                tokio::time::sleep(LOOK).await;
                match self.machine.reach() {
                    Some(boots) => self.boots = boots,
                    None => return Err(StepError::transient("machine-unreachable", "no answer")),
                }
                self.ask(&request, bounds).await
            }
            answer => answer,
        }
    }

    fn enter_anew(&self, _: Bounds) -> BoxFuture<'static, Result<(), StepError>> {
        let machine = Arc::clone(&self.machine);
        Box::pin(async move {
            let unreachable = || StepError::transient("machine-unreachable", "no answer");
            machine.reach().map(drop).ok_or_else(unreachable)
        })
    }

    fn probe_from_outside(
        &self,
        _: Manifest,
        bounds: Bounds,
    ) -> BoxFuture<'static, Result<Health, StepError>> {
        let (world, life, machine) = (Arc::clone(&self.world), self.life.clone(), Arc::clone(&self.machine));
        Box::pin(async move {
            life.pass().await;
            tokio::time::sleep(world.dice.millis(10..=1000)).await;
            if bounds.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            if machine.reach().is_none() {
                return Err(StepError::transient("machine-unreachable", "no answer"));
            }
            Ok(health(&world))
        })
    }

    fn certificates(&self, _: Manifest) -> BoxFuture<'static, Vec<(String, Result<Timestamp, String>)>> {
        Box::pin(async { Vec::new() })
    }

    async fn lead_to(&mut self, _: SocketAddr, _: &Bounds) -> Result<Box<dyn Way>, StepError> {
        self.life.pass().await;
        if !self.is_there() {
            return Err(lost());
        }
        let lane = Lane::new(&self.life, self.boots);
        let port = self.machine.open_lane(lane.clone());
        Ok(Box::new(Guide::new(lane, port)))
    }

    fn store(&self) -> FarStore {
        FarStore { url: self.name.to_string(), ssh_options: String::new(), socket: None }
    }

    fn login(&self) -> Login {
        Login { destination: self.name.to_string(), ssh_options: String::new(), root: true }
    }
}
