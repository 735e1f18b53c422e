//! The source stops for good, and the target takes over.
//!
//! First the machine is brought into the mode `moved`, in which no service of the tenant can be started, not even by a boot; only
//! then the target is told that it has the tenant. From there on the source starts nothing, unless the target says that it
//! never served and never will.

use std::time::Duration;

use berth_domain::{Mode, MovePhase};
use berth_transfer::{HandOver, Manifest};
use chrono::SubsecRound as _;

use super::super::deployment::Gate;
use super::super::{Context, Outcome};
use super::source::{Source, Wait, came_to_nothing};
use crate::error::StepError;
use crate::ports::{Report, Sink};

pub(in super::super) async fn hand_over(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let mut source = context.source().await?;
    if source.departure.handed_over_at.is_none() {
        stop_for_good(context, &mut source, sink).await?;
    }
    // Nobody's wish makes the target give back what it may have.
    let _deaf = context.deafen();
    match take_over(context, &mut source, sink).await? {
        Some(error) => {
            sink(Report::Warning(format!("{error}; the services are started here again")));
            context.serve_again(sink).await?;
            source.departure.handed_over_at = None;
            source.close_the_way_back(context).await?;
            source.keep(context).await?;
            Err(error)
        }
        None => {
            let away = source.departure.stopped_at.zip(source.departure.served_at);
            let away = away.map_or(0, |(from, to)| (to - from).num_milliseconds().max(0));
            let what = format!("the target serves, and signed for it; the services were away for {away} ms");
            Ok(Outcome::Done(what))
        }
    }
}

async fn stop_for_good(context: &mut Context, source: &mut Source, sink: &Sink) -> Result<(), StepError> {
    let missing = || StepError::failed("target-forged", "the target told no address to forward to");
    let to = source.departure.address.clone().ok_or_else(missing)?;
    source.open_the_way_back(context).await?;
    let staying = context.stay_quiet().await?;
    context.deploy_in(&Mode::Moved { to }, Gate::StillQuiet, sink).await?;
    drop(staying);
    source.departure.handed_over_at = Some(context.shared.clock.now());
    source.keep(context).await
}

/// Tells the target that it has the tenant, and waits until it serves; why it does not and never will.
async fn take_over(
    context: &mut Context,
    source: &mut Source,
    sink: &Sink,
) -> Result<Option<StepError>, StepError> {
    let internal = || StepError::failed("internal", "nothing was captured that could be handed over");
    let manifest = source.departure.manifest.clone().ok_or_else(internal)?;
    let at = source.departure.handed_over_at.unwrap_or_else(|| context.shared.clock.now());
    let (offer, at) = (source.ticket.offer, at.trunc_subsecs(0));
    let way_back = source.way_back(context, sink);
    let said = HandOver { offer, manifest: Manifest::sum(&manifest), way_back, at };
    let mut view = source.hand_over(context, &said, sink).await?;
    source.heard(context, &view).await?;
    let key = &source.ticket.identity.clone();
    loop {
        if view.phase == MovePhase::Failed {
            return Ok(Some(came_to_nothing(&view)));
        }
        // What it has not signed for, it does not serve.
        if view.phase == MovePhase::Live && matches!(view.receipt(&said.manifest, key), Ok(Some(_))) {
            break;
        }
        context.sleep(Duration::from_secs(1)).await?;
        view = source.wait_for(context, Wait::HandedOver, sink, |phase| phase == MovePhase::Live).await?;
    }
    source.departure.served_at.get_or_insert(context.shared.clock.now());
    source.departure.countersignature = view.countersignature;
    source.keep(context).await?;
    Ok(None)
}
