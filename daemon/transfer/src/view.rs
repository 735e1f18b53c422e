//! What the target says of an offer.

pub use berth_domain::migration::{MovePhase as Phase, Obstacle};
use berth_domain::{Address, Progress, Rehearsal, TenantName};
use berth_sign::{Countersignature, JwsError, PublicKey, Sha256Hex};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::sealed::Sealed;
use crate::statement::{Statement, StatementError};

/// The role in which the target countersigns the manifest.
pub const TARGET: &str = "target";

/// How an offer stands at the target, signed by it: the answer to every request.
///
/// Fields that are not known are passed over: the source acts upon those that it knows, and a newer target may tell more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Which offer.
    pub offer: Uuid,
    /// What the request called itself in its header [`NONCE`](crate::client::NONCE): this answers that request and no other.
    pub nonce: String,
    /// How far it is.
    pub phase: Phase,
    /// The [short code](crate::short_code), once the target knows the source.
    pub code: Option<String>,
    /// The tenant's name at the target, once it has one.
    pub tenant: Option<TenantName>,
    /// The address of the target's machine, which the source forwards to; once there is one.
    pub address: Option<Address>,
    /// What is in the way, and somebody can change.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// What is going on, or why it failed, for people.
    pub message: Option<String>,
    /// How far what is going on is.
    pub progress: Option<Progress>,
    /// Where the state is to be brought, from [`Phase::Receiving`] on.
    pub vault: Option<Entrance>,
    /// The ids of the source's restic snapshots whose files are in the target's machine already; null where the target does not
    /// restore anything before it has everything, or does not yet.
    #[serde(default)]
    pub ahead: Option<Vec<String>>,
    /// Whether the target restores snapshots of what has changed from one pass to the next; null where it knows none.
    #[serde(default)]
    pub follows_changes: Option<bool>,
    /// Whether the target makes snapshots of everything of those, so that no pass has to be one; null where it knows none.
    #[serde(default)]
    pub merges_changes: Option<bool>,
    /// Whether the target follows databases by what changes in them: false once there was one that it could not, or where it restores
    /// nothing ahead and will not; null where it knows nothing of it.
    #[serde(default)]
    pub replicates_databases: Option<bool>,
    /// Whether what was handed in is a rehearsal; null where the target knows none.
    #[serde(default)]
    pub rehearses: Option<bool>,
    /// What the rehearsal found so far, where there is one.
    #[serde(default)]
    pub rehearsal: Option<Rehearsal>,
    /// Whether the target keeps a [way back](crate::HandOver::way_back) that it is given; null where it knows none.
    #[serde(default)]
    pub knows_way_back: Option<bool>,
    /// A [`Countersignature`] over the manifest, once it serves: [`View::receipt`].
    pub countersignature: Option<String>,
}

/// Where the source brings the state: a restic repository behind the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrance {
    /// The path below the ticket's url: `/v1/transfers/OFFER/vault/ID/`. Never to be joined to it by hand:
    /// [`Target::vault`](crate::Target::vault).
    pub path: String,
    /// The repository's password, sealed to [`Claim::recipient`](crate::Claim::recipient).
    pub key: Sealed,
}

impl View {
    /// Reads the answer to one's own request.
    ///
    /// # Errors
    /// [`StatementError`]; [`StatementError::OtherNonce`] for an answer to another request.
    pub fn answer(jws: &str, key: &PublicKey, offer: Uuid, nonce: &str) -> Result<Self, StatementError> {
        let view = Self::verify(jws, key, offer)?;
        if view.nonce == nonce { Ok(view) } else { Err(StatementError::OtherNonce) }
    }

    /// The target's receipt, if there is one: its countersignature over this manifest and no other, by this key.
    ///
    /// # Errors
    /// [`StatementError::Signature`], [`StatementError::OtherManifest`]
    pub fn receipt(
        &self,
        manifest: &Sha256Hex,
        target: &PublicKey,
    ) -> Result<Option<Countersignature>, StatementError> {
        let Some(jws) = &self.countersignature else { return Ok(None) };
        let (receipt, key) = Countersignature::verify(jws)?;
        if key != *target {
            let (wanted, found) = (target.id().to_string(), key.id().to_string());
            return Err(JwsError::OtherKey { wanted, found }.into());
        }
        if receipt.manifest_sha256 != *manifest || receipt.role != TARGET {
            return Err(StatementError::OtherManifest);
        }
        Ok(Some(receipt))
    }

    /// Whether the target has said that it restores nothing before it has everything: there is nothing to be waited for.
    pub fn restores_nothing_ahead(&self) -> bool {
        self.ahead.is_none() && self.replicates_databases == Some(false)
    }
}

impl Statement for View {
    const TYP: &'static str = "berth-transfer-view+jws";

    fn offer(&self) -> Uuid {
        self.offer
    }
}
