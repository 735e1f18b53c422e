//! Links that keep paths from being collected as garbage.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::error::NixError;
use crate::nix::{Nix, QUICK, Run};
use crate::store_path::StorePath;
use crate::worker::{Worker, WorkerError};

impl Nix {
    /// Keeps a path that the store holds from being collected as garbage while the symbolic link `gc_root` stands,
    /// which is made or replaced.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] when the store does not hold it, or something else than a link stands there;
    /// [`NixError::BadArgument`] for a relative path.
    pub async fn keep(&self, path: &StorePath, gc_root: &Path) -> Result<(), NixError> {
        must_be_absolute(gc_root)?;
        let keep = async {
            let mut here = self.here().await?;
            let kept = match held(&mut here.peer.worker, path).await {
                Ok(true) => root(&mut here.peer.worker, path, gc_root).await,
                Ok(false) => Err(WorkerError::NotValid(path.clone())),
                Err(error) => Err(error),
            };
            here.done(kept).await
        };
        Run::within(QUICK).bound(keep).await
    }
}

/// Whether a link may be made there: one of a relative path would be made in one folder and looked for in another.
pub(crate) fn must_be_absolute(gc_root: &Path) -> Result<(), NixError> {
    if gc_root.is_absolute() {
        return Ok(());
    }
    let rule = "must be an absolute path".to_owned();
    Err(NixError::BadArgument { argument: "the garbage collector root", rule })
}

/// Whether the store has a path; if so, it stays as long as the daemon that was asked runs.
pub(crate) async fn held(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    path: &StorePath,
) -> Result<bool, WorkerError> {
    here.hold(std::slice::from_ref(path)).await?;
    here.has(path).await
}

/// Keeps a path that is held for as long as the link stands.
pub(crate) async fn root(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    path: &StorePath,
    link: &Path,
) -> Result<(), WorkerError> {
    let refused =
        |error| WorkerError::Refused(format!("the link {} cannot be made: {error}", link.display()));
    point(link, path).map_err(refused)?;
    here.root(link).await
}

/// Has a link point at a path, in one step where it pointed elsewhere.
fn point(link: &Path, path: &StorePath) -> io::Result<()> {
    if link.symlink_metadata().is_ok_and(|there| !there.is_symlink()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else stands there"));
    }
    let folder = link.parent().unwrap_or(Path::new("/"));
    let make = |new: &Path| std::os::unix::fs::symlink(path.as_str(), new);
    let new = tempfile::Builder::new().prefix(".root-").make_in(folder, make)?;
    new.persist(link).map(drop).map_err(|error| error.error)
}
