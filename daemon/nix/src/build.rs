//! Building a derivation.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, Run};
use crate::root::{held, must_be_absolute, root};
use crate::store_path::StorePath;
use crate::worker::{Worker, WorkerError};

/// How long a look at what is built already may take: a collection of garbage keeps the store to itself for longer at times.
const LOOK: Duration = Duration::from_secs(10);

impl Nix {
    /// Builds all outputs of a derivation that is in the store, and returns their paths. What exists already is not
    /// built again.
    ///
    /// `gc_root` is an absolute path at which a symbolic link to the (first) output is made, and replaced where one
    /// is; while it stands, the output is not collected as garbage.
    ///
    /// This calls `nix-store --realise` and not `nix build`: the latter wants `DRV^*` in newer versions, where it
    /// takes a bare `DRV` for the derivation's own file, and does not understand that in 2.8.
    ///
    /// # Errors
    /// [`NixError::BuildFailed`] with the failing derivation and the end of its log; [`NixError::NoBuilder`] where other
    /// machines are to build and none does.
    pub async fn build(
        &self,
        drv: &StorePath,
        gc_root: Option<&Path>,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<Vec<StorePath>, NixError> {
        gc_root.map_or(Ok(()), must_be_absolute)?;
        if let Some(path) = self.built_before(drv, gc_root, run).await? {
            return Ok(vec![path]);
        }
        let mut command = self.nix_store(&["--realise", drv.as_str()]);
        if let Some(root) = gc_root {
            command.arg("--add-root").arg(root).arg("--indirect");
        }
        let finished = self.run(command, run, sink).await?;
        if !finished.success() {
            if finished.found_no_builder() {
                return Err(NixError::NoBuilder { message: finished.message_of_all() });
            }
            let (derivation, log) = finished.failed_build();
            return Err(NixError::BuildFailed { derivation, log, message: finished.message() });
        }
        match gc_root {
            // With a root, links are printed instead of what they point at.
            Some(_) => linked(&finished.stdout),
            None => finished.store_paths(),
        }
    }

    /// The output of a derivation that was built before, rooted. A daemon that is kept says so in a fraction of the time that the
    /// command takes to start. Whatever is otherwise is left to the command: it builds, or says what is wrong.
    async fn built_before(
        &self,
        drv: &StorePath,
        gc_root: Option<&Path>,
        run: &Run,
    ) -> Result<Option<StorePath>, NixError> {
        let bounds = Run { cancel: run.cancel.clone(), timeout: run.timeout.min(LOOK) };
        let look = async {
            let mut here = self.here().await?;
            let path = built_and_rooted(&mut here.peer.worker, drv, gc_root).await;
            here.done(path).await
        };
        match bounds.bound(look).await {
            Err(NixError::Cancelled) => Err(NixError::Cancelled),
            Err(error) => {
                tracing::debug!(%drv, %error, "the command is asked whether it is built already");
                Ok(None)
            }
            looked => looked,
        }
    }
}

async fn built_and_rooted(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    drv: &StorePath,
    gc_root: Option<&Path>,
) -> Result<Option<StorePath>, WorkerError> {
    let mut outputs = here.outputs(drv).await?.into_values();
    let (Some(Some(path)), None) = (outputs.next(), outputs.next()) else { return Ok(None) };
    if !held(here, &path).await? {
        return Ok(None);
    }
    if let Some(link) = gc_root {
        root(here, &path, link).await?;
    }
    Ok(Some(path))
}

fn unexpected(problem: String) -> NixError {
    NixError::UnexpectedOutput { command: "nix-store --realise", problem }
}

/// What the links point at that stand one a line.
fn linked(links: &str) -> Result<Vec<StorePath>, NixError> {
    let target = |link: &str| {
        let target = std::fs::read_link(link).map_err(|error| unexpected(format!("{link}: {error}")))?;
        Ok(target.to_string_lossy().parse::<StorePath>()?)
    };
    links.lines().filter(|line| !line.is_empty()).map(target).collect()
}
