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

/// How many units are named at the most that have failed and are no service's own.
const ALSO_FAILED: usize = 8;

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
    let mut waiting = Waiting::within(Duration::from_secs(seconds.min(MAX_SECONDS)));
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
        if health.healthy || hopeless || waiting.is_over() {
            return Ok(with_what_failed(health));
        }
        if client.is_gone() {
            return Err(failure(FailureCode::Io, "nobody waits for the probes any more"));
        }
        waiting.pause();
    }
}

/// Pauses that grow, as long as there is time.
struct Waiting {
    end: Instant,
    pause: Duration,
}

impl Waiting {
    fn within(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, pause: PAUSES.0 }
    }

    /// Whether the time would be over after one more pause.
    fn is_over(&self) -> bool {
        Instant::now() + self.pause >= self.end
    }

    fn pause(&mut self) {
        thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
    }
}

/// Those of a service's probes that are answered now as they should be.
pub(crate) fn answered<'a>(service: &str, probes: &'a [Probe]) -> Vec<&'a Probe> {
    let all: Vec<_> = probes.iter().map(|probe| (service.to_owned(), probe)).collect();
    all.iter().zip(ask_all(&all)).filter(|(_, health)| health.healthy).map(|((_, probe), _)| *probe).collect()
}

/// Asks a service's probes again and again until all of them are answered as they should be; whether they were in time.
pub(crate) fn are_answered_within(limit: Duration, service: &str, probes: &[&Probe]) -> bool {
    let all: Vec<_> = probes.iter().map(|probe| (service.to_owned(), *probe)).collect();
    let mut waiting = Waiting::within(limit);
    while !ask_all(&all).iter().all(|health| health.healthy) {
        if waiting.is_over() {
            return false;
        }
        waiting.pause();
    }
    true
}

fn count(health: &Health) -> usize {
    let units = health.units.iter().filter(|unit| unit.healthy).count();
    units + health.probes.iter().filter(|probe| probe.healthy).count()
}

/// One look at everything.
fn round(units: &[(String, String)], probes: &[(String, &Probe)]) -> Result<Health> {
    let names: Vec<_> = units.iter().map(|(_, unit)| unit.clone()).collect();
    let states = units::states(&names)?;
    let units: Vec<_> = units
        .iter()
        .zip(states)
        .map(|((service, unit), state)| verdict::of_unit(service, unit, state.active))
        .collect();
    let probes = ask_all(probes);
    let healthy = units.iter().all(|unit| unit.healthy) && probes.iter().all(|probe| probe.healthy);
    Ok(Health { healthy, units, probes, also_failed: Vec::new() })
}

/// A service that waits for another's unit says nothing of why: that unit does.
fn with_what_failed(mut health: Health) -> Health {
    if !health.healthy {
        let is_another = |failed: &String| {
            units::check_name(failed).is_ok() && health.units.iter().all(|unit| unit.unit != *failed)
        };
        // What is not well is known without it.
        let failed = units::all_failed().unwrap_or_default();
        health.also_failed = failed.into_iter().filter(is_another).take(ALSO_FAILED).collect();
    }
    health
}

/// All at once, as one that hangs must not hold up the others.
fn ask_all(probes: &[(String, &Probe)]) -> Vec<ProbeHealth> {
    thread::scope(|scope| {
        let asked: Vec<_> =
            probes.iter().map(|(service, probe)| scope.spawn(|| ask(service, probe))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()).collect()
    })
}

fn ask(service: &str, probe: &Probe) -> ProbeHealth {
    let (status, problem, certificate) = match http::get(probe) {
        Ok(answer) => (Some(answer.status), verdict::of_answer(probe, &answer), answer.certificate),
        Err(problem) => (None, Some(problem), None),
    };
    ProbeHealth {
        service: service.to_owned(),
        probe: probe.clone(),
        status,
        healthy: problem.is_none(),
        problem,
        certificate: certificate.filter(|_| probe.any_certificate),
    }
}
