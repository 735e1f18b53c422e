//! Vaults, and machines' ways to them: a way ends with the connection, or with the daemon that leads it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use berth_domain::{CapturedService, OperationId, ServiceName, VaultId};
use berth_engine::StepError;
use berth_engine::ports::{Admission, Bounds, FarVault, Sink, Title, VaultAccess, Vaults, Way, Writing};
use berth_protocol::Repository;
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use crate::life::Life;
use crate::world::{World, locked};

/// What a service's state is in a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// Whose.
    pub service: String,
    /// Who copied it.
    pub operation: OperationId,
    /// Whether nothing was written to it meanwhile.
    pub quiet: bool,
}

/// All vaults: what is in each, by the snapshot's id.
pub type Shelves = BTreeMap<VaultId, BTreeMap<String, Copy>>;

/// One daemon's way to the vaults.
pub struct SimulatedVaults {
    world: Arc<World>,
    life: Life,
}

impl SimulatedVaults {
    /// The vaults of the daemon that lives this life.
    pub fn new(world: &Arc<World>, life: &Life) -> Self {
        Self { world: Arc::clone(world), life: life.clone() }
    }
}

/// What a token says that it is worth.
fn word(access: VaultAccess) -> &'static str {
    match access {
        VaultAccess::Append => "append",
        _ => "read",
    }
}

fn absent() -> StepError {
    StepError::failed("absent", "nothing of that kind is here")
}

#[async_trait]
impl Vaults for SimulatedVaults {
    async fn make(&self, _: VaultId, _: &SecretString) -> Result<(), StepError> {
        self.life.pass().await;
        Ok(())
    }

    async fn admit(&self, vault: VaultId, access: VaultAccess) -> Result<Admission, StepError> {
        self.life.pass().await;
        let (address, path) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), format!("/vault/{vault}/"));
        Ok(Admission { address, path, token: SecretString::from(word(access)), end: Box::new(()) })
    }

    async fn admit_far(&self, _: &FarVault) -> Result<Admission, StepError> {
        Err(absent())
    }

    async fn snapshots(&self, _: VaultId) -> Result<BTreeSet<String>, StepError> {
        Err(absent())
    }

    async fn tags(
        &self,
        _: VaultId,
        _: &SecretString,
        _: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, StepError> {
        Err(absent())
    }

    async fn merge(&self, _: VaultId, _: &SecretString) -> Result<(), StepError> {
        Err(absent())
    }

    async fn complete(&self, _: VaultId, _: &SecretString, _: &str) -> Result<String, StepError> {
        Err(absent())
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        _: &str,
        _: &Path,
        _: &Bounds,
    ) -> Result<(), StepError> {
        Err(absent())
    }

    async fn write(
        &self,
        _: VaultId,
        _: &SecretString,
        _: Writing,
    ) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
        Err(absent())
    }

    async fn keep_file(
        &self,
        _: VaultId,
        _: &SecretString,
        title: Title,
        _: &str,
        _: Zeroizing<Vec<u8>>,
    ) -> Result<Option<String>, StepError> {
        self.life.pass().await;
        Ok(Some(title.tags.concat()))
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
        Err(absent())
    }

    async fn destroy(&self, vault: VaultId) -> Result<(), StepError> {
        self.life.pass().await;
        locked(&self.world.vaults).remove(&vault);
        Ok(())
    }
}

/// A machine's way to the vaults.
#[derive(Clone)]
pub(crate) struct Lane {
    open: Arc<AtomicBool>,
    life: Life,
    /// Since which start of the machine.
    boots: u64,
}

impl Lane {
    pub(crate) fn new(life: &Life, boots: u64) -> Self {
        Self { open: Arc::new(AtomicBool::new(true)), life: life.clone(), boots }
    }

    /// Whether it leads somewhere, for a machine that can be reached or not.
    pub(crate) fn is_open(&self, reach: Option<u64>) -> bool {
        self.open.load(Ordering::Relaxed) && !self.life.is_over() && reach == Some(self.boots)
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({})", self.boots)
    }
}

/// The daemon's end of a lane.
pub(crate) struct Guide {
    lane: Lane,
    port: u16,
}

impl Guide {
    pub(crate) fn new(lane: Lane, port: u16) -> Self {
        Self { lane, port }
    }
}

impl Way for Guide {
    fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Guide {
    fn drop(&mut self) {
        self.lane.open.store(false, Ordering::Relaxed);
    }
}

/// What a repository's address says: the port, the vault, and what may be done there.
pub(crate) fn address(repository: &Repository) -> Option<(u16, VaultId, &str)> {
    let (port, path) = repository.url.strip_prefix("http://127.0.0.1:")?.split_once("/vault/")?;
    Some((port.parse().ok()?, path.trim_end_matches('/').parse().ok()?, repository.password.expose()))
}
