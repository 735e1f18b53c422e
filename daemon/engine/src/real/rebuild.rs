//! `nixos-rebuild` for one system and no other.
//!
//! Where it takes a store path, it is given the one that was built. Otherwise it is given the very flake that was
//! evaluated, and has to come to the same system here before it may do anything to a machine with it.

use std::path::Path;

use berth_domain::revision::Files;
use berth_nix::rebuild::{Action, Ending, Job, Source, Target};
use berth_nix::{Nix, NixosRebuild, Run, StorePath};

use super::NixBuilder;
use super::builder::tell;
use super::folder::Folder;
use super::platform::store_path;
use crate::error::{OTHER_SYSTEM, REBUILD_FAILED, StepError};
use crate::ports::{Login, Rebuild, Sink};

/// The link to what was built that `nixos-rebuild build` leaves in its folder.
const RESULT: &str = "result";

impl NixBuilder {
    pub(super) async fn rebuild(
        &self,
        rebuild: Rebuild<'_>,
        to: &Login,
        run: &Run,
        sink: &Sink,
    ) -> Result<Ending, StepError> {
        let mark = rebuild.operation.to_string();
        Nix::sweep_rebuild(&mark).await;
        let program = self.nix.nixos_rebuild(run).await?;
        let system = store_path(rebuild.system)?;
        let folder = Folder::with(self.workplaces.join(&mark), &Files::new())?;
        let target = Target { destination: &to.destination, ssh_options: &to.ssh_options, sudo: !to.root };
        let job = |source, action, target| Job { action, source, target, folder: folder.path(), mark: &mark };
        if program.flavour().takes_store_paths() {
            let job = job(Source::System(&system), rebuild.action, Some(target));
            return Ok(program.run(&job, run, |update| tell(sink, update)).await?);
        }
        let flake = Folder::with(self.flakes.join(&mark), rebuild.files)?;
        let source = Source::flake(flake.path(), rebuild.machine)?;
        comes_to(&program, &job(source.clone(), Action::Build, None), &system, run, sink).await?;
        let job = job(source, rebuild.action, Some(target));
        Ok(program.run(&job, run, |update| tell(sink, update)).await?)
    }
}

/// Whether the flake is that system to this `nixos-rebuild` too.
async fn comes_to(
    program: &NixosRebuild,
    job: &Job<'_>,
    system: &StorePath,
    run: &Run,
    sink: &Sink,
) -> Result<(), StepError> {
    match program.run(job, run, |update| tell(sink, update)).await? {
        Ending::Done => {}
        Ending::Failed { message, .. } | Ending::Open { message } => {
            return Err(StepError::failed(REBUILD_FAILED, format!("nixos-rebuild build failed: {message}")));
        }
        other => {
            let message = format!("nixos-rebuild build ended as if it had switched something: {other:?}");
            return Err(StepError::failed(REBUILD_FAILED, message));
        }
    }
    let built = tokio::fs::read_link(job.folder.join(RESULT)).await;
    match built {
        Ok(built) if built == Path::new(system.as_str()) => Ok(()),
        Ok(built) => Err(StepError::failed(
            OTHER_SYSTEM,
            format!("nixos-rebuild comes to {} where {system} was evaluated and built", built.display()),
        )),
        Err(error) => {
            let message =
                format!("nixos-rebuild does not say what it built: its link cannot be read: {error}");
            Err(StepError::failed(REBUILD_FAILED, message))
        }
    }
}
