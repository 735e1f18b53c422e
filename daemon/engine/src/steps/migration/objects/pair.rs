//! Services that have another bucket here than at the source, and what opens both.

use std::fmt;

use berth_domain::manifest::{Bucket, ServiceManifest};
use berth_domain::{ServiceName, TenantDraft};
use berth_transfer::Claim;
use berth_transfer::sealed::Purpose;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::super::super::Context;
use crate::buckets::{OBJECT_STORAGE, are_nobody_elses, host_of, is_at, key_setting};
use crate::error::{BUCKET_FAILED, NO_BUCKET, SECRET_SEALED, StepError};
use crate::ports::BucketConfig;

/// A service's bucket at the source, and the one that it has here.
#[derive(Debug, Clone)]
pub(in super::super) struct Pair {
    pub(in super::super) service: ServiceName,
    pub(in super::super) from: BucketConfig,
    pub(super) into: BucketConfig,
}

/// How a service's settings name its bucket (modules/lib/blocks.nix).
#[derive(Deserialize)]
struct Named {
    endpoint: String,
    #[serde(default = "usual_region")]
    region: String,
    bucket: String,
    access_key: String,
    #[serde(default)]
    secret_key: Option<SecretString>,
}

/// The region of settings that name none.
fn usual_region() -> String {
    "us-east-1".into()
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, bucket {} to bucket {}", self.service, self.from.name, self.into.name)
    }
}

impl Pair {
    /// Whether the objects can be moved at all; not where both are the same bucket.
    pub(super) async fn can_be_moved(&self, context: &Context) -> Result<bool, StepError> {
        let bounds = context.bounds(context.shared.options.timeouts.brief);
        let same = context.shared.buckets.can_move(&self.from, &self.into, &bounds).await;
        same.map(|same| !same).map_err(|error| self.named(error))
    }

    /// The new bucket, however its address is written.
    pub(super) fn place(&self) -> String {
        format!("{}/{}", host_of(&self.into.endpoint), self.into.name)
    }

    /// The same failure, with the setting that it is about.
    pub(super) fn named(&self, error: StepError) -> StepError {
        match error {
            StepError::Failed(mut failure) => {
                failure.message = format!("{}{OBJECT_STORAGE}: {}", self.service, failure.message);
                StepError::Failed(failure)
            }
            error => error,
        }
    }
}

impl Context {
    /// The services whose bucket is another one here than the source has said.
    pub(super) async fn pairs(&self) -> Result<Vec<Pair>, StepError> {
        let manifest = self.manifest().await?;
        if manifest.services.values().all(|contract| contract.state.buckets.is_empty()) {
            return Ok(Vec::new());
        }
        let draft = self.claimed().await?;
        let mut pairs = Vec::new();
        for (service, contract) in &manifest.services {
            pairs.extend(self.pair(service, contract, &draft).await?);
        }
        Ok(pairs)
    }

    async fn pair(
        &self,
        service: &ServiceName,
        contract: &ServiceManifest,
        draft: &TenantDraft,
    ) -> Result<Option<Pair>, StepError> {
        let Some(old) = named(service, draft)? else { return Ok(None) };
        let Some(own) = own(contract) else {
            let why = format!(
                "{service}{OBJECT_STORAGE}: the settings name no bucket for the objects of {}",
                old.bucket
            );
            return Err(StepError::failed(NO_BUCKET, why));
        };
        if is_at(own, &old.endpoint, &old.bucket) {
            return Ok(None);
        }
        let keyless = |which: &str| {
            let why = format!(
                "{service}{OBJECT_STORAGE}: no key is given to the {which} bucket, so that its objects cannot be moved"
            );
            StepError::failed(NO_BUCKET, why)
        };
        let spec = self.deployed_spec().await?;
        let into = self.bucket_config(&spec, service, contract, own)?.ok_or_else(|| keyless("new"))?;
        let Named { endpoint, region, bucket: name, access_key, secret_key } = old;
        let secret = secret_key.ok_or_else(|| keyless("old"))?;
        let from = BucketConfig { endpoint, region, name, access_key, secret };
        Ok(Some(Pair { service: service.clone(), from, into }))
    }

    /// Refuses new buckets of others who are served here: objects would be put among theirs.
    pub(super) async fn are_their_own(&self, pairs: &[Pair]) -> Result<(), StepError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest().await?;
        let mut shared = self.shared.buckets_of_others(&self.tenant, &manifest).await?;
        shared.retain(|shared| {
            pairs.iter().any(|pair| pair.service == shared.service && pair.into.name == shared.bucket)
        });
        are_nobody_elses(&shared)
    }

    /// The tenant as the source has it, with what it was given in confidence.
    async fn claimed(&self) -> Result<TenantDraft, StepError> {
        let record = self.arrival().await?;
        // What cannot be read is not shown: there are secrets in it.
        let unreadable =
            || StepError::failed(SECRET_SEALED, "what the source has said of the tenant cannot be read");
        let claim = record.claim.ok_or_else(unreadable)?;
        let (claim, _) = Claim::verify_first(&claim, record.arrival.id).map_err(|_| unreadable())?;
        let text = claim.tenant.open(&self.shared.keys, claim.offer, Purpose::Tenant);
        serde_json::from_slice(&text.map_err(|_| unreadable())?).map_err(|_| unreadable())
    }
}

/// The bucket that a service has at the source.
fn named(service: &ServiceName, draft: &TenantDraft) -> Result<Option<Named>, StepError> {
    let settings = draft.services.get(service.as_str()).map(|settings| Value::Object(settings.clone()));
    let store = settings.as_ref().and_then(|settings| settings.pointer(OBJECT_STORAGE));
    let Some(store) = store.filter(|store| !store.is_null()) else { return Ok(None) };
    let unreadable = |_| {
        let why =
            format!("{service}{OBJECT_STORAGE}: what the source has said of the old bucket cannot be read");
        StepError::failed(BUCKET_FAILED, why)
    };
    Named::deserialize(store).map(Some).map_err(unreadable)
}

/// The bucket that the same setting names here.
fn own(contract: &ServiceManifest) -> Option<&Bucket> {
    let is_set = |bucket: &&Bucket| {
        let setting = key_setting(contract, bucket).and_then(|(_, setting, _)| setting.rsplit_once('/'));
        setting.is_some_and(|(around, _)| around == OBJECT_STORAGE)
    };
    let buckets = &contract.state.buckets;
    buckets.iter().find(is_set).or_else(|| buckets.first())
}
