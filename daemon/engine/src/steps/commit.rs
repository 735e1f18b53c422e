//! The new system becomes the one that boots, and the record says so.

use berth_domain::OperationKind;
use berth_protocol::{Answer, Request};

use super::context::unexpected;
use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::{Report, Sink};

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    context.pass_the_point_of_no_return()?;
    if context.resumed {
        still_runs_it(context, sink).await?;
    }
    let Answer::Committed { generation, changed } = ask(context, &system, sink).await? else {
        return Err(unexpected("the commit"));
    };
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

/// Asked even where the profile points at the system already: the agent also looks after the boot entry, and writes
/// nothing where nothing is to be written. Asked twice where the answer was lost, as the commit may have taken place.
async fn ask(context: &mut Context, system: &str, sink: &Sink) -> Result<Answer, StepError> {
    // Boot loaders write to slow places; the agent gives them ten minutes.
    let timeout = context.shared.options.timeouts.activate;
    let request = Request::Commit { system: system.to_owned() };
    match context.call(request.clone(), timeout, sink).await {
        Err(StepError::Failed(failure)) if StepError::Failed(failure.clone()).leaves_it_open() => {
            sink(Report::Line(format!("the commit's answer was lost ({}); asking again", failure.message)));
            context.call(request, timeout, sink).await
        }
        answer => answer,
    }
}
