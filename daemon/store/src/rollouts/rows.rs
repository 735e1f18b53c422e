//! Rollouts and their tenants as rows.

use berth_domain::rollout::{RolloutTenantState, RolloutWave};
use berth_domain::{Rollout, RolloutStatus, RolloutTenant};
use diesel::prelude::*;

use crate::columns::{from_json, json, maybe_parse, maybe_time, millis, parse, time, word};
use crate::error::StoreError;
use crate::schema::{rollout_tenants, rollouts};

#[derive(Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = rollouts, treat_none_as_null = true)]
pub(super) struct Row {
    pub(super) id: String,
    status: String,
    spec: String,
    platform: Option<String>,
    wave: i32,
    cancel_operations: bool,
    error: Option<String>,
    requested_by: String,
    created_at: i64,
    finished_at: Option<i64>,
    last_seq: i64,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = rollout_tenants)]
pub(super) struct TenantRow {
    rollout_id: String,
    position: i32,
    tenant: String,
    wave: i32,
    state: String,
    operation_id: Option<String>,
    problem: Option<String>,
}

/// A wave's number, a state's word, and how many tenants of the wave stand there.
pub(super) type Count = (i32, String, i64);

impl Row {
    pub(super) fn of(rollout: &Rollout) -> Result<Self, StoreError> {
        Ok(Self {
            id: rollout.id.to_string(),
            status: rollout.status.word().into(),
            spec: json("rollouts.spec", &rollout.spec)?,
            platform: rollout.platform.clone(),
            wave: number(rollout.wave),
            cancel_operations: rollout.cancel_operations,
            error: rollout.error.as_ref().map(|error| json("rollouts.error", error)).transpose()?,
            requested_by: rollout.requested_by.clone(),
            created_at: millis(rollout.created_at),
            finished_at: rollout.finished_at.map(millis),
            last_seq: rollout.last_seq,
        })
    }

    /// The rollout, without its tenants and uncounted.
    pub(super) fn rollout(self) -> Result<Rollout, StoreError> {
        Ok(Rollout {
            id: parse("rollouts.id", &self.id)?,
            status: word("rollouts.status", &self.status, RolloutStatus::from_word)?,
            spec: from_json("rollouts.spec", &self.spec)?,
            platform: self.platform,
            wave: self.wave.unsigned_abs(),
            waves: Vec::new(),
            tenants: Vec::new(),
            cancel_operations: self.cancel_operations,
            error: self.error.map(|error| from_json("rollouts.error", &error)).transpose()?,
            requested_by: self.requested_by,
            created_at: time("rollouts.created_at", self.created_at)?,
            finished_at: maybe_time("rollouts.finished_at", self.finished_at)?,
            last_seq: self.last_seq,
        })
    }
}

impl TenantRow {
    pub(super) fn all_of(rollout: &Rollout) -> Vec<Self> {
        let row = |(position, tenant): (i32, &RolloutTenant)| Self {
            rollout_id: rollout.id.to_string(),
            position,
            tenant: tenant.tenant.to_string(),
            wave: number(tenant.wave),
            state: tenant.state.word().into(),
            operation_id: tenant.operation.map(|id| id.to_string()),
            problem: tenant.problem.clone(),
        };
        (0..).zip(&rollout.tenants).map(row).collect()
    }

    pub(super) fn tenant(self) -> Result<RolloutTenant, StoreError> {
        Ok(RolloutTenant {
            tenant: parse("rollout_tenants.tenant", &self.tenant)?,
            wave: self.wave.unsigned_abs(),
            state: word("rollout_tenants.state", &self.state, RolloutTenantState::from_word)?,
            operation: maybe_parse("rollout_tenants.operation_id", self.operation_id.as_deref())?,
            problem: self.problem,
        })
    }
}

/// The waves, from counts that come wave by wave.
pub(super) fn counted(counts: Vec<Count>) -> Result<Vec<RolloutWave>, StoreError> {
    let mut waves: Vec<RolloutWave> = Vec::new();
    for (wave, state, tenants) in counts {
        let number = wave.unsigned_abs();
        if waves.last().is_none_or(|wave| wave.number != number) {
            waves.push(RolloutWave { number, ..RolloutWave::default() });
        }
        let state = word("rollout_tenants.state", &state, RolloutTenantState::from_word)?;
        if let Some(wave) = waves.last_mut() {
            wave.count(state, u32::try_from(tenants).unwrap_or(u32::MAX));
        }
    }
    Ok(waves)
}

/// A wave's number as both databases have it; there are at most 51.
fn number(wave: u32) -> i32 {
    i32::try_from(wave).unwrap_or(i32::MAX)
}
