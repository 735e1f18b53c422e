//! A rehearsal, at the target: what was put in place is started behind a fence, asked, and thrown away.
//!
//! The fenced system is switched to and never committed. So whatever becomes of this daemon, its machine goes back by itself to
//! the system that it boots, in which no service runs: by its timer, or by a boot.

use std::collections::BTreeMap;

use berth_domain::manifest;
use berth_domain::{Arrival, DrillOutcome, Mode, MovePhase, Rehearsal, RehearsedService, ServiceName};
use berth_protocol::{Fingerprint, Health, Request, ServiceFingerprint};
use berth_store::ArrivalRecord;
use berth_transfer::{Manifest, brief};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::drill::{problem_of, read_whole};
use super::super::{Context, Outcome, activate, millis};
use super::target::came_to_nothing;
use crate::arrivals;
use crate::error::{REHEARSAL_FAILED, StepError};
use crate::ports::{Report, Sink};

/// What was put in place, and how long that took, in milliseconds.
pub(super) struct InPlace {
    pub(super) found: Fingerprint,
    pub(super) restore_ms: u64,
    pub(super) compare_ms: u64,
}

pub(in super::super) async fn try_out(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    is_wanted(&context.arrival().await?.arrival)?;
    context.trying_out = true;
    context.bring(&Mode::Fenced, sink).await?;
    let begun = Instant::now();
    activate::run(context, sink).await?;
    if context.needs_reboot {
        let message = "only a reboot of the machine would take the fenced system over, and a rehearsal does not wait for one";
        return Err(StepError::failed("needs-reboot", message));
    }
    let health = context.ask_the_services(sink).await?;
    let start_ms = millis(begun.elapsed());
    let promised = context.manifest().await?;
    let found = context.note_rehearsal(|rehearsal| judge(rehearsal, &promised, &health, start_ms)).await?;
    let problems = found.problems();
    if !problems.is_empty() {
        return Err(StepError::failed(REHEARSAL_FAILED, problems.join("; ")));
    }
    Ok(Outcome::Done(format!("the services came up behind the fence, and answered after {start_ms} ms")))
}

/// Writes down which services came up.
fn judge(rehearsal: &mut Rehearsal, promised: &manifest::Manifest, health: &Health, start_ms: u64) {
    for service in promised.services.keys() {
        let found = &mut rehearsal.services.entry(service.clone()).or_default().found;
        found.problem = found.problem.take().or_else(|| problem_of(service, health));
        found.ok = found.problem.is_none();
    }
    rehearsal.start_ms = Some(start_ms);
    rehearsal.estimated_away_ms = rehearsal.estimate();
}

/// Whoever wishes to stop wishes for this.
pub(in super::super) async fn throw_away(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let _deaf = context.deafen();
    context.throw_the_copy_away(sink).await?;
    let now = context.shared.clock.now();
    let ended = |arrival: &mut Arrival| {
        arrival.ended_at = Some(now);
        let rehearsal = arrival.rehearsal.get_or_insert_default();
        rehearsal.outcome = DrillOutcome::Passed;
        rehearsal.ended_at = Some(now);
    };
    context.advance(MovePhase::Trying, MovePhase::Rehearsed, ended).await?;
    let arrival = context.arrival().await?.arrival;
    arrival.rehearsal.iter().flat_map(Rehearsal::told).for_each(|line| sink(Report::Line(line)));
    let what =
        "nothing of the copy is left on the machine; the vault keeps it, so that the move has less to copy";
    Ok(Outcome::Done(what.into()))
}

fn is_wanted(arrival: &Arrival) -> Result<(), StepError> {
    if arrival.phase == MovePhase::Failed { Err(came_to_nothing(arrival)) } else { Ok(()) }
}

impl Context {
    /// What was sent is in place, and equal as far as that can be told: it may be tried.
    pub(super) async fn is_to_be_tried(&self, sent: &Manifest, in_place: &InPlace) -> Result<(), StepError> {
        let promised = self.manifest().await?;
        let services = rehearsed(sent, &promised, &in_place.found);
        let bytes = sent.services.values().fold(0_u64, |sum, moved| sum.saturating_add(moved.bytes));
        let note = |arrival: &mut Arrival| {
            let rehearsal = arrival.rehearsal.get_or_insert_default();
            rehearsal.services.clone_from(&services);
            (rehearsal.bytes, rehearsal.copied) = (Some(bytes), sent.rehearsal);
            (rehearsal.restore_ms, rehearsal.compare_ms) =
                (Some(in_place.restore_ms), Some(in_place.compare_ms));
        };
        self.advance(MovePhase::Restoring, MovePhase::Trying, note).await
    }

    /// Adds to what the rehearsal found; not where it came to nothing meanwhile.
    async fn note_rehearsal(&self, note: impl Fn(&mut Rehearsal)) -> Result<Rehearsal, StepError> {
        let note = |arrival: &mut Arrival| note(arrival.rehearsal.get_or_insert_default());
        self.advance(MovePhase::Trying, MovePhase::Trying, note).await?;
        Ok(self.arrival().await?.arrival.rehearsal.unwrap_or_default())
    }

    /// Has nothing of the copy be left on the machine: it goes back to the system in which no service runs, and then all state
    /// and secrets go. Safe to be done again.
    pub(in super::super) async fn throw_the_copy_away(&mut self, sink: &Sink) -> Result<(), StepError> {
        let arrival = self.shared.records.arrival(self.migration()?).await?.arrival;
        // Nothing is brought before the system stands in which it is taken.
        let (Some(rehearsal), Some(standby)) = (&arrival.rehearsal, arrival.standby.clone()) else {
            return Ok(());
        };
        if rehearsal.emptied {
            return Ok(());
        }
        self.go_back(sink).await?;
        let facts = self.facts(sink).await?;
        let rests = |system: Option<String>| system.as_ref() == Some(&standby);
        if !rests(facts.running_system) || !rests(facts.committed_system) {
            let message = "the machine does not run the system yet in which the services are stopped";
            return Err(StepError::transient("not-emptied", message));
        }
        self.wipe_what_is_left_by(standby, sink).await?;
        self.is_emptied().await
    }

    /// The same for what an earlier rehearsal could not throw away, whatever its machine runs by now: it is the tenant's.
    pub(super) async fn clean_up_after_a_rehearsal(&mut self, sink: &Sink) -> Result<(), StepError> {
        let arrival = self.shared.records.arrival(self.migration()?).await?.arrival;
        if arrival.rehearsal.is_none_or(|earlier| earlier.emptied) {
            return Ok(());
        }
        sink(Report::Line("an earlier rehearsal could not empty this machine: that is done first".into()));
        self.go_back(sink).await?;
        if let Some(running) = self.facts(sink).await?.running_system {
            self.wipe_what_is_left_by(running, sink).await?;
        }
        self.is_emptied().await
    }

    async fn is_emptied(&self) -> Result<(), StepError> {
        let emptied = |record: &mut ArrivalRecord| {
            if let Some(rehearsal) = &mut record.arrival.rehearsal {
                rehearsal.emptied = true;
            }
            Ok::<_, StepError>(())
        };
        arrivals::change(&*self.shared.records, Some(self.hold()), self.migration()?, emptied).await?;
        Ok(())
    }

    /// The machine goes back to the system that it boots: the services stop, and then the fence goes.
    async fn go_back(&mut self, sink: &Sink) -> Result<(), StepError> {
        let name = format!("back by {}, {}", self.hold().fence, self.tries);
        let own = || Uuid::new_v5(&self.operation, name.as_bytes());
        self.switching_as = Some(self.switching_as.unwrap_or_else(own));
        let request = Request::Revert { claim: self.claim(), from: None };
        self.call(request, self.shared.options.timeouts.activate, sink).await?;
        (self.switched, self.switching, self.facts) = (false, None, None);
        Ok(())
    }
}

/// What is there of each service, and what of it was compared.
fn rehearsed(
    sent: &Manifest,
    promised: &manifest::Manifest,
    found: &Fingerprint,
) -> BTreeMap<ServiceName, RehearsedService> {
    let none = ServiceFingerprint::default();
    let of = |service: &ServiceName| {
        let mut rehearsed = RehearsedService::default();
        read_whole(&mut rehearsed.found, service, promised, found);
        let signed = sent.services.get(service);
        let left_out = signed.map_or(&[][..], |signed| &signed.left_out[..]);
        rehearsed.found.left_out = left_out.iter().map(|what| brief(what)).collect();
        let signed = signed.map_or(&none, |signed| &signed.fingerprint);
        let here = found.services.get(service).unwrap_or(&none);
        let databases = here
            .databases
            .keys()
            .map(|name| (signed.databases.contains_key(name), format!("the database {name}")));
        let directories = here
            .directories
            .keys()
            .map(|path| (signed.directories.contains_key(path), format!("the directory {path}")));
        for (compared, part) in databases.chain(directories) {
            if compared { &mut rehearsed.compared } else { &mut rehearsed.not_compared }.push(part);
        }
        rehearsed
    };
    promised.services.keys().map(|service| (service.clone(), of(service))).collect()
}
