//! Rollouts, their tenants and events.

use std::collections::BTreeSet;

use berth_domain::event::NewEvent;
use berth_domain::rollout::NewRolloutEvent;
use berth_domain::{EventKind, Rollout, RolloutEvent, RolloutId, RolloutStatus};
use berth_store::rollouts::RolloutChange;
use berth_store::{Page, RolloutEventPage, StoreError, TenantRecord};

use super::{Result, Tables, not_found, stored};
use crate::weather::Weakness;

pub(super) struct Row {
    rollout: Rollout,
    events: Vec<RolloutEvent>,
}

impl Tables {
    /// Every rollout with all its events.
    pub fn every_rollout(&self) -> impl Iterator<Item = (&Rollout, &[RolloutEvent])> {
        self.rollouts.values().map(|row| (&row.rollout, row.events.as_slice()))
    }

    /// As the store's, but all of them at once.
    pub fn list_tenants(&self) -> Page<TenantRecord> {
        Page { items: self.tenants.values().cloned().collect(), next: None }
    }

    /// As the store's.
    pub fn platforms(&self) -> Vec<String> {
        let mut used: Vec<_> = self.tenants.values().filter_map(|tenant| tenant.platform.clone()).collect();
        used.sort();
        used.dedup();
        used
    }

    /// The platforms that tenants were deployed with, or are being brought to.
    pub fn needed_platforms(&self) -> BTreeSet<String> {
        let unfinished = self.rollouts.values().map(|row| &row.rollout).filter(|one| !one.status.is_final());
        self.platforms().into_iter().chain(unfinished.filter_map(|one| one.platform.clone())).collect()
    }

    /// As the store's.
    pub fn create_rollout(&mut self, rollout: &Rollout, first: NewRolloutEvent) {
        let events = vec![first.numbered(rollout.id, rollout.last_seq)];
        let mut rollout = rollout.clone();
        rollout.created_at = stored(rollout.created_at);
        rollout.count();
        self.rollouts.insert(rollout.id, Row { rollout, events });
    }

    /// As the store's.
    pub fn rollout(&self, id: RolloutId) -> Result<Rollout> {
        self.rollouts.get(&id).map(|row| row.rollout.clone()).ok_or_else(|| not_found("rollout", id))
    }

    /// As the store's.
    pub fn unfinished_rollouts(&self) -> Vec<(RolloutId, RolloutStatus)> {
        let unfinished = self.rollouts.values().filter(|row| !row.rollout.status.is_final());
        unfinished.map(|row| (row.rollout.id, row.rollout.status)).collect()
    }

    /// As the store's.
    pub fn rollout_platform(&self, id: RolloutId) -> Result<Option<String>> {
        self.rollout(id).map(|rollout| rollout.platform)
    }

    /// As the store's.
    pub fn record_rollout(
        &mut self,
        rollout: &mut Rollout,
        change: RolloutChange,
    ) -> Result<Vec<RolloutEvent>> {
        let id = rollout.id;
        let known = self.rollout(id)?;
        if known.status.is_final() {
            return Err(StoreError::RolloutFinished { rollout: id, status: known.status });
        }
        let stale = known.last_seq != rollout.last_seq;
        if stale && self.weakness != Some(Weakness::RolloutsIgnoreOthers) {
            return Err(StoreError::RolloutChanged);
        }
        if let Some(operation) = &change.operation {
            let tenant = self.tenants.get(&operation.tenant);
            if tenant.is_none_or(|tenant| tenant.created_at > known.created_at) {
                return Err(not_found("tenant", &operation.tenant));
            }
            self.check_may_begin(&operation.tenant)?;
            let accepted = format!("{} of {} accepted for a rollout", operation.kind, operation.tenant);
            self.insert(operation, NewEvent::new(operation.created_at, EventKind::Accepted, accepted));
        }
        // Rows of tenants that are not changed stay what they are, whatever the caller takes them for.
        let mut written = Rollout { tenants: known.tenants, last_seq: known.last_seq, ..rollout.clone() };
        for tenant in &change.tenants {
            if let Some(place) = written.tenants.iter_mut().find(|place| place.tenant == tenant.tenant) {
                let wave = place.wave;
                place.clone_from(tenant);
                place.wave = wave;
            }
        }
        written.count();
        written.finished_at = written.finished_at.map(stored);
        let numbered = (written.last_seq + 1..).zip(change.events);
        let events: Vec<_> = numbered.map(|(seq, event)| event.numbered(id, seq)).collect();
        written.last_seq += events.len() as i64;
        if let Some(row) = self.rollouts.get_mut(&id) {
            row.rollout = written.clone();
            row.events.extend(events.iter().cloned());
        }
        *rollout = written;
        Ok(events)
    }

    /// As the store's.
    pub fn rollout_events(&self, id: RolloutId, after: i64, limit: u32) -> Result<RolloutEventPage> {
        let row = self.rollouts.get(&id).ok_or_else(|| not_found("rollout", id))?;
        let wanted = row.events.iter().filter(|event| event.seq > after).take(limit as usize);
        let (events, status) = (wanted.cloned().collect(), row.rollout.status);
        Ok(RolloutEventPage { events, status, last_seq: row.rollout.last_seq })
    }
}
