//! Vaults behind this daemon's own server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::{CapturedService, ServiceName, VaultId};
use berth_vault::{
    Attributes, AuthorError, Far, MergeError, Mode, ReadError, Reader, RepositoryName, StorageError, Title,
    Tokens, Vault,
};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::restic::Restic;
use crate::error::{StepError, VAULT_FAILED};
use crate::ports::{Admission, Bounds, FarVault, Sink, VaultAccess, Vaults, Writing};

/// How long a token is worth something at the most; longer than any step may take.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// Vaults that a server at `address` on this host serves, which asks `tokens` whom to let in.
pub struct LocalVaults {
    vault: Vault,
    tokens: Arc<Tokens>,
    far: Arc<Far>,
    address: SocketAddr,
}

impl LocalVaults {
    /// The vaults of a server that runs, which also has the doors of `far`.
    pub fn new(vault: Vault, tokens: Arc<Tokens>, far: Arc<Far>, address: SocketAddr) -> Self {
        Self { vault, tokens, far, address }
    }
}

#[async_trait]
impl Vaults for LocalVaults {
    async fn make(&self, vault: VaultId, key: &SecretString) -> Result<(), StepError> {
        let made = self.vault.init(&repository(vault)?, key).await;
        made.map_err(|error| StepError::transient(VAULT_FAILED, error.to_string()))
    }

    async fn admit(&self, vault: VaultId, access: VaultAccess) -> Result<Admission, StepError> {
        let repository = repository(vault)?;
        let mode = match access {
            VaultAccess::Read => Mode::ReadOnly,
            VaultAccess::Append => Mode::AppendOnly,
            VaultAccess::Full => Mode::Full,
        };
        let token = self.tokens.issue(&repository, mode, None, LIFETIME);
        let token = token.map_err(|error| StepError::failed("internal", error.to_string()))?;
        let end = Box::new(Revoked { tokens: Arc::clone(&self.tokens), token: token.clone() });
        Ok(Admission { address: self.address, path: format!("/vault/{repository}/"), token, end })
    }

    async fn admit_far(&self, far: &FarVault) -> Result<Admission, StepError> {
        let door = self.far.open(far.url.clone(), far.user.clone(), far.token.clone());
        let door = door.map_err(|error| StepError::failed("internal", error.to_string()))?;
        let (path, token) = (door.path(), door.token.clone());
        Ok(Admission { address: self.address, path, token, end: Box::new(door) })
    }

    async fn snapshots(&self, vault: VaultId) -> Result<BTreeSet<String>, StepError> {
        let found = self.vault.snapshots(&repository(vault)?).await;
        found.map_err(|error| StepError::transient(VAULT_FAILED, error.to_string()))
    }

    async fn tags(
        &self,
        vault: VaultId,
        key: &SecretString,
        snapshots: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, StepError> {
        let read = |reader: &Reader| {
            let tags = snapshots.into_iter().map(|id| Ok((reader.snapshot(&id)?.tags, id)));
            tags.map(|tags| tags.map(|(tags, id)| (id, tags))).collect::<Result<_, ReadError>>()
        };
        match self.vault.read(&repository(vault)?, key, read).await {
            Err(ReadError::Storage(StorageError::NotFound)) => Ok(BTreeMap::new()),
            tags => tags.map_err(|error| StepError::transient(VAULT_FAILED, error.to_string())),
        }
    }

    async fn merge(&self, vault: VaultId, key: &SecretString) -> Result<(), StepError> {
        self.vault.merge(&repository(vault)?, key).await.map_err(unmerged)
    }

    async fn complete(
        &self,
        vault: VaultId,
        key: &SecretString,
        snapshot: &str,
    ) -> Result<String, StepError> {
        self.vault.complete(&repository(vault)?, key, snapshot).await.map_err(unmerged)
    }

    async fn read_out(
        &self,
        vault: VaultId,
        key: &SecretString,
        snapshot: &str,
        into: &Path,
        bounds: &Bounds,
    ) -> Result<(), StepError> {
        let Admission { address, path, token, end: _until_it_is_done } =
            self.admit(vault, VaultAccess::Read).await?;
        Restic { address, path: &path, token: &token, key }.restore(snapshot, into, bounds).await
    }

    async fn write(
        &self,
        vault: VaultId,
        key: &SecretString,
        work: Writing,
    ) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
        let repository = repository(vault)?;
        let done = self.vault.author(&repository, key, |author| work(author).map_err(Unwritten::Step));
        done.await.map_err(|error| match error {
            Unwritten::Step(error) => error,
            Unwritten::Vault(error) => StepError::transient(VAULT_FAILED, error.to_string()),
        })
    }

    async fn keep_file(
        &self,
        vault: VaultId,
        key: &SecretString,
        title: Title,
        path: &str,
        content: Zeroizing<Vec<u8>>,
    ) -> Result<Option<String>, StepError> {
        let (repository, path) = (repository(vault)?, path.trim_start_matches('/').to_owned());
        let written = self.vault.author(&repository, key, move |author| {
            author.file(path.as_bytes(), &Attributes::of_root(0o400, title.at), &mut content.as_slice())?;
            author.snapshot(&title)
        });
        match written.await {
            Ok(id) => Ok(Some(id)),
            // It was made by somebody else, whose keys are others.
            Err(AuthorError::Storage(StorageError::NotFound)) => Ok(None),
            Err(error) => Err(StepError::transient(VAULT_FAILED, error.to_string())),
        }
    }

    async fn prune(
        &self,
        vault: VaultId,
        key: &SecretString,
        going: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<u64, StepError> {
        let name = repository(vault)?;
        let used = async || {
            let used = self.vault.usage(&name).await;
            used.map_err(|error| StepError::transient(VAULT_FAILED, error.to_string()))
        };
        let before = used().await?;
        let Admission { address, path, token, end: _until_it_is_done } =
            self.admit(vault, VaultAccess::Full).await?;
        Restic { address, path: &path, token: &token, key }.forget(going, needed, bounds, sink).await?;
        Ok(before.saturating_sub(used().await?))
    }

    async fn destroy(&self, vault: VaultId) -> Result<(), StepError> {
        let repository = repository(vault)?;
        self.tokens.revoke_all(&repository);
        let destroyed = self.vault.destroy(&repository).await;
        destroyed.map_err(|error| StepError::transient(VAULT_FAILED, error.to_string()))
    }
}

/// Only a place that fails may be better the next time.
fn unmerged(error: MergeError) -> StepError {
    match error {
        MergeError::Read(ReadError::Storage(_)) | MergeError::Author(AuthorError::Storage(_)) => {
            StepError::transient(VAULT_FAILED, error.to_string())
        }
        error => StepError::failed(VAULT_FAILED, error.to_string()),
    }
}

/// Why nothing was written.
enum Unwritten {
    Step(StepError),
    Vault(StorageError),
}

impl From<StorageError> for Unwritten {
    fn from(error: StorageError) -> Self {
        Self::Vault(error)
    }
}

/// Makes a token worthless once it is dropped.
struct Revoked {
    tokens: Arc<Tokens>,
    token: SecretString,
}

impl Drop for Revoked {
    fn drop(&mut self) {
        self.tokens.revoke(&self.token);
    }
}

pub(super) fn repository(vault: VaultId) -> Result<RepositoryName, StepError> {
    let name = vault.to_string().parse();
    name.map_err(|_| StepError::failed("internal", format!("a vault cannot be called {vault}")))
}
