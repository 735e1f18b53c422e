//! The new system becomes the one that boots, and the record says so.

use berth_domain::OperationKind;
use berth_protocol::{Answer, Request};

use super::context::unexpected;
use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let system = context.system()?;
    // Asked even where the profile points at the system already: the agent also looks after the boot entry, and
    // writes nothing where nothing is to be written.
    let timeout = context.shared.options.timeouts.brief;
    let answer = context.call(Request::Commit { system: system.clone() }, timeout, sink).await?;
    let Answer::Committed { generation, changed } = answer else { return Err(unexpected("the commit")) };
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
