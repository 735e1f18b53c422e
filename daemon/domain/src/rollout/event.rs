//! What a rollout reports: an append-only list of numbered events.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{RolloutError, RolloutId, RolloutStatus, RolloutTenant, RolloutTenantState};
use crate::name::TenantName;
use crate::operation::words;

words! {
    /// What a rollout's event tells.
    RolloutEventKind {
        /// The rollout was written down; always event 1.
        Accepted = "accepted",
        /// The platform that its tenants are brought to has one fixed content now.
        PlatformReady = "platform_ready",
        /// A wave began.
        WaveStarted = "wave_started",
        /// A wave ended well.
        WaveFinished = "wave_finished",
        /// An operation was made for a tenant.
        TenantStarted = "tenant_started",
        /// The rollout is done with a tenant; `state` says how that went.
        TenantFinished = "tenant_finished",
        /// Something that a person should know of, though it does not stop the rollout.
        Warning = "warning",
        /// Somebody asked to pause.
        Paused = "paused",
        /// Somebody asked to go on.
        Resumed = "resumed",
        /// Somebody asked to abort.
        AbortRequested = "abort_requested",
        /// The rollout ended; always the last event. `status` says how.
        Finished = "finished",
    }
}

/// One event of a rollout. `seq` counts from 1 without holes within its rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutEvent {
    /// The rollout that reports.
    pub rollout: Uuid,
    /// Its number within the rollout: 1, 2, 3, …
    pub seq: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What it tells.
    pub kind: RolloutEventKind,
    /// What happened, for a person.
    pub message: String,
    /// The wave that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
    /// The tenant that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// That tenant's operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Uuid>,
    /// Where the tenant stands now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<RolloutTenantState>,
    /// How the rollout ended, with `finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<RolloutStatus>,
    /// Why it failed, with `finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RolloutError>,
}

/// An event before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRolloutEvent {
    at: DateTime<Utc>,
    kind: RolloutEventKind,
    message: String,
    wave: Option<u32>,
    tenant: Option<RolloutTenant>,
    end: Option<(RolloutStatus, Option<RolloutError>)>,
}

impl NewRolloutEvent {
    /// An event with nothing but words.
    pub fn new(at: DateTime<Utc>, kind: RolloutEventKind, message: impl Into<String>) -> Self {
        Self { at: at.trunc_subsecs(3), kind, message: message.into(), wave: None, tenant: None, end: None }
    }

    /// The same, of a wave.
    #[must_use]
    pub fn of_wave(mut self, wave: u32) -> Self {
        self.wave = Some(wave);
        self
    }

    /// The same, about a tenant as it stands now.
    #[must_use]
    pub fn of_tenant(mut self, tenant: &RolloutTenant) -> Self {
        self.wave = Some(tenant.wave);
        self.tenant = Some(tenant.clone());
        self
    }

    /// The same, as the last one.
    #[must_use]
    pub fn ending(mut self, status: RolloutStatus, error: Option<RolloutError>) -> Self {
        self.end = Some((status, error));
        self
    }

    /// The event with its number.
    pub fn numbered(self, rollout: RolloutId, seq: i64) -> RolloutEvent {
        let (status, error) = self.end.unzip();
        let (tenant, operation, state) = match self.tenant {
            Some(of) => (Some(of.tenant), of.operation, Some(of.state)),
            None => (None, None, None),
        };
        RolloutEvent {
            rollout,
            seq,
            at: self.at,
            kind: self.kind,
            message: self.message,
            wave: self.wave,
            tenant,
            operation,
            state,
            status,
            error: error.flatten(),
        }
    }
}
