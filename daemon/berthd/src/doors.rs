//! Whom the vault lets in: steps of operations, with the tokens that they are given, and whoever brings a tenant here, with a
//! ticket.

use std::sync::Arc;

use async_trait::async_trait;
use berth_domain::{MigrationId, MovePhase};
use berth_sign::Sha256Hex;
use berth_store::{Store, StoreError};
use berth_transfer::token_fits;
use berth_vault::{Access, Caller, Credentials, Gate, Mode, Refusal, RepositoryName, Tokens};

/// The vault's gate.
pub(crate) struct Doors {
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) store: Store,
}

#[async_trait]
impl Gate for Doors {
    async fn admit(&self, repository: &RepositoryName, caller: &Caller) -> Result<Access, Refusal> {
        // A ticket is presented under its own id, a token under any name that is none.
        match caller.credentials.as_ref().map(|given| (MigrationId::try_parse(&given.user), given)) {
            Some((Ok(id), given)) => self.admit_ticket(id, given, repository).await,
            _ => self.tokens.admit(repository, caller).await,
        }
    }
}

impl Doors {
    /// The vault of the tenant that the ticket is for is open as long as the tenant's state is brought: whoever brings it may
    /// add, and remove nothing.
    async fn admit_ticket(
        &self,
        id: MigrationId,
        given: &Credentials,
        repository: &RepositoryName,
    ) -> Result<Access, Refusal> {
        let record = match self.store.arrival(id).await {
            Ok(record) => record,
            Err(StoreError::NotFound { .. }) => return Err(Refusal::Unauthorized),
            Err(error) => return Err(unknown(&error)),
        };
        let kept: Sha256Hex = record.token_hash.parse().map_err(|_| Refusal::Unauthorized)?;
        if !token_fits(&given.password, &kept) {
            return Err(Refusal::Unauthorized);
        }
        let arrival = record.arrival;
        let (MovePhase::Receiving, Some(tenant)) = (arrival.phase, arrival.tenant) else {
            return Err(Refusal::Forbidden);
        };
        let vault = self.store.vault(&tenant).await.map_err(|error| unknown(&error))?;
        let own = vault.is_some_and(|vault| vault.id.to_string() == repository.as_str());
        let access = Access { mode: Mode::AppendOnly, quota_bytes: arrival.max_bytes };
        if own { Ok(access) } else { Err(Refusal::Forbidden) }
    }
}

/// The database does not say who may come in.
fn unknown(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the vault cannot tell who may come in");
    Refusal::Unavailable
}
