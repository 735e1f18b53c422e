//! Evaluating, building and copying with `nix`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use berth_domain::manifest::{MANIFEST_PATH, Manifest};
use berth_domain::preview::ClosureChange;
use berth_domain::revision::Files;
use berth_domain::{MachineName, OperationId};
use berth_nix::{Applied, Destination, Evaluation, Level, Nix, NixError, Run, Update};
use berth_protocol::nixops4::SOCKET;
use berth_render::{PlatformPin, Rendered};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::folder::Folder;
use super::platform::{self, PlatformSource, Roots, store_path};
use crate::error::{DRIVER_MISSING, StepError};
use crate::ports::{
    Bounds, Builder, Evaluated, FarStore, Keep, Login, MachineSession, Platform, Rebuild, RebuildEnding,
    Report, Sink,
};

/// The builder that calls `nix`.
pub struct NixBuilder {
    pub(super) nix: Nix,
    source: PlatformSource,
    platform: OnceCell<Platform>,
    /// Flakes that are being evaluated, a folder each, named after the operation.
    pub(super) flakes: PathBuf,
    /// Where `nixos-rebuild` runs, likewise.
    pub(super) workplaces: PathBuf,
    roots: Roots,
}

impl NixBuilder {
    /// A builder that keeps its files below `folder`, which is absolute. Starts nothing.
    pub fn new(nix: Nix, source: PlatformSource, folder: &Path) -> Self {
        Self {
            nix,
            source,
            platform: OnceCell::new(),
            flakes: folder.join("flakes"),
            workplaces: folder.join("rebuild"),
            roots: Roots(folder.join("roots")),
        }
    }
}

#[async_trait]
impl Builder for NixBuilder {
    async fn platform(&self, bounds: &Bounds) -> Result<Platform, StepError> {
        let run = run(bounds);
        let prepare = || self.source.prepare(&self.nix, &run, &self.roots);
        // Where the preparation fails or is cancelled, the next operation tries again.
        Ok(self.platform.get_or_try_init(prepare).await?.clone())
    }

    async fn keep_platform(&self, pin: &str, bounds: &Bounds) -> Result<(), StepError> {
        platform::keep(&self.nix, pin, &run(bounds), &self.roots).await
    }

    async fn pin_platform(&self, reference: &str, bounds: &Bounds) -> Result<String, StepError> {
        platform::pin(&self.nix, reference, &run(bounds), &self.roots).await
    }

    async fn release_platforms(&self, used: &[String]) {
        platform::release_others(used, &self.roots);
    }

    async fn evaluate_batch(
        &self,
        batch: Uuid,
        members: &BTreeMap<String, Rendered>,
        platform: &PlatformPin,
        bounds: &Bounds,
    ) -> Result<BTreeMap<String, Evaluated>, StepError> {
        let files = berth_render::batch(members, platform);
        let flake = Folder::with(self.flakes.join(batch.to_string()), &files)?;
        let found = self.nix.evaluate_batch(flake.path(), &run(bounds), |_| {}).await?;
        let evaluated = |(name, evaluation): (String, Evaluation)| {
            (
                name,
                Evaluated { derivation: evaluation.drv.to_string(), system: evaluation.system.to_string() },
            )
        };
        Ok(found.into_iter().map(evaluated).collect())
    }

    fn evaluators(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    async fn evaluate(
        &self,
        operation: OperationId,
        files: &Files,
        machine: &MachineName,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<Evaluated, StepError> {
        let flake = Folder::with(self.flakes.join(operation.to_string()), files)?;
        let evaluation =
            self.nix.evaluate(flake.path(), machine, &run(bounds), |update| tell(sink, update)).await?;
        Ok(Evaluated { derivation: evaluation.drv.to_string(), system: evaluation.system.to_string() })
    }

    async fn build(
        &self,
        keep: Keep<'_>,
        derivation: &str,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError> {
        let root = self.roots.of(&name_of(keep))?;
        let derivation = store_path(derivation)?;
        self.nix.build(&derivation, Some(&root), &run(bounds), |update| tell(sink, update)).await?;
        Ok(())
    }

    async fn has(&self, path: &str) -> bool {
        // A path that was once built is there as long as it is valid; asking nix would take longer than the rest of a
        // deployment that changes nothing.
        match store_path(path) {
            Ok(path) => tokio::fs::try_exists(path.as_str()).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn manifest(&self, system: &str) -> Result<Manifest, StepError> {
        let path = Path::new(store_path(system)?.as_str()).join(MANIFEST_PATH);
        let unreadable = |error: &dyn std::fmt::Display| {
            StepError::failed("manifest", format!("the manifest {} cannot be read: {error}", path.display()))
        };
        let text = tokio::fs::read(&path).await.map_err(|error| unreadable(&error))?;
        serde_json::from_slice(&text).map_err(|error| unreadable(&error))
    }

    async fn compare(
        &self,
        before: Option<&str>,
        after: &str,
        bounds: &Bounds,
    ) -> Result<ClosureChange, StepError> {
        let before = before.map(store_path).transpose()?;
        Ok(self.nix.compare_closures(before.as_ref(), &store_path(after)?, &run(bounds)).await?)
    }

    async fn copy(
        &self,
        path: &str,
        to: &dyn MachineSession,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError> {
        let store = to.store();
        self.nix
            .copy(&[store_path(path)?], destination(&store), &run(bounds), |update| tell(sink, update))
            .await?;
        Ok(())
    }

    async fn send_again(
        &self,
        paths: &[String],
        to: &dyn MachineSession,
        bounds: &Bounds,
    ) -> Result<(), StepError> {
        let store = to.store();
        let paths = paths.iter().map(|path| store_path(path)).collect::<Result<Vec<_>, _>>()?;
        self.nix.send_again(&paths, destination(&store), &run(bounds)).await?;
        Ok(())
    }

    async fn release(&self, keep: Keep<'_>) {
        self.roots.release(&name_of(keep));
    }

    async fn find_nixos_rebuild(&self, bounds: &Bounds) -> Result<(), StepError> {
        self.nix.nixos_rebuild(&run(bounds)).await?;
        Ok(())
    }

    async fn nixos_rebuild(
        &self,
        rebuild: Rebuild<'_>,
        to: &Login,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<RebuildEnding, StepError> {
        self.rebuild(rebuild, to, &run(bounds), sink).await
    }

    async fn end_nixos_rebuild(&self, operation: OperationId) {
        Nix::sweep_rebuild(&operation.to_string()).await;
    }

    async fn find_nixops4(&self, bounds: &Bounds) -> Result<(), StepError> {
        self.nix.find_nixops4(&run(bounds)).await.map_err(|error| match error {
            NixError::Cancelled => StepError::Cancelled,
            error => {
                let message =
                    format!("this host cannot deploy with the driver nixops4: {}", nixops4_missing(&error));
                StepError::failed(DRIVER_MISSING, message)
            }
        })
    }

    async fn nixops4_apply(
        &self,
        files: &Files,
        socket: &Path,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<Applied, StepError> {
        // Next to the socket, as both are the operation's own.
        let flake = Folder::with(socket.with_file_name("flake"), files)?;
        let variable = (SOCKET, socket.as_os_str());
        Ok(self.nix.nixops4_apply(flake.path(), variable, &run(bounds), |update| tell(sink, update)).await?)
    }
}

/// A machine's store, for Nix.
fn destination(store: &FarStore) -> Destination<'_> {
    let FarStore { url, ssh_options, socket } = store;
    Destination { url, ssh_options: Some(ssh_options), socket: socket.as_deref() }
}

/// The name of a garbage collector root.
fn name_of(keep: Keep<'_>) -> String {
    match keep {
        Keep::Machine(machine) => format!("machine-{machine}"),
        Keep::Preview(operation) => format!("preview-{operation}"),
    }
}

fn nixops4_missing(error: &NixError) -> String {
    match error {
        NixError::NotFound { program } => format!("there is no program “{program}”"),
        other => other.to_string(),
    }
}

pub(super) fn run(bounds: &Bounds) -> Run {
    Run { cancel: bounds.cancel.clone(), timeout: bounds.timeout }
}

/// What nix tells on its way, as the operation's reports.
pub(super) fn tell(sink: &Sink, update: Update) {
    sink(match update {
        Update::Progress(progress) => Report::Progress(progress),
        Update::Line { derivation, line } => Report::Line(format!("{}: {line}", short(&derivation))),
        Update::Message { level: Level::Warning, text } => Report::Warning(text),
        Update::Message { text, .. } => Report::Line(text),
    });
}

/// A derivation's name without the folder, the hash and the ending.
fn short(derivation: &str) -> &str {
    let file = derivation.rsplit('/').next().unwrap_or(derivation);
    file.split_once('-').map_or(file, |(_, name)| name).trim_end_matches(".drv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_name_the_derivation_as_people_know_it() {
        assert_eq!(short("/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-gitea-1.22.drv"), "gitea-1.22");
        assert_eq!(short("odd"), "odd");
    }
}
