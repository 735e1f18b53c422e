//! Store paths to the machine.

use berth_domain::OperationKind;
use berth_domain::preview::PreviewPart;

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    match bring(context, sink).await {
        Err(error) => context.without(PreviewPart::Machine, error),
        brought => brought,
    }
}

async fn bring(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    let facts = context.facts(sink).await?;
    let there =
        [&facts.running_system, &facts.committed_system].into_iter().flatten().any(|path| *path == system);
    if there {
        return Ok(Outcome::AlreadyThere("the machine has it".into()));
    }
    match context.kind {
        // No driver's own way: nothing is to be switched.
        OperationKind::Preview => context.copy_by_nix(&system, sink).await?,
        _ => context.deployer().await?.copy(context, &system, sink).await?,
    }
    Ok(Outcome::Done("copied".into()))
}
