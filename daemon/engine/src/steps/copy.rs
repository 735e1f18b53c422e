//! Store paths to the machine.

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    let facts = context.facts(sink).await?;
    let there =
        [&facts.running_system, &facts.committed_system].into_iter().flatten().any(|path| *path == system);
    if there {
        return Ok(Outcome::AlreadyThere("the machine has it".into()));
    }
    context.deployer().await?.copy(context, &system, sink).await?;
    Ok(Outcome::Done("copied".into()))
}
