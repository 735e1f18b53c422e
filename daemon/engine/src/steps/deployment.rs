//! A deployment within another operation: the tenant in another mode, by the steps of every deployment.

use berth_domain::{Mode, TenantSpec};
use berth_render::Rendered;
use uuid::Uuid;

use super::{Context, Outcome, activate, build, commit, copy, evaluate, verify};
use crate::error::StepError;
use crate::ports::{Report, Sink};

/// What is looked at between the proof that the system serves and the commit.
pub(super) enum Gate {
    /// Nothing.
    Open,
    /// Not even that: what served before is to serve again, and not to be put back once more.
    AsItWas,
    /// The services that a final pass stopped have not served since.
    StillQuiet,
}

impl Context {
    /// Brings the tenant's machine into a mode, and writes down that the tenant has it. Safe to be done again by a successor.
    pub(super) async fn deploy_in(&mut self, mode: &Mode, gate: Gate, sink: &Sink) -> Result<(), StepError> {
        self.bring(mode, sink).await?;
        self.settle_in(mode, gate, sink).await
    }

    /// Switches the machine to what was brought there, and writes down that the tenant has this mode.
    pub(super) async fn settle_in(&mut self, mode: &Mode, gate: Gate, sink: &Sink) -> Result<(), StepError> {
        let tell = |outcome| told(outcome, sink);
        tell(activate::run(self, sink).await?);
        if self.needs_reboot {
            let message = "only a reboot of the machine would take it over, and that is not done in the middle of a migration";
            return Err(StepError::failed("needs-reboot", message));
        }
        match gate {
            Gate::AsItWas => {}
            Gate::Open => tell(verify::run(self, sink).await?),
            Gate::StillQuiet => {
                tell(verify::run(self, sink).await?);
                self.are_still_quiet(sink).await?;
            }
        }
        tell(commit::run(self, sink).await?);
        let (hold, now) = (self.hold(), self.shared.clock.now());
        self.shared.records.set_tenant_mode(hold, &self.tenant, mode, now).await?;
        Ok(())
    }

    /// Has on the machine what it would be in a mode, so that little of a deployment is left for the time in which the services
    /// stand still; what cannot be built is known before. What the operation works on stays what is deployed.
    pub(super) async fn bring_ahead(&mut self, mode: &Mode, sink: &Sink) -> Result<(), StepError> {
        let brought = self.bring(mode, sink).await;
        // Nothing was switched.
        self.switching_as = None;
        brought?;
        let evaluated = self.revision.clone().zip(self.evaluated.clone());
        self.shared.fleet.remember(evaluated.filter(|(_, evaluated)| !evaluated.derivation.is_empty()));
        self.take_what_is_deployed().await
    }

    /// Renders, evaluates, builds and copies.
    pub(super) async fn bring(&mut self, mode: &Mode, sink: &Sink) -> Result<(), StepError> {
        self.render_in(mode).await?;
        told(evaluate::run(self, sink).await?, sink);
        told(build::run(self, sink).await?, sink);
        told(copy::run(self, sink).await?, sink);
        Ok(())
    }

    async fn render_in(&mut self, mode: &Mode) -> Result<(), StepError> {
        self.deployer().await?.check(self).await?;
        let spec = TenantSpec { mode: mode.clone(), ..self.shared.records.tenant(&self.tenant).await?.spec };
        let platform = self.tenants_platform().await?;
        let rendered = self.shared.render(&platform, &self.machine, Some(&spec)).await?;
        self.begin_another(&rendered);
        self.keep_rendered(rendered, spec).await
    }

    /// Forgets what belongs to another deployment of the same operation. A runner that takes the operation over begins one
    /// of its own: the machine lets the newest go before the others.
    pub(super) fn begin_another(&mut self, rendered: &Rendered) {
        let name = format!("{} by {}, {}", rendered.id, self.hold().fence, self.tries);
        self.switching_as = Some(Uuid::new_v5(&self.operation, name.as_bytes()));
        self.hope = None;
        self.files = rendered.files.clone();
        self.revision = Some(rendered.id.clone());
        (self.evaluated, self.facts, self.switching) = (None, None, None);
        (self.unchanged, self.switched_here) = (false, false);
        (self.needs_reboot, self.may_run_another) = (false, false);
    }

    /// A predecessor may have committed the very system: then it looked before it did.
    async fn are_still_quiet(&mut self, sink: &Sink) -> Result<(), StepError> {
        let system = self.system()?;
        if self.facts(sink).await?.committed_system == Some(system) {
            return Ok(());
        }
        self.keep_quiet(sink).await
    }
}

/// What was done is told as a line: the step that it belongs to is another one.
fn told(outcome: Outcome, sink: &Sink) {
    if let Outcome::Done(what) = outcome {
        sink(Report::Line(what));
    }
}
