//! What the engine needs from the outside, of which only a build that talks is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::manifest::Manifest;
use berth_domain::preview::ClosureChange;
use berth_domain::revision::Files;
use berth_domain::{CapturedService, MachineName, MachineSpec, OperationId, ServiceName, VaultId};
use berth_engine::StepError;
use berth_engine::ports::{
    Admission, Applied, Bounds, Builder, Evaluated, FarVault, Keep, Login, MachineSession, Machines,
    Platform, Rebuild, RebuildEnding, Report, Sink, Title, VaultAccess, Vaults, Writing,
};
use berth_render::{PlatformPin, Rendered, Tls};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use tokio::sync::Notify;
use uuid::Uuid;

/// A builder whose builds say something, and then fail.
pub struct Talker {
    /// Lets the build begin.
    pub begin: Arc<Notify>,
    /// How many lines it says at once, and how often.
    pub lines: (u32, u32),
}

/// How long it is silent in between.
const PAUSE: Duration = Duration::from_millis(20);

fn absent<T>() -> Result<T, StepError> {
    Err(StepError::failed("absent", "nobody is there"))
}

#[async_trait]
impl Builder for Talker {
    async fn platform(&self, _: &Bounds) -> Result<Platform, StepError> {
        Ok(Platform { pin: "path:/platform".into(), agent: "/nix/store/agent".into(), tls: Tls::None })
    }

    async fn keep_platform(&self, _: &str, _: &Bounds) -> Result<(), StepError> {
        Ok(())
    }

    async fn pin_platform(&self, _: &str, _: &Bounds) -> Result<String, StepError> {
        absent()
    }

    async fn release_platforms(&self, _: &[String]) {}

    async fn evaluate_batch(
        &self,
        _: Uuid,
        _: &BTreeMap<String, Rendered>,
        _: &PlatformPin,
        _: &Bounds,
    ) -> Result<BTreeMap<String, Evaluated>, StepError> {
        absent()
    }

    fn evaluators(&self) -> usize {
        1
    }

    async fn evaluate(
        &self,
        _: OperationId,
        _: &Files,
        _: &MachineName,
        _: &Bounds,
        _: &Sink,
    ) -> Result<Evaluated, StepError> {
        Ok(Evaluated { derivation: "/nix/store/system.drv".into(), system: "/nix/store/system".into() })
    }

    async fn build(&self, _: Keep<'_>, _: &str, _: &Bounds, sink: &Sink) -> Result<(), StepError> {
        self.begin.notified().await;
        for turn in 0..self.lines.1 {
            for line in 0..self.lines.0 {
                sink(Report::Line(format!("talker: said {turn}.{line}")));
            }
            tokio::time::sleep(PAUSE).await;
        }
        absent()
    }

    async fn has(&self, _: &str) -> bool {
        false
    }

    async fn manifest(&self, _: &str) -> Result<Manifest, StepError> {
        absent()
    }

    async fn compare(&self, _: Option<&str>, _: &str, _: &Bounds) -> Result<ClosureChange, StepError> {
        absent()
    }

    async fn copy(&self, _: &str, _: &dyn MachineSession, _: &Bounds, _: &Sink) -> Result<(), StepError> {
        absent()
    }

    async fn send_again(&self, _: &[String], _: &dyn MachineSession, _: &Bounds) -> Result<(), StepError> {
        absent()
    }

    async fn release(&self, _: Keep<'_>) {}

    async fn find_nixos_rebuild(&self, _: &Bounds) -> Result<(), StepError> {
        absent()
    }

    async fn nixos_rebuild(
        &self,
        _: Rebuild<'_>,
        _: &Login,
        _: &Bounds,
        _: &Sink,
    ) -> Result<RebuildEnding, StepError> {
        absent()
    }

    async fn end_nixos_rebuild(&self, _: OperationId) {}

    async fn find_nixops4(&self, _: &Bounds) -> Result<(), StepError> {
        absent()
    }

    async fn nixops4_apply(&self, _: &Files, _: &Path, _: &Bounds, _: &Sink) -> Result<Applied, StepError> {
        absent()
    }
}

/// No machine, no vault.
pub struct Nobody;

#[async_trait]
impl Machines for Nobody {
    async fn open(&self, _: &MachineSpec, _: &Bounds) -> Result<Box<dyn MachineSession>, StepError> {
        absent()
    }
}

#[async_trait]
impl Vaults for Nobody {
    async fn make(&self, _: VaultId, _: &SecretString) -> Result<(), StepError> {
        absent()
    }

    async fn admit(&self, _: VaultId, _: VaultAccess) -> Result<Admission, StepError> {
        absent()
    }

    async fn admit_far(&self, _: &FarVault) -> Result<Admission, StepError> {
        absent()
    }

    async fn snapshots(&self, _: VaultId) -> Result<BTreeSet<String>, StepError> {
        absent()
    }

    async fn tags(
        &self,
        _: VaultId,
        _: &SecretString,
        _: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, StepError> {
        absent()
    }

    async fn merge(&self, _: VaultId, _: &SecretString) -> Result<(), StepError> {
        absent()
    }

    async fn complete(&self, _: VaultId, _: &SecretString, _: &str) -> Result<String, StepError> {
        absent()
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        _: &str,
        _: &Path,
        _: &Bounds,
    ) -> Result<(), StepError> {
        absent()
    }

    async fn write(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Writing,
    ) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
        absent()
    }

    async fn keep_file(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Title,
        _: &str,
        _: Zeroizing<Vec<u8>>,
    ) -> Result<Option<String>, StepError> {
        absent()
    }

    async fn prune(
        &self,
        _: VaultId,
        _: &SecretString,
        _: &BTreeSet<String>,
        _: &BTreeSet<String>,
        _: &Bounds,
        _: &Sink,
    ) -> Result<u64, StepError> {
        absent()
    }

    async fn destroy(&self, _: VaultId) -> Result<(), StepError> {
        absent()
    }
}
