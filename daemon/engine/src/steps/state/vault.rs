//! The tenant's vault, and the machine's way to it.

use std::time::Duration;

use berth_domain::{Snapshot, SnapshotId, VaultId};
use berth_protocol::{Answer, Claim, Follower, Replicate, Repository, Request, SecretText};
use berth_seal::About;
use berth_store::{StoreError, VaultRecord};
use secrecy::SecretString;

use super::super::{Context, FOR_THE_ANSWER};
use crate::error::{AGENT_FAILED, SNAPSHOT_GONE, StepError};
use crate::ports::{Admission, FarVault, Report, Sink, VaultAccess, Way};

/// How often it is looked whether what removes something from a vault has ended.
const LOOK: Duration = Duration::from_secs(1);

/// How many random bytes a vault's key has.
const KEY_BYTES: usize = 32;

/// The user that the vault knows everybody by; the token is what counts.
const USER: &str = "berth";

/// A repository of snapshots.
pub(in super::super) enum Depot {
    /// A tenant's own vault, behind this daemon.
    Own(VaultRecord),
    /// That of another provider.
    Far {
        vault: FarVault,
        /// What it is encrypted with.
        key: SecretString,
        /// How the other follows what changes from pass to pass.
        follower: Follower,
        /// Which databases are told by what changes in them.
        replicate: Option<Replicate>,
    },
}

impl Depot {
    /// Has databases told by what changes in them, where another provider follows that.
    pub(in super::super) fn replicate(&mut self, which: Option<Replicate>) {
        if let Self::Far { replicate, .. } = self {
            *replicate = which;
        }
    }
}

/// A repository as the machine reaches it, for as long as this lives.
struct Entrance {
    repository: Repository,
    _admission: Admission,
    _way: Box<dyn Way>,
}

impl Context {
    /// The tenant's vault; a new one where it has none.
    pub(in super::super) async fn vault(&self) -> Result<VaultRecord, StepError> {
        let records = &self.shared.records;
        if let Some(vault) = records.vault(&self.tenant).await? {
            return Ok(vault);
        }
        let id: VaultId = self.shared.clock.id();
        let key = random_key()?;
        let sealed_key = self.shared.keys.seal(&About::vault(&id.to_string()), &key)?;
        let vault = VaultRecord { id, sealed_key };
        let kept = records.keep_vault(self.hold(), &self.tenant, &vault, self.shared.clock.now()).await?;
        // Where this does not happen, the machine makes it (`restic init`), and each call of restic takes longer from then on.
        if kept == vault {
            self.shared.vaults.make(id, &key).await?;
        }
        Ok(kept)
    }

    /// The key that a vault is encrypted with.
    pub(in super::super) fn vault_key(&self, vault: &VaultRecord) -> Result<SecretString, StepError> {
        Ok(self.shared.keys.open(&About::vault(&vault.id.to_string()), &vault.sealed_key)?)
    }

    /// A snapshot and its vault, once nothing is removed from that. From here on nothing will be until the operation ends.
    pub(in super::super) async fn readable(
        &self,
        id: SnapshotId,
        sink: &Sink,
    ) -> Result<(Snapshot, VaultRecord), StepError> {
        let records = &self.shared.records;
        let gone = || StepError::failed(SNAPSHOT_GONE, "this snapshot is not there any more");
        let mut told = false;
        loop {
            let (snapshot, vault) = match records.snapshot(id).await {
                Err(StoreError::NotFound { .. }) => return Err(gone()),
                found => found?,
            };
            let Some(by) = records.pruner(vault.id).await? else {
                // It may have been removed between the two questions.
                let (snapshot, vault) = match records.snapshot(snapshot.id).await {
                    Err(StoreError::NotFound { .. }) => return Err(gone()),
                    found => found?,
                };
                return if snapshot.forgetting { Err(gone()) } else { Ok((snapshot, vault)) };
            };
            if !told {
                told = true;
                sink(Report::Line(format!("the operation {by} removes other snapshots first")));
            }
            let cancel = self.bounds(LOOK).cancel;
            if cancel.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_none() {
                return Err(StepError::Cancelled);
            }
        }
    }

    /// Asks the agent for something that it does with a vault. It may be at it already, for a predecessor whose way into the vault
    /// ended with it, or lose its own with the connection: what failed is asked for once more, over a new way.
    pub(in super::super) async fn ask_with(
        &mut self,
        depot: &Depot,
        access: VaultAccess,
        sink: &Sink,
        request: impl Fn(Claim, Repository) -> Request,
    ) -> Result<Answer, StepError> {
        let timeout = self.shared.options.timeouts.state + FOR_THE_ANSWER;
        let mut again = true;
        loop {
            let entrance = self.enter(depot, access, sink).await?;
            let request = request(self.own_claim(), entrance.repository.clone());
            match self.call(request, timeout, sink).await {
                Err(StepError::Failed(failure)) if again && failure.code == AGENT_FAILED => {
                    again = false;
                    sink(Report::Line(format!("it is tried again: {}", failure.message)));
                }
                answer => return answer,
            }
        }
    }

    /// Opens the machine's way into a vault.
    async fn enter(
        &mut self,
        depot: &Depot,
        access: VaultAccess,
        sink: &Sink,
    ) -> Result<Entrance, StepError> {
        let vaults = &self.shared.vaults;
        let (admission, key) = match depot {
            Depot::Own(vault) => (vaults.admit(vault.id, access).await?, self.vault_key(vault)?),
            Depot::Far { vault, key, .. } => (vaults.admit_far(vault).await?, key.clone()),
        };
        let bounds = self.bounds(self.shared.options.timeouts.brief);
        let way = self.session(sink).await?.lead_to(admission.address, &bounds).await?;
        let repository = Repository {
            url: format!("http://127.0.0.1:{}{}", way.port(), admission.path),
            user: USER.into(),
            password: text(&admission.token),
            key: text(&key),
        };
        Ok(Entrance { repository, _admission: admission, _way: way })
    }
}

fn random_key() -> Result<SecretString, StepError> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| StepError::failed("internal", error.to_string()))?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(SecretString::from(digits))
}

fn text(secret: &SecretString) -> SecretText {
    SecretText::from(secret.clone())
}
