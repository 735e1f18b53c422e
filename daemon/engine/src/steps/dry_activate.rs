//! The machine tells what a switch would do. The last step of a preview, which keeps what was found.

use berth_domain::preview::{MachineChange, PreviewPart};
use berth_protocol::{Answer, Request};

use super::context::unexpected;
use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let outcome = match ask_unless_away(context, sink).await {
        Ok(outcome) => outcome,
        Err(error) => context.without(PreviewPart::Machine, error)?,
    };
    let preview = context.preview()?;
    context.shared.records.keep_preview(context.hold(), preview).await?;
    Ok(outcome)
}

async fn ask_unless_away(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let missing = context.preview()?.missing.iter().find(|missing| missing.part == PreviewPart::Machine);
    if let Some(missing) = missing {
        return Ok(Outcome::Without(missing.message.clone()));
    }
    let (system, timeout) = (context.system()?, context.shared.options.timeouts.activate);
    let Answer::DryActivation(change) = context.call(Request::DryActivate { system }, timeout, sink).await?
    else {
        return Err(unexpected("what a switch would do"));
    };
    let message = in_words(&change);
    if let Some(preview) = &mut context.preview {
        preview.machine = Some(*change);
    }
    Ok(Outcome::Done(message))
}

fn in_words(change: &MachineChange) -> String {
    let parts = [
        ("stop", change.stop.len()),
        ("start", change.start.len()),
        ("restart", change.restart.len()),
        ("reload", change.reload.len()),
    ];
    let parts = parts.iter().filter(|(_, units)| *units > 0);
    let mut parts: Vec<_> = parts.map(|(verb, units)| format!("{units} would {verb}")).collect();
    if !change.reboot.is_empty() {
        parts.push("a reboot would be needed".into());
    }
    if parts.is_empty() { "no unit would change".into() } else { format!("units: {}", parts.join(", ")) }
}
