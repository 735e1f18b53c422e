//! A builder that takes its time and sometimes fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::preview::ClosureChange;
use berth_domain::revision::Files;
use berth_domain::{MachineName, OperationId, Progress, progress::Unit};
use berth_engine::StepError;
use berth_engine::error::DRIVER_MISSING;
use berth_engine::ports::{
    Applied, Bounds, Builder, Evaluated, Keep, Login, MachineSession, Platform, Rebuild, RebuildEnding,
    Report, Sink,
};
use berth_render::{PlatformPin, Rendered, Tls};

use uuid::Uuid;

use crate::life::Life;
use crate::machine::AGENT;
use crate::script::UNSOUND;
use crate::world::{World, locked};

/// Simulated machines have the driver `berth`.
fn no_such_driver() -> StepError {
    StepError::failed(DRIVER_MISSING, "a simulated world has no other driver")
}

fn evaluated(files: &Files) -> Result<Evaluated, StepError> {
    if files.values().any(|file| file.contains(UNSOUND)) {
        return Err(StepError::failed(EVALUATION_FAILED, "a setting is not what its option wants"));
    }
    let system = format!("/nix/store/{}", berth_render::revision_id(files).short());
    Ok(Evaluated { derivation: format!("{system}.drv"), system })
}

/// The code of a failure that is a configuration's own.
const EVALUATION_FAILED: &str = "evaluation-failed";

/// How many tenants are evaluated in one process at the most.
const BATCH: usize = 16;

/// The platforms that a host keeps from being collected as garbage.
pub type Platforms = Arc<Mutex<BTreeSet<String>>>;

/// One daemon's builder.
pub struct SimulatedBuilder {
    world: Arc<World>,
    life: Life,
    platforms: Platforms,
}

impl SimulatedBuilder {
    /// The builder of the daemon that lives this life.
    pub fn new(world: &Arc<World>, life: &Life, platforms: &Platforms) -> Self {
        Self { world: Arc::clone(world), life: life.clone(), platforms: Arc::clone(platforms) }
    }

    fn keep(&self, pin: &str) {
        locked(&self.platforms).insert(pin.to_owned());
    }

    /// Works for a while.
    async fn work(&self, time: Duration, bounds: &Bounds, code: &'static str) -> Result<(), StepError> {
        self.life.pass().await;
        let working = bounds.cancel.run_until_cancelled(tokio::time::sleep(time)).await;
        working.ok_or(StepError::Cancelled)?;
        self.life.pass().await;
        if self.world.fault(self.world.weather().builder_fails) {
            return Err(StepError::transient(code, "the builder stumbled"));
        }
        Ok(())
    }
}

#[async_trait]
impl Builder for SimulatedBuilder {
    async fn platform(&self, _: &Bounds) -> Result<Platform, StepError> {
        Ok(Platform { pin: "path:/platform".into(), agent: AGENT.into(), tls: Tls::None })
    }

    async fn keep_platform(&self, pin: &str, _: &Bounds) -> Result<(), StepError> {
        self.life.pass().await;
        self.keep(pin);
        Ok(())
    }

    async fn pin_platform(&self, reference: &str, bounds: &Bounds) -> Result<String, StepError> {
        self.work(self.world.dice.millis(50..=5000), bounds, "platform").await?;
        self.keep(reference);
        Ok(reference.to_owned())
    }

    async fn release_platforms(&self, used: &[String]) {
        self.life.pass().await;
        let needed = locked(&self.world.tables).needed_platforms();
        locked(&self.platforms).retain(|pin| {
            let stays = used.contains(pin);
            let law = || format!("{pin} was let go of, and is used");
            self.world.laws.hold(stays || !needed.contains(pin), law);
            stays
        });
    }

    async fn evaluate_batch(
        &self,
        _: Uuid,
        members: &BTreeMap<String, Rendered>,
        _: &PlatformPin,
        bounds: &Bounds,
    ) -> Result<BTreeMap<String, Evaluated>, StepError> {
        self.world.laws.hold(members.len() <= BATCH, || format!("{} are evaluated at once", members.len()));
        self.work(self.world.dice.millis(50..=5000), bounds, "nix-failed").await?;
        let found = members.iter().map(|(name, rendered)| Ok((name.clone(), evaluated(&rendered.files)?)));
        found.collect()
    }

    fn evaluators(&self) -> usize {
        2
    }

    async fn evaluate(
        &self,
        _: OperationId,
        files: &Files,
        _: &MachineName,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<Evaluated, StepError> {
        self.work(self.world.dice.millis(50..=5000), bounds, "nix-failed").await?;
        evaluated(files)
    }

    async fn build(&self, _: Keep<'_>, _: &str, bounds: &Bounds, sink: &Sink) -> Result<(), StepError> {
        let builds = self.world.dice.number(1..=4);
        for done in 0..builds {
            sink(Report::Progress(Progress::of(done, builds, Unit::Builds)));
            self.work(self.world.dice.millis(10..=8000), bounds, "nix-failed").await?;
        }
        Ok(())
    }

    async fn has(&self, _: &str) -> bool {
        !self.world.fault(self.world.weather().builder_fails / 5.0)
    }

    async fn manifest(&self, _: &str) -> Result<Manifest, StepError> {
        let (platform, tenant, mode) = ("simulated".into(), None, None);
        Ok(Manifest { version: 1, platform, tenant, mode, services: BTreeMap::new() })
    }

    async fn send_again(&self, _: &[String], _: &dyn MachineSession, _: &Bounds) -> Result<(), StepError> {
        // What is on a disk here stays as it is.
        Err(StepError::failed("internal", "nobody wishes for this here"))
    }

    async fn copy(
        &self,
        path: &str,
        to: &dyn MachineSession,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError> {
        sink(Report::Line(format!("copying {path}")));
        self.work(self.world.dice.millis(10..=6000), bounds, "copy-failed").await?;
        let lost = || StepError::transient("copy-failed", "the connection was lost");
        let machine = to.store().url.parse().ok().and_then(|name| self.world.machine(&name));
        let machine = machine.filter(|machine| machine.reach().is_some()).ok_or_else(lost)?;
        machine.take(path)
    }

    async fn compare(&self, _: Option<&str>, _: &str, _: &Bounds) -> Result<ClosureChange, StepError> {
        Ok(ClosureChange { bytes_before: 0, bytes_after: 0, packages: Vec::new() })
    }

    async fn release(&self, _: Keep<'_>) {}

    async fn find_nixos_rebuild(&self, _: &Bounds) -> Result<(), StepError> {
        Err(no_such_driver())
    }

    async fn nixos_rebuild(
        &self,
        _: Rebuild<'_>,
        _: &Login,
        _: &Bounds,
        _: &Sink,
    ) -> Result<RebuildEnding, StepError> {
        Err(no_such_driver())
    }

    async fn end_nixos_rebuild(&self, _: OperationId) {}

    async fn find_nixops4(&self, _: &Bounds) -> Result<(), StepError> {
        Err(no_such_driver())
    }

    async fn nixops4_apply(&self, _: &Files, _: &Path, _: &Bounds, _: &Sink) -> Result<Applied, StepError> {
        Err(no_such_driver())
    }
}
