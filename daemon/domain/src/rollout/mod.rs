//! Rollouts: the same change to many tenants, in waves, each of which has to go well before the next one begins.
//!
//! | module | subject |
//! | --- | --- |
//! | [`spec`] | what a rollout is asked for: which tenants, in which waves, how much may fail |
//! | [`share`] | a number of tenants, or a percentage of them |
//! | [`event`] | what a rollout reports, numbered |

pub mod event;
pub mod share;
pub mod spec;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::TenantName;
use crate::operation::words;

pub use event::{NewRolloutEvent, RolloutEvent, RolloutEventKind};
pub use share::Share;
pub use spec::{PlatformChoice, RolloutDraft, RolloutSpec, Selector};

/// A rollout's id (UUID version 7: ids sort by time).
pub type RolloutId = Uuid;

words! {
    /// Where a rollout stands.
    RolloutStatus {
        /// Deploys tenants, wave by wave.
        Running = "running",
        /// Begins nothing until it is resumed; what was begun ends by itself.
        Paused = "paused",
        /// Begins nothing any more, and ends once what was begun has ended.
        Aborting = "aborting",
        /// Every wave went well.
        Succeeded = "succeeded",
        /// Too many tenants of a wave failed, or it could not begin; the error says which.
        Failed = "failed",
        /// Ended because somebody asked for it.
        Aborted = "aborted",
    }
}

impl RolloutStatus {
    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted)
    }
}

words! {
    /// Where a tenant stands in a rollout.
    RolloutTenantState {
        /// Its turn has not come, or another operation works on it.
        Waiting = "waiting",
        /// An operation deploys it.
        Deploying = "deploying",
        /// It was deployed, and proved that it serves.
        Succeeded = "succeeded",
        /// Its deployment failed.
        Failed = "failed",
        /// Somebody cancelled its deployment; counts as a failure.
        Cancelled = "cancelled",
        /// It was deleted before its turn came.
        Gone = "gone",
        /// The rollout ended before its turn came; nothing was done to it.
        Untouched = "untouched",
    }
}

impl RolloutTenantState {
    /// Whether the rollout is done with the tenant.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Deploying)
    }

    /// Whether it counts against what may fail.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Cancelled)
    }
}

/// Why a rollout failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutError {
    /// A stable name: `too-many-failures`, or what kept it from beginning, such as `platform`.
    #[schema(example = "too-many-failures")]
    pub code: String,
    /// What happened, for a person.
    pub message: String,
}

/// A tenant in a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutTenant {
    /// Which tenant.
    pub tenant: TenantName,
    /// The number of its wave, from 1.
    pub wave: u32,
    /// Where it stands.
    pub state: RolloutTenantState,
    /// The operation that deploys it, or did.
    pub operation: Option<Uuid>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// How far a wave is: how many of its tenants stand where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutWave {
    /// Its number, from 1.
    pub number: u32,
    /// How many tenants it has.
    pub tenants: u32,
    /// How many wait.
    pub waiting: u32,
    /// How many are being deployed.
    pub deploying: u32,
    /// How many were deployed.
    pub succeeded: u32,
    /// How many failed or were cancelled.
    pub failed: u32,
    /// How many went away, or were left as they were.
    pub passed_over: u32,
}

impl RolloutWave {
    /// Counts tenants that stand in `state`.
    pub fn count(&mut self, state: RolloutTenantState, tenants: u32) {
        self.tenants += tenants;
        let counter = match state {
            RolloutTenantState::Waiting => &mut self.waiting,
            RolloutTenantState::Deploying => &mut self.deploying,
            RolloutTenantState::Succeeded => &mut self.succeeded,
            RolloutTenantState::Failed | RolloutTenantState::Cancelled => &mut self.failed,
            RolloutTenantState::Gone | RolloutTenantState::Untouched => &mut self.passed_over,
        };
        *counter += tenants;
    }
}

/// The same change to many tenants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// Its id.
    pub id: Uuid,
    /// Where it stands.
    pub status: RolloutStatus,
    /// What was asked for.
    #[schema(value_type = RolloutDraft)]
    pub spec: RolloutSpec,
    /// The platform that its tenants are brought to, at one fixed content; absent until it was looked up, and where each
    /// tenant keeps its own.
    pub platform: Option<String>,
    /// The number of the wave that it is at; 0 before the first.
    pub wave: u32,
    /// Its waves, in their order.
    pub waves: Vec<RolloutWave>,
    /// Its tenants, in the order of their turns; left out of lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<RolloutTenant>,
    /// With `aborting`: whether the operations that run were asked to stop as well.
    pub cancel_operations: bool,
    /// Why it failed.
    pub error: Option<RolloutError>,
    /// The name of the token that asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The number of its newest event.
    pub last_seq: i64,
}

impl Rollout {
    /// A rollout over `tenants`, which are in the order of their turns; its first event, that it was accepted, is
    /// counted.
    pub fn new(
        spec: RolloutSpec,
        tenants: Vec<TenantName>,
        requested_by: String,
        now: DateTime<Utc>,
    ) -> Self {
        let sizes = spec.wave_sizes(tenants.len());
        let waves = (1..).zip(sizes).flat_map(|(wave, size)| std::iter::repeat_n(wave, size));
        let tenants = tenants.into_iter().zip(waves).map(|(tenant, wave)| RolloutTenant {
            tenant,
            wave,
            state: RolloutTenantState::Waiting,
            operation: None,
            problem: None,
        });
        let mut rollout = Self {
            id: Uuid::now_v7(),
            status: RolloutStatus::Running,
            spec,
            platform: None,
            wave: 0,
            waves: Vec::new(),
            tenants: tenants.collect(),
            cancel_operations: false,
            error: None,
            requested_by,
            created_at: now,
            finished_at: None,
            last_seq: 1,
        };
        rollout.count();
        rollout
    }

    /// Counts its waves anew.
    pub fn count(&mut self) {
        self.waves.clear();
        for tenant in &self.tenants {
            if self.waves.last().is_none_or(|wave| wave.number != tenant.wave) {
                self.waves.push(RolloutWave { number: tenant.wave, ..RolloutWave::default() });
            }
            if let Some(wave) = self.waves.last_mut() {
                wave.count(tenant.state, 1);
            }
        }
    }

    /// The wave that it is at.
    pub fn current(&self) -> Option<&RolloutWave> {
        self.waves.iter().find(|wave| wave.number == self.wave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_spread_over_waves_in_their_order() {
        let tenants: Vec<TenantName> = (0..25).map(|n| format!("t{n}").parse().unwrap()).collect();
        let rollout = Rollout::new(RolloutSpec::of(Selector::All), tenants, "ann".into(), Utc::now());
        let sizes: Vec<_> =
            rollout.waves.iter().map(|wave| (wave.number, wave.tenants, wave.waiting)).collect();
        assert_eq!(sizes, [(1, 1, 1), (2, 3, 3), (3, 21, 21)]);
        assert_eq!(rollout.tenants[1].tenant.as_str(), "t1");
        assert_eq!(rollout.tenants[1].wave, 2);
    }
}
