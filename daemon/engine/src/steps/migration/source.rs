//! The source's half of a migration: the ticket, the target behind it, and what is written down of both.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::{Address, Departure, MovePhase, Obstacle};
use berth_protocol::{Answer, Request};
use berth_seal::About;
use berth_transfer::{HandOver, Target, Ticket, TransferError, View, brief};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::super::Context;
use super::super::context::unexpected;
use super::rehearse::brief_report;
use crate::error::StepError;
use crate::ports::{Report, Sink, nobody};

/// How often the target is asked how it stands.
const LOOK: Duration = Duration::from_secs(1);

/// How often it is asked while nobody serves.
const LOOK_IN_QUIET: Duration = Duration::from_millis(250);

/// How often it is asked after a while, as long as nobody is kept waiting.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// How long the services stand still for a target that does not answer.
const SILENCE: Duration = Duration::from_secs(10 * 60);

/// How often the machine is told that its services are to stay quiet.
const AGAIN: Duration = Duration::from_secs(30);

/// How many obstacles of the target are kept.
const OBSTACLES: usize = 50;

/// How long services stay quiet after a final pass unless the source says again that they shall, in seconds: longer than a
/// daemon takes to be started again, as what was captured is the newest state only as long as they are.
pub(super) const QUIET_SECONDS: u64 = 120;

/// The target, and how the migration stands.
pub(super) struct Source {
    pub(super) departure: Departure,
    pub(super) ticket: Ticket,
    pub(super) target: Target,
}

impl Source {
    /// The target's answer, which is written down where it says something new.
    pub(super) async fn heard(&mut self, context: &Context, view: &View) -> Result<(), StepError> {
        let known = self.departure.clone();
        self.departure.phase = view.phase;
        if let (Some(own), Some(said)) = (&mut self.departure.rehearsal, &view.rehearsal) {
            let copied = own.copied;
            *own = brief_report(said);
            own.copied = own.copied.or(copied);
        }
        let obstacles = view.obstacles.iter().take(OBSTACLES).map(|obstacle| Obstacle {
            code: brief(&obstacle.code),
            message: brief(&obstacle.message),
            field: obstacle.field.as_deref().map(brief),
        });
        self.departure.obstacles = obstacles.collect();
        if let Some(address) = &view.address {
            if !self.departure.trusted && !is_public(address) {
                let message =
                    format!("the target's machine is said to be at {address}, which is no public address");
                return Err(StepError::failed("target-address", message));
            }
            self.departure.address = Some(address.clone());
        }
        if self.departure != known { self.keep(context).await } else { Ok(()) }
    }

    /// Asks the target once; what it does not answer, or that it came to nothing, is an error.
    pub(super) async fn look(&mut self, context: &Context) -> Result<View, StepError> {
        let view = self.target.view().await.map_err(refused)?;
        self.heard(context, &view).await?;
        if view.phase == MovePhase::Failed { Err(came_to_nothing(&view)) } else { Ok(view) }
    }

    /// Writes down how it stands.
    pub(super) async fn keep(&self, context: &Context) -> Result<(), StepError> {
        Ok(context.shared.records.record_departure(context.hold(), &self.departure).await?)
    }

    /// Asks the target until what it says is `enough`, or that it came to nothing.
    pub(super) async fn wait_for(
        &mut self,
        context: &mut Context,
        wait: Wait,
        sink: &Sink,
        enough: impl Fn(MovePhase) -> bool,
    ) -> Result<View, StepError> {
        let (mut silent_since, mut pause) = (None, if wait == Wait::Awake { LOOK } else { LOOK_IN_QUIET });
        loop {
            if wait == Wait::InQuiet {
                context.keep_quiet(sink).await?;
            }
            match self.target.view().await {
                Ok(view) => {
                    self.heard(context, &view).await?;
                    if view.phase == MovePhase::Failed || enough(view.phase) {
                        return Ok(view);
                    }
                    silent_since = None;
                }
                Err(error) if wait != Wait::HandedOver && !may_pass(&error) => return Err(refused(error)),
                Err(error) => {
                    let since = *silent_since.get_or_insert_with(|| {
                        let what = format!("the target does not answer, and is asked again: {error}");
                        sink(Report::Warning(what));
                        Instant::now()
                    });
                    if wait == Wait::InQuiet && since.elapsed() > SILENCE {
                        let message = "the target has not answered for long, and the services stand still";
                        return Err(StepError::retryable("target-unreachable", message));
                    }
                }
            }
            context.sleep(pause).await?;
            if wait == Wait::Awake {
                pause = (pause + LOOK).min(LONGEST_PAUSE);
            }
        }
    }

    /// Hands over until the target has answered with its signature. A refusal is not signed: nothing follows from it once
    /// the tenant may be the target's.
    pub(super) async fn hand_over(
        &self,
        context: &Context,
        said: &HandOver,
        sink: &Sink,
    ) -> Result<View, StepError> {
        let mut told = false;
        loop {
            let error = match self.target.hand_over(said, &context.shared.exports.key).await {
                Ok(view) => return Ok(view),
                Err(error) => error,
            };
            if !std::mem::replace(&mut told, true) {
                sink(Report::Warning(format!("the target does not answer, and is asked again: {error}")));
            }
            context.sleep(LOOK).await?;
        }
    }
}

/// What the source does while it waits for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wait {
    /// Its services serve.
    Awake,
    /// They stand still, and are to go on doing so. That is not waited for without end.
    InQuiet,
    /// They have stopped for good: only the target's own signed word ends it.
    HandedOver,
}

/// Whether the target may answer otherwise when it is asked again.
fn may_pass(error: &TransferError) -> bool {
    error.is_transient() || matches!(error, TransferError::Refused { status, .. } if *status >= 500)
}

impl Context {
    /// The source's half of the operation's migration.
    pub(super) async fn source(&self) -> Result<Source, StepError> {
        let record = self.shared.records.departure(self.operation).await?;
        let about = About::ticket(&self.operation.to_string());
        let ticket = self.shared.keys.open(&about, &record.sealed_ticket)?;
        let ticket =
            Ticket::parse(&ticket).map_err(|error| StepError::failed("ticket", error.to_string()))?;
        let target = Target::new(&ticket).map_err(refused)?;
        Ok(Source { departure: record.departure, ticket, target })
    }

    /// Has the services that a final pass stopped stay quiet; fails where they were not all the time.
    pub(in super::super) async fn keep_quiet(&mut self, sink: &Sink) -> Result<(), StepError> {
        let request = Request::KeepQuiet { claim: self.own_claim(), seconds: QUIET_SECONDS };
        match self.call(request, self.shared.options.timeouts.brief, sink).await? {
            Answer::KeptQuiet => Ok(()),
            _ => Err(unexpected("quiet services")),
        }
    }

    /// Has the services stay quiet, over a connection of its own, as long as the answer lives: for what takes long and keeps this
    /// one busy. Whether they were quiet all the time, [`Context::keep_quiet`] tells afterwards.
    pub(super) async fn stay_quiet(&mut self) -> Result<AbortOnDropHandle<()>, StepError> {
        let (machine, agent) = self.whom_to_reach().await?;
        let (shared, bounds) = (Arc::clone(&self.shared), self.bounds(self.shared.options.timeouts.brief));
        let request = Request::KeepQuiet { claim: self.own_claim(), seconds: QUIET_SECONDS };
        Ok(AbortOnDropHandle::new(tokio::spawn(async move {
            let nobody = nobody();
            loop {
                if let Ok(mut session) = shared.reach(&machine, &agent, &bounds.cancel, &nobody).await {
                    // What fails is said again; what it means is found out by whoever relies on it.
                    while session.call(request.clone(), &bounds, &nobody).await.is_ok() {
                        tokio::time::sleep(AGAIN).await;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        })))
    }

    /// Waits, unless the operation is interrupted.
    pub(super) async fn sleep(&self, pause: Duration) -> Result<(), StepError> {
        let interruption = self.bounds(pause).cancel;
        match interruption.run_until_cancelled(tokio::time::sleep(pause)).await {
            Some(()) => Ok(()),
            None => Err(StepError::Cancelled),
        }
    }
}

/// Whether an address is one that anybody may speak to: a customer's own word must not have a provider's machine forward into
/// the provider's network. Names can lead anywhere.
fn is_public(address: &Address) -> bool {
    match address.as_str().parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => {
            let [a, b, ..] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || shared)
        }
        // Global unicast (RFC 4291).
        Ok(IpAddr::V6(v6)) => v6.segments()[0] & 0xe000 == 0x2000,
        Err(_) => false,
    }
}

/// What the target's answer means for a step.
pub(super) fn refused(error: TransferError) -> StepError {
    let message = format!("the target: {error}");
    match error {
        error if may_pass(&error) => StepError::transient("target-unreachable", message),
        TransferError::Refused { .. } => StepError::failed("target-refused", message),
        _ => StepError::failed("target-forged", message),
    }
}

/// Why a migration does not go on that came to nothing at the target.
pub(super) fn came_to_nothing(view: &View) -> StepError {
    let why = view.message.as_deref().map_or_else(|| "it gave no reason".into(), brief);
    StepError::failed("target-failed", format!("it came to nothing at the target: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_target_cannot_have_a_machine_forward_into_the_providers_network() {
        let public = |text: &str| is_public(&text.parse().unwrap());
        for good in ["93.184.216.34", "2a01:4f8::1"] {
            assert!(public(good), "{good}");
        }
        for bad in [
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "fe80::1",
            "fc00::1",
            "::ffff:10.0.0.1",
            "localhost",
            "b.example",
        ] {
            assert!(!public(bad), "{bad}");
        }
    }
}
