//! Flake to derivation. What was deployed last needs no evaluation: a revision names its platform, so the same
//! revision is the same system.

use berth_domain::OperationKind;

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::{Evaluated, Sink};

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if let Some(system) = deployed_before(context).await? {
        context.unchanged = true;
        context.evaluated = Some(Evaluated { derivation: String::new(), system });
        return Ok(Outcome::AlreadyThere("this revision was deployed before".into()));
    }
    if let Some(evaluated) = context.evaluated_ahead().await {
        let how = if context.rollout.is_some() { "with others of its rollout" } else { "ahead" };
        let message = format!("system {}, evaluated {how}", evaluated.system);
        context.evaluated = Some(evaluated);
        return Ok(Outcome::Done(message));
    }
    let bounds = context.bounds(context.shared.options.timeouts.evaluate);
    let evaluated = context
        .shared
        .builder
        .evaluate(context.operation, &context.files, &context.machine, &bounds, sink)
        .await?;
    let message = format!("system {}", evaluated.system);
    context.evaluated = Some(evaluated);
    Ok(Outcome::Done(message))
}

impl Context {
    /// What evaluating this very revision together with others came to, if its derivation is still here.
    async fn evaluated_ahead(&self) -> Option<Evaluated> {
        let evaluated = self.shared.fleet.evaluated(self.revision.as_ref()?)?;
        self.shared.builder.has(&evaluated.derivation).await.then_some(evaluated)
    }
}

/// The system of the tenant's committed deployment, if that was of this very revision and is still here.
async fn deployed_before(context: &Context) -> Result<Option<String>, StepError> {
    // Nor is what a drill brings the tenant's own.
    if matches!(context.kind, OperationKind::Destroy | OperationKind::Drill) {
        return Ok(None);
    }
    let tenant = context.shared.records.tenant(&context.tenant).await?;
    let Some(system) = tenant.deployed_system.filter(|_| tenant.deployed_revision == context.revision) else {
        return Ok(None);
    };
    Ok(context.shared.builder.has(&system).await.then_some(system))
}
