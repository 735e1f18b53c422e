//! Sending a path again that another store calls valid and holds damaged.
//!
//! A copy passes over whatever the other store's database calls valid, and Nix deletes nothing that others refer to. What
//! replaces a path in its place is the operation `AddToStoreNar` of Nix's worker protocol with its flag `repair`, which
//! none of Nix's own commands sets. The other store itself compares the hash of what comes with what was announced, takes its
//! own locks, and looks after hard links and read-only mounts.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::copy::{Destination, refused, send_content};
use crate::error::NixError;
use crate::nix::{Nix, Run};
use crate::store_path::StorePath;
use crate::worker::info::Info;
use crate::worker::{Failed, Worker};

impl Nix {
    /// Sends paths that this store holds once more, in place of whatever the other store has there. What they refer to must
    /// be valid there. Paths are sent in their order.
    ///
    /// # Errors
    /// [`NixError::CopyFailed`] with what the other store, or `ssh`, said; [`NixError::CommandFailed`] where a path is not
    /// in this store, or damaged here as well.
    pub async fn send_again(
        &self,
        paths: &[StorePath],
        to: Destination<'_>,
        run: &Run,
    ) -> Result<(), NixError> {
        if paths.is_empty() {
            return Ok(());
        }
        self.must_be_whole(paths, run).await?;
        run.bound(self.replace(paths, to)).await
    }

    async fn replace(&self, paths: &[StorePath], to: Destination<'_>) -> Result<(), NixError> {
        let mut here = self.here().await?;
        let infos = match here.peer.worker.infos(paths).await {
            Ok(infos) => infos,
            Err(error) => return here.done(Err(error)).await,
        };
        let mut there = self.there(to).await?;
        for info in infos {
            match replace(&mut here.peer.worker, &mut there.worker, &info).await {
                Ok(()) => {}
                Err(Failed::Here(error)) => return here.done(Err(error)).await,
                Err(Failed::There(error)) => return Err(refused(there.explained(error).await)),
            }
        }
        here.done(Ok(())).await
    }

    /// The other store has removed what it had by the time it finds out that something else came.
    async fn must_be_whole(&self, paths: &[StorePath], run: &Run) -> Result<(), NixError> {
        let mut whole = self.nix_store(&["--verify-path"]);
        whole.args(paths.iter().map(StorePath::as_str));
        let finished = self.run(whole, run, |_| {}).await?;
        if finished.success() {
            return Ok(());
        }
        let command = "nix-store --verify-path";
        Err(NixError::CommandFailed { command, message: finished.message_of_all() })
    }
}

/// Puts a path in place of what the other store has there.
async fn replace(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    there: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    info: &Info,
) -> Result<(), Failed> {
    let (mut frames, answer) = there.replace(info).await?;
    let sending = async {
        send_content(here, info, &mut frames, |_| {}).await?;
        frames.end().await.map_err(Failed::There)
    };
    answer.to(sending).await
}
