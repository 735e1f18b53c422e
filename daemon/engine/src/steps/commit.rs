//! The new system becomes the one that boots, and the record says so.

use berth_domain::OperationKind;

use super::{Context, Outcome};
use crate::drivers::Committed;
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    context.pass_the_point_of_no_return()?;
    if context.resumed {
        still_runs_it(context, sink).await?;
    }
    let deployer = context.deployer().await?;
    let Committed { generation, changed } = deployer.commit(context, &system, sink).await?;
    // From here on there is nothing to put back.
    context.switched = false;
    if let (OperationKind::Deploy, Some(revision)) = (context.kind, &context.revision) {
        context.shared.store.set_tenant_deployed(&context.tenant, revision, &system).await?;
    }
    if changed {
        // What was found out before is not true any more, and the API shows it. The commit is done whether or not the
        // machine tells.
        context.facts = None;
        let _ = context.facts(sink).await;
    }
    let message = format!("generation {generation}");
    Ok(if changed { Outcome::Done(message) } else { Outcome::AlreadyThere(message) })
}

/// A predecessor may have put the machine back without having written so.
async fn still_runs_it(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    context.facts = None;
    if context.runs_the_system(sink).await? {
        return Ok(());
    }
    let message = "the machine does not run the system any more that was to be committed";
    Err(StepError::transient("activation-failed", message))
}
