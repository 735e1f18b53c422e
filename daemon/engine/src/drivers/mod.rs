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

mod berth;
mod nixos_rebuild;

use async_trait::async_trait;
use berth_domain::Driver;
use berth_protocol::Activation;

use crate::error::{DRIVER_MISSING, StepError};
use crate::ports::Sink;
use crate::steps::Context;

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
pub(crate) fn of(driver: Driver) -> Result<&'static dyn Deployer, StepError> {
    match driver {
        Driver::Berth => Ok(&berth::Berth),
        Driver::NixosRebuild => Ok(&nixos_rebuild::NixosRebuild),
        Driver::Nixops4 => {
            let message = format!("this daemon cannot deploy with the driver {driver}");
            Err(StepError::failed(DRIVER_MISSING, message))
        }
    }
}
