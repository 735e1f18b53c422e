//! Does the running system serve?

mod http;
mod verdict;

use std::thread;
use std::time::{Duration, Instant};

use berth_domain::manifest::Probe;
use berth_protocol::{FailureCode, Health, ProbeHealth};

use crate::client::Client;
use crate::failure::{Result, failure};
use crate::system::{self, System};
use crate::units;

/// The pauses between two rounds grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long a failed unit is waited for: systemd itself does not start it again, only somebody else may.
const FAILED_PATIENCE: Duration = Duration::from_secs(5);

/// The longest that can be asked for.
const MAX_SECONDS: u64 = 3600;

/// Asks units and probes again and again until all are well, or `seconds` are over, or a unit stays failed; tells
/// what was found last.
pub(crate) fn probe(path: &str, seconds: u64, client: &mut impl Client) -> Result<Health> {
    let manifest = System::open(path)?.manifest()?;
    let units = system::units(&manifest);
    let probes: Vec<_> = manifest
        .services
        .iter()
        .flat_map(|(service, contract)| contract.probes.iter().map(move |probe| (service.to_string(), probe)))
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds.min(MAX_SECONDS));
    let mut pause = PAUSES.0;
    let mut told = None;
    let mut failed_since = None;
    loop {
        let health = round(&units, &probes)?;
        let done = count(&health);
        if told.replace(done) != Some(done) {
            client.progress(done, units.len() + probes.len());
        }
        let failed = health.units.iter().any(|unit| unit.state == "failed");
        failed_since = failed.then(|| failed_since.unwrap_or_else(Instant::now));
        let hopeless = failed_since.is_some_and(|since: Instant| since.elapsed() >= FAILED_PATIENCE);
        if health.healthy || hopeless || Instant::now() + pause >= end {
            return Ok(health);
        }
        if client.is_gone() {
            return Err(failure(FailureCode::Io, "nobody waits for the probes any more"));
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn count(health: &Health) -> usize {
    let units = health.units.iter().filter(|unit| unit.healthy).count();
    units + health.probes.iter().filter(|probe| probe.healthy).count()
}

/// One look at everything; the probes all at once, as one that hangs must not hold up the others.
fn round(units: &[(String, String)], probes: &[(String, &Probe)]) -> Result<Health> {
    let names: Vec<_> = units.iter().map(|(_, unit)| unit.clone()).collect();
    let states = units::states(&names)?;
    let units: Vec<_> = units
        .iter()
        .zip(states)
        .map(|((service, unit), state)| verdict::of_unit(service, unit, state.active))
        .collect();
    let probes: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> =
            probes.iter().map(|(service, probe)| scope.spawn(|| ask(service, probe))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    });
    let healthy = units.iter().all(|unit| unit.healthy) && probes.iter().all(|probe| probe.healthy);
    Ok(Health { healthy, units, probes })
}

fn ask(service: &str, probe: &Probe) -> ProbeHealth {
    let (status, problem) = match http::get(probe) {
        Ok(answer) => (Some(answer.status), verdict::of_answer(probe, &answer)),
        Err(problem) => (None, Some(problem)),
    };
    ProbeHealth {
        service: service.to_owned(),
        probe: probe.clone(),
        status,
        healthy: problem.is_none(),
        problem,
    }
}
