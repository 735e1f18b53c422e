//! Tenants on their way from one provider, the *source*, to another, the *target*.
//!
//! The target issues a ticket, and keeps what becomes of it as an [`Arrival`]; the source, at which the ticket is handed in, keeps
//! its half as a [`Departure`]. Both have the same id, the ticket's.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::hostname::{Address, DomainName};
use crate::name::{MachineName, PlanName, ServiceName, TenantName};
use crate::operation::words;
use crate::rehearsal::Rehearsal;

/// The id of a migration, which is that of its ticket (UUID version 7: ids sort by time).
pub type MigrationId = Uuid;

words! {
    /// Where a migration stands, as the target sees it.
    MovePhase {
        /// The ticket was issued, and nobody has handed it in.
        Offered = "offered",
        /// A source has handed it in; somebody at the target has to accept what it brings.
        Claimed = "claimed",
        /// The target sets the tenant up, its services stopped.
        Preparing = "preparing",
        /// The target takes the tenant's state.
        Receiving = "receiving",
        /// The target puts the state in place and compares it with the source's.
        Restoring = "restoring",
        /// A rehearsal: the target starts the services behind a fence, asks them, and throws the copy away.
        Trying = "trying",
        /// A rehearsal came to its good end: nothing of the copy is left, and the ticket can be handed in again.
        Rehearsed = "rehearsed",
        /// Everything is in place; the source has to stop for good.
        Ready = "ready",
        /// The source has stopped for good; the target starts the services.
        GoingLive = "going-live",
        /// The target serves.
        Live = "live",
        /// It came to nothing: the tenant is the source's.
        Failed = "failed",
    }
}

impl MovePhase {
    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Live | Self::Failed | Self::Rehearsed)
    }

    /// Whether the ticket can be handed in, or handed in again.
    pub fn is_vacant(self) -> bool {
        matches!(self, Self::Offered | Self::Failed | Self::Rehearsed)
    }

    /// Whether the target, and nobody else, may let the services write.
    pub fn is_the_targets(self) -> bool {
        matches!(self, Self::GoingLive | Self::Live)
    }
}

/// Something that keeps a tenant from moving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Obstacle {
    /// A stable name, such as `domain-taken`.
    pub code: String,
    /// What it is, for a person.
    pub message: String,
    /// The part of the tenant that it is about, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// Files that are at the target already, before the source has sent everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ahead {
    /// The ids of the restic snapshots that they are of, and how many bytes the files of each take on the machine's disk.
    pub snapshots: BTreeMap<String, u64>,
    /// Whether snapshots of everything could be made of all that has come so far.
    #[serde(default)]
    pub merged: bool,
    /// Databases that could not be followed by what changes in them, and why not; the source sends them as dumps then.
    #[serde(default)]
    pub refused: Vec<String>,
}

/// Whom a ticket was handed in by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Source {
    /// What it calls itself.
    pub provider: String,
    /// The thumbprint (RFC 7638) of the key that it signs with.
    pub key: String,
    /// The tenant's name there.
    pub tenant: TenantName,
    /// The tenant's domain.
    pub domain: DomainName,
    /// The services that it brings, and how many bytes each has, where that is known.
    #[schema(value_type = BTreeMap<String, Option<u64>>)]
    pub services: BTreeMap<ServiceName, Option<u64>>,
}

/// A ticket, and what became of it, at the provider that issued it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Arrival {
    /// Its id.
    pub id: Uuid,
    /// The machine that the tenant comes to.
    pub machine: MachineName,
    /// What the tenant is called here; what it is called at the source without it, and from the acceptance on in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// The plan that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// The only services that it may bring; any without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub services: Option<BTreeSet<ServiceName>>,
    /// How many bytes it may bring into its vault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// The migration by which the tenant left: the ticket is its way back, and was given to its new provider with the hand-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Uuid>,
    /// The name of the token that issued it.
    pub issued_by: String,
    /// When it was issued.
    pub created_at: DateTime<Utc>,
    /// Until when it can be handed in.
    pub expires_at: DateTime<Utc>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// Where the migration stands.
    pub phase: MovePhase,
    /// Who has handed it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What both providers show: whoever accepts compares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// What keeps the tenant from coming.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// The system with which the tenant's services are stopped here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standby: Option<String>,
    /// The operation that takes the tenant in, or tries a copy of it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Uuid>,
    /// Whether the ticket was handed in for a rehearsal the last time.
    #[serde(default)]
    pub rehearses: bool,
    /// What the newest rehearsal found; kept when the ticket is handed in again for the move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// What has been restored at the target although the source has not sent everything yet; absent where nothing has been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<Ahead>,
    /// Whether nothing is restored before the source has sent everything: the machine cannot, or it failed several times.
    #[serde(default)]
    pub never_ahead: bool,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The source's signed manifest of what was moved (a JWS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// This provider's signature under it, once the tenant is served here (a JWS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countersignature: Option<String>,
    /// Until when the tenant can go back to where it came from, by `POST /v1/tenants/{name}/migration/undo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back_until: Option<DateTime<Utc>>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
}

impl Arrival {
    /// A ticket that nobody has handed in, for whatever tenant comes to this machine.
    pub fn offered(
        id: MigrationId,
        machine: MachineName,
        issued_by: String,
        created_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            machine,
            tenant: None,
            plan: None,
            services: None,
            max_bytes: None,
            returns: None,
            issued_by,
            created_at,
            expires_at,
            revoked_at: None,
            phase: MovePhase::Offered,
            source: None,
            code: None,
            obstacles: Vec::new(),
            standby: None,
            operation: None,
            rehearses: false,
            rehearsal: None,
            ahead: None,
            never_ahead: false,
            message: None,
            manifest: None,
            countersignature: None,
            way_back_until: None,
            ended_at: None,
        }
    }

    /// Whether the ticket can still be handed in, or handed in anew by the same source.
    pub fn is_open(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && (!self.phase.is_vacant() || now < self.expires_at)
    }
}

/// A tenant that leaves, at the provider that it leaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Departure {
    /// The migration's id, which is the ticket's.
    pub id: Uuid,
    /// The operation that moves the tenant.
    pub operation: Uuid,
    /// The tenant.
    pub tenant: TenantName,
    /// Where this provider's API is reached, which the way back leads to; absent where nobody else reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where the target's API is.
    pub target: String,
    /// The thumbprint (RFC 7638) of the key that the target signs with.
    pub target_key: String,
    /// Whether it was begun by this provider's own people: a customer's own word has nothing forwarded to an address that is
    /// not public.
    #[serde(default)]
    pub trusted: bool,
    /// What both providers show.
    pub code: String,
    /// Where the migration stands, as the target said last.
    pub phase: MovePhase,
    /// Of a rehearsal, what it found so far; absent for a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<Rehearsal>,
    /// What keeps the tenant from going.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obstacles: Vec<Obstacle>,
    /// The target's machine, which requests are forwarded to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<Address>,
    /// When the services were stopped to be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_at: Option<DateTime<Utc>>,
    /// From when on the target alone may let the services write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over_at: Option<DateTime<Utc>>,
    /// The ticket that the target was given for the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<Uuid>,
    /// Until when the tenant is kept here, in the mode `moved`; then the daemon removes it with all its data. Absent where it is
    /// kept until somebody removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<DateTime<Utc>>,
    /// When the tenant came back by the way back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<DateTime<Utc>>,
    /// When an administrator took the tenant back who knew that nobody serves it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_back_at: Option<DateTime<Utc>>,
    /// When the target was seen to serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served_at: Option<DateTime<Utc>>,
    /// This provider's signed manifest of what was moved (a JWS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The target's signature under it (a JWS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countersignature: Option<String>,
}

impl Departure {
    /// One of which the target has heard nothing yet: a move, unless it is said to be a rehearsal.
    pub fn begun(
        id: MigrationId,
        operation: Uuid,
        tenant: TenantName,
        target: String,
        target_key: String,
        code: String,
    ) -> Self {
        Self {
            id,
            operation,
            tenant,
            source: None,
            target,
            target_key,
            trusted: false,
            code,
            phase: MovePhase::Offered,
            rehearsal: None,
            obstacles: Vec::new(),
            address: None,
            stopped_at: None,
            handed_over_at: None,
            way_back: None,
            kept_until: None,
            returned_at: None,
            taken_back_at: None,
            served_at: None,
            manifest: None,
            countersignature: None,
        }
    }

    /// Whether another provider serves the tenant, or may serve it.
    pub fn is_elsewhere(&self) -> bool {
        self.handed_over_at.is_some() && self.taken_back_at.is_none() && self.returned_at.is_none()
    }

    /// The same of the tenant that was made at that time: what a former one of its name did is not this one's.
    pub fn has_taken(&self, created_at: DateTime<Utc>) -> bool {
        self.is_elsewhere() && self.handed_over_at.is_some_and(|at| at > created_at)
    }
}
