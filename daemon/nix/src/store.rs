//! Questions about the store, and putting files into it.

use std::path::Path;

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, QUICK, Run};
use crate::store_path::StorePath;
use crate::worker::info::Info;

/// What the store knows of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// Its own size as an archive, in bytes.
    pub nar_bytes: u64,
    /// The size of it and of all that it refers to, in bytes.
    pub closure_bytes: u64,
    /// What it refers to directly.
    pub references: Vec<StorePath>,
}

impl Nix {
    /// Puts a file or folder into the store as `HASH-NAME` and returns its path. The same content under the same name
    /// gives the same path.
    ///
    /// # Errors
    /// [`NixError::BadArgument`] for a name that no store path can have; [`NixError::CommandFailed`] when the files
    /// cannot be read or the store not be written.
    pub async fn add_tree(
        &self,
        path: &Path,
        name: &str,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<StorePath, NixError> {
        const COMMAND: &str = "nix store add-path";
        let name_is_good = format!("/nix/store/{}-{name}", "0".repeat(32)).parse::<StorePath>().is_ok();
        if !name_is_good || name.starts_with(['-', '.']) {
            let rule = "must be made of letters, digits and + - . _ ? =".to_owned();
            return Err(NixError::BadArgument { argument: "the name in the store", rule });
        }
        if !path.is_absolute() {
            let rule = "must be an absolute path".to_owned();
            return Err(NixError::BadArgument { argument: "the path to add", rule });
        }
        let mut command = self.nix(&["store", "add-path"]);
        command.args(["--name", name, "--"]).arg(path);
        let finished = self.run(command, run, sink).await?;
        if !finished.success() {
            return Err(NixError::CommandFailed { command: COMMAND, message: finished.message() });
        }
        match finished.store_paths()?.pop() {
            Some(path) => Ok(path),
            None => Err(NixError::UnexpectedOutput { command: COMMAND, problem: "no path".to_owned() }),
        }
    }

    /// Whether the store holds a path, complete.
    ///
    /// # Errors
    /// Only when the question could not be asked.
    pub async fn is_valid(&self, path: &StorePath) -> Result<bool, NixError> {
        let ask = async {
            let mut here = self.here().await?;
            let valid = here.peer.worker.has(path).await;
            here.done(valid).await
        };
        Run::within(QUICK).bound(ask).await
    }

    /// Sizes and references of a path that the store holds.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] when it does not hold it.
    pub async fn path_info(&self, path: &StorePath) -> Result<PathInfo, NixError> {
        let closure = self.closure(std::slice::from_ref(path), &Run::within(QUICK)).await?;
        let closure_bytes = closure.iter().map(|info| info.nar_bytes).sum();
        let own = closure.into_iter().find(|info| info.path == *path);
        let own = own.ok_or_else(|| NixError::UnexpectedOutput {
            command: "nix-daemon",
            problem: format!("nothing about {path}"),
        })?;
        Ok(PathInfo { nar_bytes: own.nar_bytes, closure_bytes, references: own.references })
    }

    /// What the store knows of some paths and of all that they refer to; what others refer to comes before them.
    pub(crate) async fn closure(&self, paths: &[StorePath], run: &Run) -> Result<Vec<Info>, NixError> {
        run.bound(async {
            let mut here = self.here().await?;
            let closure = here.peer.worker.closure(paths).await;
            here.done(closure).await
        })
        .await
    }
}
