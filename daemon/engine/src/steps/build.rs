//! Derivation to store paths.

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if context.unchanged {
        return Ok(Outcome::AlreadyThere("built before".into()));
    }
    let derivation =
        context.evaluated.as_ref().map(|evaluated| evaluated.derivation.clone()).unwrap_or_default();
    let bounds = context.bounds(context.shared.options.timeouts.build);
    context.shared.builder.build(context.keep(), &derivation, &bounds, sink).await?;
    Ok(Outcome::Done("built".into()))
}
