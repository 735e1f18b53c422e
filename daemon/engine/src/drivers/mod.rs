//! Drivers: what differs between the ways in which a system gets onto its machine.
//!
//! The steps of a deployment are the same for all of them, and so is what the steps promise: the switch is for now,
//! health decides, and only a commit makes it last. A driver says how the machine is switched and how the commit is
//! made; rendering, evaluating, building, the health gate and the way back are not its business.
//!
//! | module | subject |
//! | --- | --- |
//! | [`berth`] | the agent on the machine does it |
//! | [`nixos_rebuild`] | the command `nixos-rebuild` on the daemon's host does it |
//! | [`nixops4`] | `nixops4 apply` has the running operation do it |

mod berth;
mod nixops4;
mod nixos_rebuild;

use async_trait::async_trait;
use berth_domain::revision::Files;
use berth_domain::{Driver, OperationKind};
use berth_protocol::{Activation, Answer, Request};

use crate::error::{OTHER_SYSTEM, StepError};
use crate::ports::Sink;
use crate::steps::{Context, FOR_THE_ANSWER, unexpected};

/// How a system gets onto its machine. Everything may be asked twice: a successor repeats what its predecessor began.
#[async_trait]
pub(crate) trait Deployer: Send + Sync {
    /// Whether it can work here; asked before anything is changed.
    async fn check(&self, context: &mut Context) -> Result<(), StepError>;

    /// Brings a system and all that it needs to the machine, which does not have it.
    async fn copy(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<(), StepError> {
        context.copy_by_nix(system, sink).await
    }

    /// Has the machine switch for now, or follows the switch that this operation began before, until it is over.
    async fn switch(&self, context: &mut Context, system: &str, sink: &Sink)
    -> Result<Activation, StepError>;

    /// Waits for the end of a switch that goes on although nobody waited for it. When this succeeds, the machine can
    /// be switched again.
    async fn see_the_end(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<(), StepError>;

    /// Makes the system that runs the one that boots: the profile, then the boot entry.
    async fn commit(&self, context: &mut Context, system: &str, sink: &Sink) -> Result<Committed, StepError>;
}

/// What a commit came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The profile's generation that now points at the system.
    pub(crate) generation: u64,
    /// Whether anything had to be written.
    pub(crate) changed: bool,
}

/// The implementation of a driver.
pub(crate) fn of(driver: Driver) -> &'static dyn Deployer {
    match driver {
        Driver::Berth => &berth::Berth,
        Driver::NixosRebuild => &nixos_rebuild::NixosRebuild,
        Driver::Nixops4 => &nixops4::Nixops4,
    }
}

/// Waits until nothing switches the machine any more, whoever began it.
pub(crate) async fn quiet(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    let timeout = context.shared.options.timeouts.activate;
    let request = Request::AwaitQuiet { timeout_seconds: timeout.as_secs() };
    match context.call(request, timeout + FOR_THE_ANSWER, sink).await? {
        Answer::Quiet => Ok(()),
        _ => Err(unexpected("the machine's quiet")),
    }
}

/// The operation's rendered configuration; a successor finds that of a deployment in the database, and renders that of a
/// destroy anew.
async fn files(context: &mut Context) -> Result<Files, StepError> {
    if !context.files.is_empty() {
        return Ok(context.files.clone());
    }
    let missing = || StepError::failed("internal", "the operation has no revision");
    let revision = context.revision.clone().ok_or_else(missing)?;
    let files = match context.kind {
        OperationKind::Deploy
        | OperationKind::Rollback
        | OperationKind::Migrate
        | OperationKind::Import
        | OperationKind::TryOut
        | OperationKind::TakeIn => context.shared.records.revision(&context.tenant, &revision).await?.files,
        OperationKind::Destroy => {
            let platform = context.tenants_platform().await?;
            let rendered = context.shared.render(&platform, &context.machine, None).await?;
            if rendered.id != revision {
                let message = "the platform has changed since this operation began; begin it again";
                return Err(StepError::retryable(OTHER_SYSTEM, message));
            }
            rendered.files
        }
        OperationKind::Preview
        | OperationKind::Reboot
        | OperationKind::Snapshot
        | OperationKind::Prune
        | OperationKind::Restore
        | OperationKind::Drill
        | OperationKind::Rehearse
        | OperationKind::Export => {
            return Err(StepError::failed("internal", "this operation switches nothing"));
        }
    };
    context.files = files.clone();
    Ok(files)
}
