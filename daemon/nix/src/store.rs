//! Questions about the store, and putting files into it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, QUICK, Run};
use crate::process::Finished;
use crate::store_path::StorePath;

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

pub(crate) const PATH_INFO: &str = "nix path-info";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInfo {
    nar_size: u64,
    closure_size: u64,
    references: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSize {
    nar_size: u64,
}

/// `nix path-info --json`: a list before Nix 2.19, an object by path since.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum RawInfos<T> {
    List(Vec<WithPath<T>>),
    ByPath(BTreeMap<String, T>),
}

#[derive(Deserialize)]
pub(crate) struct WithPath<T> {
    path: String,
    #[serde(flatten)]
    info: T,
}

impl<T: 'static> RawInfos<T> {
    pub(crate) fn by_path(self) -> Box<dyn Iterator<Item = (String, T)>> {
        match self {
            Self::List(list) => Box::new(list.into_iter().map(|entry| (entry.path, entry.info))),
            Self::ByPath(by_path) => Box::new(by_path.into_iter()),
        }
    }
}

pub(crate) fn parsed<T: for<'de> Deserialize<'de>>(finished: &Finished) -> Result<RawInfos<T>, NixError> {
    serde_json::from_str(&finished.stdout).map_err(|error| unexpected(error.to_string()))
}

fn unexpected(problem: String) -> NixError {
    NixError::UnexpectedOutput { command: PATH_INFO, problem }
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

    /// Keeps a path that the store holds from being collected as garbage while the symbolic link `gc_root` stands,
    /// which is made or replaced.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] when the store does not hold it.
    pub async fn keep(&self, path: &StorePath, gc_root: &Path) -> Result<(), NixError> {
        let mut command = self.nix_store(&["--realise", path.as_str()]);
        command.arg("--add-root").arg(gc_root).arg("--indirect");
        self.ask(command, "nix-store --realise").await.map(drop)
    }

    /// Whether the store holds a path, complete.
    ///
    /// # Errors
    /// Only when the question could not be asked.
    pub async fn is_valid(&self, path: &StorePath) -> Result<bool, NixError> {
        // Prints those of the given paths that are not valid.
        let command = self.nix_store(&["--check-validity", "--print-invalid", path.as_str()]);
        let finished = self.ask(command, "nix-store --check-validity").await?;
        Ok(finished.stdout.trim().is_empty())
    }

    /// Sizes and references of a path that the store holds.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] when it does not hold it.
    pub async fn path_info(&self, path: &StorePath) -> Result<PathInfo, NixError> {
        let mut command = self.nix(&["path-info"]);
        command.args(["--json", "--closure-size", "--", path.as_str()]);
        let infos: RawInfos<RawInfo> = parsed(&self.ask(command, PATH_INFO).await?)?;
        let raw = infos.by_path().find(|(found, _)| found == path.as_str()).map(|(_, raw)| raw);
        let raw = raw.ok_or_else(|| unexpected(format!("nothing about {path}")))?;
        Ok(PathInfo {
            nar_bytes: raw.nar_size,
            closure_bytes: raw.closure_size,
            references: raw.references.iter().map(|path| path.parse()).collect::<Result<_, _>>()?,
        })
    }

    /// The size as an archive, in bytes, of each of some paths and of all that they refer to.
    pub(crate) async fn closure_sizes(
        &self,
        paths: &[StorePath],
        run: &Run,
    ) -> Result<HashMap<String, u64>, NixError> {
        let mut command = self.nix(&["path-info"]);
        command.args(["--json", "--recursive", "--"]).args(paths.iter().map(StorePath::as_str));
        let finished = self.run(command, run, |_| {}).await?;
        if !finished.success() {
            return Err(NixError::CommandFailed { command: PATH_INFO, message: finished.message() });
        }
        let infos: RawInfos<RawSize> = parsed(&finished)?;
        Ok(infos.by_path().map(|(path, size)| (path, size.nar_size)).collect())
    }

    /// Runs a quick question to its end, which must be a success.
    pub(crate) async fn ask(&self, command: Command, name: &'static str) -> Result<Finished, NixError> {
        let finished = self.run(command, &Run::within(QUICK), |_| {}).await?;
        if finished.success() {
            return Ok(finished);
        }
        Err(NixError::CommandFailed { command: name, message: finished.message() })
    }
}
