//! Each service is asked whether it serves, and its state is read whole: the database answers for every table, and every file
//! can be read.

use berth_domain::manifest::Manifest;
use berth_domain::{DrilledService, ServiceName};
use berth_protocol::{Answer, Fingerprint, Health, Request, ServiceFingerprint};

use super::super::context::{FOR_THE_ANSWER, unexpected};
use super::super::verify::sick;
use super::super::{Context, Outcome};
use crate::error::{DRILL_FAILED, StepError};
use crate::ports::Sink;

pub(in super::super) async fn verify(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let manifest = context.manifest().await?;
    let health = context.ask_the_services(sink).await?;
    let answered_at = context.shared.clock.now();
    let services: Vec<ServiceName> = manifest.services.keys().cloned().collect();
    context
        .keep_found(|drill| {
            for service in &services {
                let found = drill.services.entry(service.clone()).or_default();
                found.problem = found.problem.take().or_else(|| problem_of(service, &health));
            }
            if drill.services.values().all(|service| service.problem.is_none()) {
                let took = drill.started_at.map(|started| (answered_at - started).num_milliseconds());
                // A successor asks once more, and a service that answered before is none that came back later.
                drill.recovery_ms = drill.recovery_ms.or(took.map(|took| took.max(0).unsigned_abs()));
            }
        })
        .await?;
    let fingerprint = context.fingerprint(sink).await?;
    context
        .keep_found(|drill| {
            for (service, found) in &mut drill.services {
                read_whole(found, service, &manifest, &fingerprint);
                found.ok = found.problem.is_none();
            }
        })
        .await?;
    let drill = &context.drill_record().await?.drill;
    let problems = drill.problems();
    if problems.is_empty() {
        let seconds = drill.recovery_ms.unwrap_or_default() / 1000;
        let age = drill.recovery_point_seconds.unwrap_or_default();
        return Ok(Outcome::Done(format!(
            "every service is back and answers: recovered in {seconds} s to a state that was {age} s old"
        )));
    }
    Err(StepError::failed(DRILL_FAILED, problems.join("; ")))
}

impl Context {
    /// Asks every unit and every probe, from the machine itself.
    pub(in super::super) async fn ask_the_services(&mut self, sink: &Sink) -> Result<Health, StepError> {
        let (system, timeout) = (self.system()?, self.shared.options.timeouts.verify);
        let request = Request::Probe { system, timeout_seconds: timeout.as_secs() };
        // From the machine itself: nobody else sees what is fenced.
        match self.call(request, timeout + FOR_THE_ANSWER, sink).await? {
            Answer::Health(health) => Ok(health),
            _ => Err(unexpected("the services' health")),
        }
    }
}

/// Why a service does not serve.
pub(in super::super) fn problem_of(service: &ServiceName, health: &Health) -> Option<String> {
    let own = Health {
        healthy: health.healthy,
        units: health.units.iter().filter(|unit| unit.service == service.as_str()).cloned().collect(),
        probes: health.probes.iter().filter(|probe| probe.service == service.as_str()).cloned().collect(),
        also_failed: health.also_failed.clone(),
    };
    let is_well = own.units.iter().all(|unit| unit.healthy) && own.probes.iter().all(|probe| probe.healthy);
    (!is_well).then(|| sick(&own).join("; "))
}

/// What a service's databases and directories hold; a database that was to come back has to be there.
pub(in super::super) fn read_whole(
    found: &mut DrilledService,
    service: &ServiceName,
    manifest: &Manifest,
    fingerprint: &Fingerprint,
) {
    let Some(contract) = manifest.services.get(service) else { return };
    let none = ServiceFingerprint::default();
    let there = fingerprint.services.get(service).unwrap_or(&none);
    let rows = |name: &String| there.databases.get(name).map(|database| database.tables.values().sum());
    found.rows =
        contract.state.databases.iter().filter_map(|name| Some((name.clone(), rows(name)?))).collect();
    found.files = there.directories.values().map(|directory| directory.files).sum();
    found.bytes = there.directories.values().map(|directory| directory.bytes).sum();
    let gone: Vec<&str> = contract
        .state
        .databases
        .iter()
        .filter(|name| !found.rows.contains_key(*name))
        .map(String::as_str)
        .collect();
    if found.problem.is_none() && !gone.is_empty() {
        found.problem = Some(format!("there is no database {}", gone.join(", ")));
    }
}
