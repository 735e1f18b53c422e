//! What is left to be done where a migration came to nothing: the other side is told, and the source's services serve again.

use std::time::Duration;

use berth_domain::{MachineFacts, Mode, MovePhase, OperationKind};
use berth_protocol::Request;
use berth_store::ArrivalRecord;
use berth_transfer::Abort;
use chrono::SubsecRound as _;

use super::super::deployment::Gate;
use super::super::{Context, Left};
use super::source::Source;
use crate::arrivals;
use crate::error::StepError;
use crate::ports::{Report, Sink, nobody};

/// How often a machine is asked whether something runs on it.
const LOOK: Duration = Duration::from_secs(3);

/// How often the target is told that the tenant stays, until it answers.
const TELLINGS: u32 = 20;

impl Context {
    /// Ends this provider's half; says in the operation's events how that went. Nothing of it may keep the operation from
    /// ending, but that the database does not answer, or that it is not known where the services run.
    pub(crate) async fn give_up_moving(&mut self, why: &str, sink: &Sink) -> Left {
        loop {
            let done = match self.kind {
                OperationKind::Migrate => self.stay(why, sink).await,
                OperationKind::Rehearse => self.stays_as_it_is(why, sink).await,
                OperationKind::Import | OperationKind::TryOut => self.let_go(why, sink).await,
                _ => return Left::Asked,
            };
            match done {
                Ok(()) => return Left::Asked,
                Err(_) if self.end().is_cancelled() => return Left::Unknown,
                Err(StepError::LeaseLost | StepError::Stopping | StepError::Cancelled) => {
                    return Left::Unknown;
                }
                Err(StepError::Failed(failure)) if !failure.retryable => {
                    let message =
                        format!("the migration could not be given up in order: {}", failure.message);
                    sink(Report::Warning(message));
                    return Left::Asked;
                }
                Err(StepError::Failed(_)) => {}
            }
            if self.sleep(LOOK).await.is_err() {
                return Left::Unknown;
            }
        }
    }

    /// The source: the tenant stays, and its services serve again.
    async fn stay(&mut self, why: &str, sink: &Sink) -> Result<(), StepError> {
        let mut source = self.source().await?;
        if source.departure.handed_over_at.is_some() {
            let message = "the target has the tenant, or may have it: nothing is started here";
            sink(Report::Warning(message.into()));
            return Ok(());
        }
        self.begin_to_undo();
        source.close_the_way_back(self).await?;
        source.keep(self).await?;
        // Before everything was sent, the machine was not told to stop for good.
        if source.departure.manifest.is_some() && !self.runs_what_is_deployed().await? {
            self.serve_again(sink).await?;
        }
        self.end_passes(&source, sink).await;
        self.tell_that_it_stays(&source, why, sink).await
    }

    /// Ends what still copies the state. Services that were stopped for it serve again.
    async fn end_passes(&mut self, source: &Source, sink: &Sink) {
        let stopped = source.departure.stopped_at.is_some();
        // Before, nothing was copied.
        let early = [MovePhase::Offered, MovePhase::Claimed, MovePhase::Preparing];
        if !stopped && early.contains(&source.departure.phase) {
            return;
        }
        // Where all of it was there and it came to nothing, what was sent step by step may be why.
        let anew = source.departure.manifest.is_some();
        let request = Request::Resume { claim: self.own_claim(), anew };
        match self.call(request, self.shared.options.timeouts.brief, sink).await {
            Ok(_) if stopped => sink(Report::Line("the services serve here again".into())),
            Ok(_) => {}
            Err(error) if stopped => sink(Report::Warning(format!(
                "the services are not started from here ({error}); the machine does so by itself"
            ))),
            Err(error) => sink(Report::Line(format!("the machine may still copy its state: {error}"))),
        }
    }

    /// The source of a rehearsal: nothing was stopped that does not go on by itself.
    async fn stays_as_it_is(&mut self, why: &str, sink: &Sink) -> Result<(), StepError> {
        let mut source = self.source().await?;
        self.begin_to_undo();
        if source.departure.rehearsal.as_mut().is_some_and(|rehearsal| rehearsal.fail(why)) {
            source.keep(self).await?;
        }
        if source.departure.phase.is_final() {
            return Ok(());
        }
        self.tell_that_it_stays(&source, why, sink).await
    }

    async fn tell_that_it_stays(&self, source: &Source, why: &str, sink: &Sink) -> Result<(), StepError> {
        // One whose answer never came may have begun all the same.
        let tellings = if source.departure.phase == MovePhase::Offered { 1 } else { TELLINGS };
        let at = self.shared.clock.now().trunc_subsecs(0);
        // What happened here is nobody's business there in full.
        let reason = why.split(&[':', ';', '\n']).next().unwrap_or_default().to_owned();
        let abort = Abort { offer: source.ticket.offer, reason, at };
        for left in (0..tellings).rev() {
            match source.target.abort(&abort, &self.shared.exports.key).await {
                Ok(_) => break,
                Err(error) if left == 0 => {
                    sink(Report::Warning(format!("the target could not be told: {error}")));
                }
                Err(_) => self.sleep(LOOK).await?,
            }
        }
        Ok(())
    }

    /// Whether the machine runs and boots what the database says; it is asked until it answers.
    async fn runs_what_is_deployed(&mut self) -> Result<bool, StepError> {
        let deployed = self.shared.records.tenant(&self.tenant).await?.deployed_system;
        let facts = self.facts_at_last().await?;
        Ok(facts.running_system == deployed && facts.committed_system == deployed)
    }

    /// What the machine says of itself, however long it cannot be asked.
    async fn facts_at_last(&mut self) -> Result<MachineFacts, StepError> {
        let nobody = nobody();
        loop {
            self.forget_the_session();
            match self.facts(&nobody).await {
                Ok(facts) => return Ok(facts),
                Err(StepError::Failed(_)) => self.sleep(LOOK).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// The source's services serve again, however often that is tried: nobody else may serve the tenant.
    pub(super) async fn serve_again(&mut self, sink: &Sink) -> Result<(), StepError> {
        self.begin_to_undo();
        loop {
            let failure = match self.deploy_in(&Mode::Active, Gate::AsItWas, sink).await {
                Err(StepError::Failed(failure)) => failure,
                outcome => return outcome,
            };
            sink(Report::Warning(format!("the services are not started yet: {}", failure.message)));
            self.tries += 1;
            self.forget_the_session();
            self.sleep(LOOK).await?;
        }
    }

    /// The target: the tenant is the source's, also where it had been handed over and could not be started. The source starts
    /// it again once it hears so: that is said only when it is known that nothing runs here.
    async fn let_go(&mut self, why: &str, sink: &Sink) -> Result<(), StepError> {
        let record = self.shared.records.arrival(self.migration()?).await?;
        if record.arrival.operation != Some(self.operation) {
            return Ok(());
        }
        if record.arrival.phase == MovePhase::Live {
            // A predecessor may not have written down all that follows from it.
            return self.is_live().await;
        }
        if record.arrival.phase == MovePhase::GoingLive && self.has_gone_live(&record, sink).await? {
            let (records, now) = (&self.shared.records, self.shared.clock.now());
            records.set_tenant_mode(self.hold(), &self.tenant, &Mode::Active, now).await?;
            return self.is_live().await;
        }
        let (own, now) = (self.operation, self.shared.clock.now());
        let tries_out = self.tries_out();
        let let_go = |record: &mut ArrivalRecord| {
            let arrival = &mut record.arrival;
            if arrival.operation != Some(own) {
                return Ok(());
            }
            if let (true, Some(rehearsal)) = (tries_out, &mut arrival.rehearsal)
                && rehearsal.fail(why)
            {
                rehearsal.ended_at.get_or_insert(now);
            }
            if !arrival.phase.is_final() {
                arrivals::fail(arrival, why, now);
            }
            Ok::<_, StepError>(())
        };
        arrivals::change(&*self.shared.records, Some(self.hold()), self.migration()?, let_go).await?;
        Ok(())
    }

    /// Whether the machine boots the system in which the services run. Where it does not, it is waited for until it runs and
    /// boots the one in which they are stopped, however long it cannot be asked.
    async fn has_gone_live(&mut self, record: &ArrivalRecord, sink: &Sink) -> Result<bool, StepError> {
        self.begin_to_undo();
        let standby = record.arrival.standby.clone();
        let nobody = nobody();
        let mut told = false;
        loop {
            // What still comes from a predecessor is refused from here on, and its switch is over.
            let request = Request::Revert { claim: self.claim(), from: None };
            let _ = self.call(request, self.shared.options.timeouts.activate, &nobody).await;
            let facts = self.facts_at_last().await?;
            if facts.committed_system.is_some() && facts.committed_system != standby {
                return Ok(true);
            }
            if facts.running_system == standby {
                return Ok(false);
            }
            if !std::mem::replace(&mut told, true) {
                let what = "it is not known yet that nothing runs here; the source is told once it is";
                sink(Report::Warning(what.into()));
            }
            self.sleep(LOOK).await?;
        }
    }
}
