//! The flake that tenants are built on.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use berth_nix::{Nix, Run, StorePath};
use berth_render::Tls;
use sha2::{Digest, Sha256};

use crate::error::StepError;
use crate::ports::Platform;

/// The system that agents are built for before any machine was seen.
const SYSTEM: &str = "x86_64-linux";

/// The attribute of the agent among the platform's packages.
const AGENT: &str = "berth-agent";

/// Where the platform comes from.
#[derive(Clone)]
pub enum PlatformSource {
    /// A flake that was configured, such as `github:example/berth`.
    Flake {
        /// Its reference.
        reference: String,
        /// How its machines do TLS.
        tls: Tls,
    },
    /// The rehearsal platform, which the daemon carries with it.
    Rehearsal {
        /// Writes its files, if they are not there yet, and tells the folder.
        tree: Arc<dyn Fn() -> io::Result<PathBuf> + Send + Sync>,
        /// How its machines do TLS: not by an authority, which could not reach them.
        tls: Tls,
    },
}

impl PlatformSource {
    /// The platform at one fixed content, its agent built; `roots` keeps both from being collected as garbage.
    pub(super) async fn prepare(&self, nix: &Nix, run: &Run, roots: &Roots) -> Result<Platform, StepError> {
        let (Self::Flake { tls, .. } | Self::Rehearsal { tls, .. }) = self;
        let (pin, source) = match self {
            Self::Flake { reference, .. } => {
                let locked = nix.lock(reference, run).await?;
                (locked.reference, locked.source)
            }
            Self::Rehearsal { tree, .. } => {
                let tree = written(Arc::clone(tree)).await?;
                // Flakes in the store must have this name for the path to be their identity.
                let source = nix.add_tree(&tree, "source", run, |_| {}).await?;
                (format!("path:{source}"), source)
            }
        };
        nix.keep(&source, &roots.of("platform")?).await?;
        let agent = nix.package(&pin, SYSTEM, AGENT, run, |_| {}).await?;
        if let Some(derivation) = &agent.drv {
            nix.build(derivation, Some(&roots.of("agent")?), run, |_| {}).await?;
        } else {
            nix.keep(&agent.out, &roots.of("agent")?).await?;
        }
        Ok(Platform { pin, agent: agent.out.to_string(), tls: *tls })
    }
}

/// The platform that a reference means now, kept from being collected as garbage.
pub(super) async fn pin(nix: &Nix, reference: &str, run: &Run, roots: &Roots) -> Result<String, StepError> {
    let locked = nix.lock(reference, run).await?;
    nix.keep(&locked.source, &roots.of(&root_of(&locked.reference))?).await?;
    Ok(locked.reference)
}

/// Keeps a platform at one fixed content, which is fetched again where it is not here any more.
pub(super) async fn keep(nix: &Nix, pin: &str, run: &Run, roots: &Roots) -> Result<(), StepError> {
    let root = roots.of(&root_of(pin))?;
    // A link that leads somewhere keeps what it leads to.
    if tokio::fs::try_exists(&root).await.unwrap_or(false) {
        return Ok(());
    }
    let source = match pin.strip_prefix("path:") {
        Some(path) => {
            let path = store_path(path)?;
            if !tokio::fs::try_exists(path.as_str()).await.unwrap_or(false) {
                let message = format!(
                    "the platform {path} that the tenant was deployed with is not here any more; a rollout with a platform brings the tenant to another one"
                );
                return Err(StepError::failed("platform", message));
            }
            path
        }
        None => nix.lock(pin, run).await?.source,
    };
    Ok(nix.keep(&source, &root).await?)
}

/// Lets go of every platform but those.
pub(super) fn release_others(used: &[String], roots: &Roots) {
    let used: BTreeSet<String> = used.iter().map(|pin| root_of(pin)).collect();
    let Ok(folder) = std::fs::read_dir(&roots.0) else { return };
    for entry in folder.flatten() {
        let name = entry.file_name();
        let unused = |name: &&str| name.starts_with(PINNED) && !used.contains(*name);
        if let Some(name) = name.to_str().filter(unused) {
            roots.release(name);
        }
    }
}

/// What the links of platforms begin with that tenants were deployed with. The current one's is `platform`.
const PINNED: &str = "platform-";

/// The link of a platform: a reference is no file name, its hash is.
fn root_of(pin: &str) -> String {
    let hash = format!("{:x}", Sha256::digest(pin));
    format!("{PINNED}{}", &hash[..32])
}

async fn written(tree: Arc<dyn Fn() -> io::Result<PathBuf> + Send + Sync>) -> Result<PathBuf, StepError> {
    let written = tokio::task::spawn_blocking(move || tree()).await.map_err(io::Error::other);
    written.and_then(|outcome| outcome).map_err(|error| {
        StepError::failed("platform", format!("cannot write the rehearsal platform: {error}"))
    })
}

/// The folder of links that keep store paths from being collected as garbage.
#[derive(Debug, Clone)]
pub(super) struct Roots(pub PathBuf);

impl Roots {
    /// The link of that name; the folder is made where there is none.
    pub(super) fn of(&self, name: &str) -> Result<PathBuf, StepError> {
        std::fs::create_dir_all(&self.0).map_err(|error| {
            StepError::failed("internal", format!("cannot create {}: {error}", self.0.display()))
        })?;
        Ok(self.0.join(name))
    }

    /// Drops a link.
    pub(super) fn release(&self, name: &str) {
        if let Err(error) = std::fs::remove_file(self.0.join(name))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, name, "cannot remove a garbage collector root");
        }
    }
}

/// A path from the database or the platform as nix wants it.
pub(super) fn store_path(path: &str) -> Result<StorePath, StepError> {
    path.parse().map_err(|error| StepError::failed("internal", format!("{error}")))
}
