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

/// The system of the tenant's committed deployment, if that was of this very revision and is still here.
async fn deployed_before(context: &Context) -> Result<Option<String>, StepError> {
    if context.kind == OperationKind::Destroy {
        return Ok(None);
    }
    let tenant = context.shared.store.tenant(&context.tenant).await?;
    let Some(system) = tenant.deployed_system.filter(|_| tenant.deployed_revision == context.revision) else {
        return Ok(None);
    };
    Ok(context.shared.builder.has(&system).await.then_some(system))
}
