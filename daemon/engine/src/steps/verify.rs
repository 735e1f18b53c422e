//! The new system proves that it serves: to its own machine, and to the daemon over a new connection.

use berth_protocol::{Answer, Health, Request};
use tokio_util::task::AbortOnDropHandle;

use super::activate::unit_logs;
use super::context::{FOR_THE_ANSWER, unexpected};
use super::{Context, Outcome};
use crate::error::StepError;
use crate::pinning;
use crate::ports::Sink;

pub(super) async fn run(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    if context.needs_reboot {
        return Ok(Outcome::AlreadyThere(
            "the machine runs its previous system until it is started anew".into(),
        ));
    }
    let system = context.system()?;
    let timeout = context.shared.options.timeouts.verify;
    let request = Request::Probe { system, timeout_seconds: timeout.as_secs() };
    let manifest = context.manifest().await?;
    let bounds = context.bounds(timeout);
    // What was not switched has not become harder to enter.
    let enters_anew = context.switched;
    let session = context.session(sink).await?;
    let (anew, probes) = (session.enter_anew(bounds.clone()), session.probe_from_outside(manifest, bounds));
    let outside = async move {
        let anew = async { if enters_anew { anew.await } else { Ok(()) } };
        let (entered, health) = tokio::join!(anew, probes);
        entered.and(health)
    };
    // At the same time, as both mostly wait. What the machine says of itself counts first: it comes with logs.
    let outside = AbortOnDropHandle::new(tokio::spawn(outside));
    let Answer::Health(inside) = context.call(request, timeout + FOR_THE_ANSWER, sink).await? else {
        return Err(unexpected("the services' health"));
    };
    if !inside.healthy {
        return Err(unhealthy(context, &inside, "on the machine", sink).await);
    }
    let mut outside = outside.await.map_err(|error| StepError::failed("internal", error.to_string()))??;
    pinning::compare(&inside, &mut outside);
    if !outside.healthy {
        return Err(unhealthy(context, &outside, "from outside", sink).await);
    }
    if inside.units.is_empty() && inside.probes.is_empty() {
        return Ok(Outcome::Done("no service is to run, and none does".into()));
    }
    Ok(Outcome::Done(format!("{} units and {} probes are healthy", inside.units.len(), inside.probes.len())))
}

async fn unhealthy(context: &mut Context, health: &Health, seen: &str, sink: &Sink) -> StepError {
    let sick_units = health.units.iter().filter(|unit| !unit.healthy).map(|unit| &unit.unit);
    let units: Vec<_> = sick_units.chain(&health.also_failed).cloned().collect();
    let problems = sick(health);
    let log = unit_logs(context, units, sink).await;
    StepError::failed("unhealthy", format!("not healthy {seen}: {}", problems.join("; "))).with_log(log)
}

/// What of some services is not as it should be.
pub(super) fn sick(health: &Health) -> Vec<String> {
    let sick_units = health.units.iter().filter(|unit| !unit.healthy);
    let of_units = sick_units.map(|unit| format!("{} is {}", unit.unit, unit.state));
    let of_probes = health.probes.iter().filter(|probe| !probe.healthy).map(|probe| {
        let problem = probe.problem.as_deref().unwrap_or("gave another answer than expected");
        format!("{} of {}: {problem}", probe.probe.name, probe.service)
    });
    let of_others = health.also_failed.iter().map(|unit| format!("{unit} has failed on this machine, too"));
    of_units.chain(of_probes).chain(of_others).collect()
}
