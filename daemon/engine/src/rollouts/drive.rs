//! Looks, decides and records, until a rollout has ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::rollout::{
    NewRolloutEvent, PlatformChoice, RolloutError, RolloutEventKind, RolloutTenantState,
};
use berth_domain::{
    OperationId, OperationStatus, Rollout, RolloutId, RolloutStatus, RolloutTenant, TenantName, Timestamp,
};
use berth_store::rollouts::RolloutChange;
use berth_store::{Standing, StoreError};
use chrono::SubsecRound as _;
use tokio_util::sync::CancellationToken;

use super::ahead::CHUNK;
use super::plan::{self, Next};
use super::{Busy, counted, deployment, moved};
use crate::engine::{Engine, Shared};
use crate::error::StepError;
use crate::hub::locked;
use crate::ports::Bounds;

/// How often it is looked although nobody told of news: another daemon may have run an operation, and a tenant that was
/// busy may be free.
const POLL: Duration = Duration::from_secs(2);

/// How often a platform is asked for again that could not be had for a reason that may pass, each time after [`POLL`].
const PIN_RETRIES: u32 = 15;

/// Drives every rollout that is not over, until the engine stops.
pub(crate) async fn drive_all(engine: Engine) {
    let shared = &engine.shared;
    let mut news = shared.fleet.news.subscribe();
    engine.release_platforms().await;
    loop {
        news.mark_seen();
        match shared.records.unfinished_rollouts().await {
            Ok(unfinished) => unfinished.into_iter().for_each(|(id, _)| begin(&engine, id)),
            Err(error) => tracing::error!(%error, "cannot read unfinished rollouts; trying again"),
        }
        let news = tokio::time::timeout(POLL, news.changed());
        if shared.stopping.run_until_cancelled(news).await.is_none() {
            return;
        }
    }
}

/// Drives a rollout in a task of its own, unless one does already.
fn begin(engine: &Engine, id: RolloutId) {
    let shared = &engine.shared;
    {
        let mut driven = locked(&shared.fleet.driven);
        if driven.contains_key(&id) {
            return;
        }
        driven.insert(id, shared.stopping.child_token());
    }
    let engine = engine.clone();
    shared.tasks.spawn(async move {
        tracing::info!(rollout = %id, "driving");
        Driver {
            engine: engine.clone(),
            id,
            busy: Busy::new(),
            ahead: HashSet::new(),
            asked: HashSet::new(),
            failed_pins: 0,
        }
        .drive()
        .await;
        locked(&engine.shared.fleet.driven).remove(&id);
    });
}

/// What a look came to.
enum Looked {
    /// Something changed; there may be more to do.
    Changed,
    /// Nothing changed that others could see, but there is more to look at.
    Again,
    /// Nothing is to be done before something happens.
    Wait,
    /// The rollout has ended.
    Over,
}

/// Drives one rollout. What it holds besides the rollout may be lost without harm.
struct Driver {
    engine: Engine,
    id: RolloutId,
    /// Tenants that somebody else's operation works on; tried again at the next look.
    busy: Busy,
    /// Tenants that were evaluated ahead, or were not worth it.
    ahead: HashSet<TenantName>,
    /// Operations that were asked to stop.
    asked: HashSet<OperationId>,
    /// How often its platform could not be had for a reason that may pass.
    failed_pins: u32,
}

impl Driver {
    fn shared(&self) -> &Shared {
        &self.engine.shared
    }

    /// Now, as it is written down.
    fn now(&self) -> Timestamp {
        self.shared().clock.now().trunc_subsecs(3)
    }

    async fn drive(mut self) {
        let mut news = self.shared().fleet.news.subscribe();
        let stopping = self.shared().stopping.clone();
        let mut known: Option<Rollout> = None;
        loop {
            news.mark_seen();
            let looked = stopping.run_until_cancelled(self.look(&mut known)).await;
            match looked {
                None | Some(Ok(Looked::Over)) => return,
                Some(Ok(Looked::Again)) => continue,
                Some(Ok(Looked::Changed)) => {
                    self.shared().fleet.look_again();
                    continue;
                }
                Some(Err(StoreError::RolloutChanged)) => {
                    known = None;
                    continue;
                }
                Some(Err(
                    StoreError::NotFound { what: "rollout", .. } | StoreError::RolloutFinished { .. },
                )) => {
                    return;
                }
                Some(Ok(Looked::Wait)) => self.busy.clear(),
                Some(Err(error)) => {
                    tracing::warn!(rollout = %self.id, %error, "a rollout waits: the database failed");
                    known = None;
                    tokio::time::sleep(POLL).await;
                }
            }
            let wait = tokio::time::timeout(POLL, news.changed());
            if stopping.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    async fn look(&mut self, known: &mut Option<Rollout>) -> Result<Looked, StoreError> {
        let newest = self.shared().records.rollout_seq(self.id).await?;
        if known.as_ref().is_none_or(|rollout| rollout.last_seq != newest) {
            *known = Some(self.shared().records.rollout(self.id).await?);
        }
        let Some(rollout) = known.as_mut() else { return Ok(Looked::Wait) };
        if rollout.status.is_final() {
            return Ok(Looked::Over);
        }
        if self.settle(rollout).await? {
            return Ok(Looked::Changed);
        }
        self.cancel_what_runs(rollout).await?;
        match plan::next(rollout) {
            Next::Wait => Ok(Looked::Wait),
            Next::Platform => self.pin_platform(rollout).await,
            Next::Wave(wave) => self.begin_wave(rollout, wave).await,
            Next::Deploy => self.deploy(rollout).await,
            Next::End(status, error) => self.end(rollout, status, error).await,
        }
    }

    /// Notes how operations ended; says whether any did.
    async fn settle(&self, rollout: &mut Rollout) -> Result<bool, StoreError> {
        let deploying = |tenant: &&RolloutTenant| tenant.state == RolloutTenantState::Deploying;
        let deploying: Vec<&RolloutTenant> = rollout.tenants.iter().filter(deploying).collect();
        let ids: Vec<OperationId> = deploying.iter().filter_map(|tenant| tenant.operation).collect();
        let standings = match ids.is_empty() {
            true => Vec::new(),
            false => self.shared().records.standings(&ids).await?,
        };
        let mut change = RolloutChange::default();
        for tenant in deploying {
            let standing = standings.iter().find(|standing| Some(standing.operation) == tenant.operation);
            if let Some((state, message)) = outcome(standing) {
                let (tenant, event) = moved(tenant, state, &message, self.now());
                change.tenants.push(tenant);
                change.events.push(event);
            }
        }
        if change.events.is_empty() {
            return Ok(false);
        }
        self.shared().records.record_rollout(rollout, change, None).await?;
        Ok(true)
    }

    /// Asks what runs to stop, where an abort was to do that.
    async fn cancel_what_runs(&mut self, rollout: &Rollout) -> Result<(), StoreError> {
        if rollout.status != RolloutStatus::Aborting || !rollout.cancel_operations {
            return Ok(());
        }
        let deploying = rollout.tenants.iter().filter(|tenant| tenant.state == RolloutTenantState::Deploying);
        for id in deploying.filter_map(|tenant| tenant.operation) {
            if self.asked.contains(&id) {
                continue;
            }
            match self.engine.cancel(id, "the rollout’s abort", None).await {
                Ok(_) | Err(StoreError::Finished { .. } | StoreError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
            self.asked.insert(id);
        }
        Ok(())
    }

    async fn pin_platform(&mut self, rollout: &mut Rollout) -> Result<Looked, StoreError> {
        match self.pinned(rollout).await {
            Ok(pin) => {
                let message = format!("tenants are brought to {pin}");
                let event = NewRolloutEvent::new(self.now(), RolloutEventKind::PlatformReady, message);
                let mut changed = Rollout { platform: Some(pin), ..rollout.clone() };
                self.record(&mut changed, event).await?;
                *rollout = changed;
                Ok(Looked::Changed)
            }
            // Paused, aborted, or the daemon stops: it is looked up anew when the rollout goes on.
            Err(StepError::Cancelled | StepError::Stopping | StepError::LeaseLost) => Ok(Looked::Wait),
            Err(StepError::Failed(failure)) if failure.transient && self.failed_pins < PIN_RETRIES => {
                self.failed_pins += 1;
                tracing::warn!(rollout = %self.id, error = %failure.message, "its platform is asked for again");
                Ok(Looked::Wait)
            }
            Err(StepError::Failed(failure)) => {
                let error = RolloutError { code: "platform".into(), message: failure.message };
                self.end(rollout, RolloutStatus::Failed, Some(error)).await
            }
        }
    }

    async fn pinned(&self, rollout: &Rollout) -> Result<String, StepError> {
        let bounds = Bounds { cancel: self.interruption(), timeout: self.shared().options.timeouts.evaluate };
        let builder = &self.shared().builder;
        match &rollout.spec.platform {
            Some(PlatformChoice::Flake(reference)) => builder.pin_platform(reference, &bounds).await,
            _ => {
                let pin = builder.platform(&bounds).await?.pin;
                builder.keep_platform(&pin, &bounds).await?;
                Ok(pin)
            }
        }
    }

    /// What interrupts a preparation: a pause, an abort, the daemon's end. A new one each time, as a paused rollout may go
    /// on.
    fn interruption(&self) -> CancellationToken {
        let token = self.shared().stopping.child_token();
        locked(&self.shared().fleet.driven).insert(self.id, token.clone());
        token
    }

    async fn begin_wave(&self, rollout: &mut Rollout, wave: u32) -> Result<Looked, StoreError> {
        let mut change = RolloutChange::default();
        let event =
            |kind, message: String, wave| NewRolloutEvent::new(self.now(), kind, message).of_wave(wave);
        if let Some(before) = rollout.current() {
            let message = format!("wave {} went well", before.number);
            change.events.push(event(RolloutEventKind::WaveFinished, message, before.number));
        }
        let size = rollout.waves.iter().find(|own| own.number == wave).map_or(0, |own| own.tenants);
        let of = rollout.waves.len();
        let message = format!("wave {wave} of {of}: {}", counted(size as usize, "tenant"));
        change.events.push(event(RolloutEventKind::WaveStarted, message, wave));
        let mut changed = Rollout { wave, ..rollout.clone() };
        self.shared().records.record_rollout(&mut changed, change, None).await?;
        *rollout = changed;
        Ok(Looked::Changed)
    }

    async fn deploy(&mut self, rollout: &mut Rollout) -> Result<Looked, StoreError> {
        let shared = Arc::clone(&self.engine.shared);
        // Until one more is written down: who counts meanwhile would take the same place.
        let counting = shared.fleet.counting.lock().await;
        if self.room(rollout).await? == 0 {
            return Ok(Looked::Wait);
        }
        let free = |tenant: &&RolloutTenant| !self.busy.contains(&tenant.tenant);
        let Some(tenant) = plan::waiting(rollout).find(free).cloned() else { return Ok(Looked::Wait) };
        if !self.ahead.contains(&tenant.tenant) {
            drop(counting);
            self.evaluate_ahead(rollout).await;
            // It may have been paused meanwhile.
            return Ok(Looked::Again);
        }
        let record = match self.shared().records.tenant(&tenant.tenant).await {
            // Whoever took the name since was not selected, and may never have been deployed.
            Ok(record) if record.created_at > rollout.created_at => {
                return self.pass_over(rollout, &tenant).await;
            }
            Ok(record) => record,
            Err(StoreError::NotFound { .. }) => return self.pass_over(rollout, &tenant).await,
            Err(error) => return Err(error),
        };
        let operation = deployment(rollout, record, &*self.shared().clock);
        let tenant = RolloutTenant { operation: Some(operation.id), ..tenant };
        let (tenant, event) = moved(&tenant, RolloutTenantState::Deploying, "deploying", self.now());
        let name = tenant.tenant.clone();
        let change = RolloutChange { events: vec![event], tenants: vec![tenant], operation: Some(operation) };
        match self.shared().records.record_rollout(rollout, change, None).await {
            Ok(_) => {
                self.shared().queued.notify_one();
                Ok(Looked::Changed)
            }
            // Its turn comes when it is free.
            Err(StoreError::OperationRunning { .. }) => {
                self.busy.insert(name);
                Ok(Looked::Again)
            }
            // It went away in between; the next look sees that.
            Err(StoreError::NotFound { what: "tenant", .. }) => Ok(Looked::Again),
            Err(error) => Err(error),
        }
    }

    async fn room(&self, rollout: &Rollout) -> Result<usize, StoreError> {
        let records = &self.shared().records;
        let running = records.unfinished_rollouts().await?;
        let running = running.iter().filter(|(_, status)| *status == RolloutStatus::Running).count();
        // One place is left for those who wait for a deployment of their own.
        let all = self.shared().options.parallel_operations.saturating_sub(1).max(1);
        Ok(plan::room(rollout, all, running, records.rollout_operations().await?))
    }

    async fn pass_over(&self, rollout: &mut Rollout, tenant: &RolloutTenant) -> Result<Looked, StoreError> {
        let (tenant, event) = moved(tenant, RolloutTenantState::Gone, "it was deleted", self.now());
        let change = RolloutChange { events: vec![event], tenants: vec![tenant], operation: None };
        self.shared().records.record_rollout(rollout, change, None).await?;
        Ok(Looked::Changed)
    }

    /// Evaluates the next tenants of the wave together. What comes of it is only a gain of time.
    async fn evaluate_ahead(&mut self, rollout: &Rollout) {
        let fresh = plan::waiting(rollout).map(|tenant| &tenant.tenant);
        let fresh = fresh.filter(|tenant| !self.ahead.contains(*tenant));
        let chunk: Vec<TenantName> = fresh.take(CHUNK).cloned().collect();
        if chunk.len() > 1 {
            let outcome = self.shared().evaluate_ahead(rollout, &chunk, &self.interruption()).await;
            match outcome {
                Ok(()) => {}
                // It is taken up again when the rollout goes on.
                Err(StepError::Cancelled | StepError::Stopping | StepError::LeaseLost) => return,
                Err(error) => {
                    tracing::warn!(rollout = %self.id, %error, "tenants are evaluated one by one");
                }
            }
        }
        self.ahead.extend(chunk);
    }

    async fn end(
        &self,
        rollout: &mut Rollout,
        status: RolloutStatus,
        error: Option<RolloutError>,
    ) -> Result<Looked, StoreError> {
        let mut change = RolloutChange::default();
        for tenant in rollout.tenants.iter().filter(|tenant| !tenant.state.is_final()) {
            // What is left is told by the end itself; thousands of events would tell nothing more.
            change.tenants.push(RolloutTenant { state: RolloutTenantState::Untouched, ..tenant.clone() });
        }
        let message = error.as_ref().map_or_else(|| status.word().to_owned(), |error| error.message.clone());
        let now = self.now();
        let event = NewRolloutEvent::new(now, RolloutEventKind::Finished, message);
        change.events.push(event.ending(status, error.clone()));
        let mut changed = Rollout { status, error, finished_at: Some(now), ..rollout.clone() };
        self.shared().records.record_rollout(&mut changed, change, None).await?;
        *rollout = changed;
        tracing::info!(rollout = %self.id, %status, "ended");
        self.shared().fleet.look_again();
        self.engine.release_platforms().await;
        Ok(Looked::Over)
    }

    async fn record(&self, rollout: &mut Rollout, event: NewRolloutEvent) -> Result<(), StoreError> {
        let change = RolloutChange { events: vec![event], ..RolloutChange::default() };
        self.shared().records.record_rollout(rollout, change, None).await.map(drop)
    }
}

/// What an operation's end means to its tenant; nothing while it runs.
fn outcome(standing: Option<&Standing>) -> Option<(RolloutTenantState, String)> {
    let Some(standing) = standing else {
        return Some((RolloutTenantState::Failed, "its operation is gone".into()));
    };
    let error = || {
        let error = standing.error.as_ref();
        error.map_or("failed".into(), |error| format!("{} ({})", error.message, error.code))
    };
    match standing.status {
        OperationStatus::Queued | OperationStatus::Running => None,
        OperationStatus::Succeeded => Some((RolloutTenantState::Succeeded, "deployed".into())),
        OperationStatus::Cancelled => {
            Some((RolloutTenantState::Cancelled, "its deployment was cancelled".into()))
        }
        OperationStatus::Failed => Some((RolloutTenantState::Failed, error())),
    }
}
