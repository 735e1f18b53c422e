//! The target is shown what is to be moved. It lists what keeps it from taking it; then somebody there has to accept it, and
//! compares the code that both sides show; then the target sets the tenant up, its services stopped.

use std::time::Duration;

use berth_domain::{MovePhase, Obstacle, Setting, TenantDraft, TenantSpec};
use berth_transfer::sealed::Purpose;
use berth_transfer::{Claim, OfferedService, Sealed, Ticket, TransferError, View, brief};
use secrecy::ExposeSecret as _;
use secrecy::zeroize::Zeroizing;

use super::super::{Context, Outcome};
use super::source::{Source, Wait, came_to_nothing, refused};
use crate::error::{REHEARSAL_UNKNOWN, StepError};
use crate::ports::{Report, Sink};

/// How often the ticket is handed in while an earlier try is still being ended.
const ENDINGS: u32 = 6;

/// How long to wait in between.
const PAUSE: Duration = Duration::from_secs(2);

pub(in super::super) async fn agree(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let mut source = context.source().await?;
    let rehearses = source.departure.rehearsal.is_some();
    if rehearses {
        knows_rehearsals(&source.target.view().await.map_err(refused)?)?;
    }
    let claim = claim(context, &source.ticket, rehearses).await?;
    let view = claimed(context, &source, &claim, sink).await?;
    if view.rehearses.unwrap_or(false) != rehearses {
        return Err(StepError::failed(
            "target-refused",
            "the target takes a rehearsal for a move, or a move for one",
        ));
    }
    source.heard(context, &view).await?;
    if !view.obstacles.is_empty() {
        return Err(StepError::failed("obstacles", listed(&view.obstacles)));
    }
    let code = source.departure.code.clone();
    sink(Report::Line(format!("both providers show the code {code}; the target has to accept")));
    let _aside = context.shared.step_aside();
    let accepted = |phase| !matches!(phase, MovePhase::Offered | MovePhase::Claimed | MovePhase::Preparing);
    let view = source.wait_for(context, Wait::Awake, sink, accepted).await?;
    if view.phase == MovePhase::Failed {
        return Err(came_to_nothing(&view));
    }
    Ok(Outcome::Done(format!("the target has accepted; code {code}")))
}

/// A target that knows nothing of rehearsals would move the tenant: it is asked before anything is said.
fn knows_rehearsals(view: &View) -> Result<(), StepError> {
    if view.rehearses.is_some() {
        return Ok(());
    }
    let message = "the target does not know rehearsals; nothing was begun";
    Err(StepError::failed(REHEARSAL_UNKNOWN, message))
}

/// Hands the ticket in. What an earlier try with it began at the target may have to end first.
async fn claimed(context: &Context, source: &Source, claim: &Claim, sink: &Sink) -> Result<View, StepError> {
    for left in (0..ENDINGS).rev() {
        match source.target.claim(claim, &context.shared.exports.key).await {
            Err(TransferError::Refused { kind, .. }) if left > 0 && kind.ends_with(":still-ending") => {
                sink(Report::Line(
                    "an earlier try with this ticket is still being ended at the target".into(),
                ));
                context.sleep(PAUSE).await?;
            }
            answer => return answer.map_err(refused),
        }
    }
    Err(StepError::failed("internal", "the ticket was never handed in"))
}

fn listed(obstacles: &[Obstacle]) -> String {
    let each = obstacles.iter().map(|obstacle| match &obstacle.field {
        Some(field) => format!("{}: {}", brief(field), brief(&obstacle.message)),
        None => brief(&obstacle.message),
    });
    format!("the target cannot take the tenant: {}", each.collect::<Vec<_>>().join("; "))
}

async fn claim(context: &Context, ticket: &Ticket, rehearsal: bool) -> Result<Claim, StepError> {
    let spec = context.shared.records.tenant(&context.tenant).await?.spec;
    let services = spec.services.iter().filter(|(_, selection)| selection.enable);
    let services = services.map(|(name, _)| (name.clone(), OfferedService::default())).collect();
    Ok(Claim {
        offer: ticket.offer,
        provider: context.shared.exports.provider.clone(),
        recipient: context.shared.keys.recipient(),
        tenant: sealed(context, spec, ticket)?,
        services,
        rehearsal,
    })
}

/// The tenant as its own client would write it, with what was given in confidence, for the target's eyes alone.
fn sealed(context: &Context, mut spec: TenantSpec, ticket: &Ticket) -> Result<Sealed, StepError> {
    context.open_each(&mut spec, |_, value| Setting::Text(value.expose_secret().to_owned()))?;
    let text = serde_json::to_vec(&TenantDraft::from(spec)).map(Zeroizing::new);
    let text = text.map_err(|error| StepError::failed("internal", error.to_string()))?;
    Ok(Sealed::to(&ticket.recipient, ticket.offer, Purpose::Tenant, &text)?)
}
