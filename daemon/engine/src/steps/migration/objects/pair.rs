//! Services that have another bucket here than at the source, and what opens both.

use std::fmt;

use berth_domain::manifest::{Bucket, Manifest, ServiceManifest};
use berth_domain::{ServiceName, TenantDraft};
use berth_transfer::Claim;
use berth_transfer::sealed::Purpose;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::super::super::Context;
use crate::buckets::{OBJECT_STORAGE, are_nobody_elses, host_of, is_at, key_setting};
use crate::error::{BUCKET_FAILED, BUCKET_SHARED, NO_BUCKET, SECRET_SEALED, StepError};
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
        place(&self.into.endpoint, &self.into.name)
    }

    /// The old bucket.
    fn old_place(&self) -> String {
        place(&self.from.endpoint, &self.from.name)
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

fn place(endpoint: &str, name: &str) -> String {
    format!("{}/{name}", host_of(endpoint))
}

/// Refuses new buckets that another service of the tenant has as well, or had: what comes from one old bucket would take the place of what is
/// from another. Two that have shared one may go on sharing.
fn are_one_services(pairs: &[Pair], manifest: &Manifest) -> Result<(), StepError> {
    for pair in pairs {
        let other = manifest.services.iter().find(|(service, contract)| {
            let theirs = pairs.iter().find(|other| other.service == **service);
            let has =
                contract.state.buckets.iter().any(|own| place(&own.endpoint, &own.name) == pair.place());
            let shares = theirs.is_some_and(|theirs| theirs.old_place() == pair.old_place());
            let had = theirs.is_some_and(|theirs| theirs.old_place() == pair.place());
            **service != pair.service && ((has && !shares) || had)
        });
        if let Some((other, _)) = other {
            let (service, name) = (&pair.service, &pair.into.name);
            let why = format!(
                "{service}{OBJECT_STORAGE} names the bucket {name} of {other}: objects of one would take the place of the other's; give \
                 each a bucket of its own"
            );
            return Err(StepError::failed(BUCKET_SHARED, why));
        }
    }
    Ok(())
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

    /// Refuses new buckets of others who are served here, or of another service: objects would be put among theirs.
    pub(super) async fn are_their_own(&self, pairs: &[Pair]) -> Result<(), StepError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let manifest = self.manifest().await?;
        are_one_services(pairs, &manifest)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(endpoint: &str, name: &str) -> BucketConfig {
        let (endpoint, name) = (endpoint.into(), name.into());
        BucketConfig { endpoint, region: "r".into(), name, access_key: "GK1".into(), secret: "s".into() }
    }

    fn pair(service: &str, from: &str, into: &str) -> Pair {
        let (from, into) = (config("https://old", from), config("https://new", into));
        Pair { service: service.parse().unwrap(), from, into }
    }

    /// A tenant whose services have these buckets.
    fn tenant(buckets: &[(&str, &str, &str)]) -> Manifest {
        let service = |(service, endpoint, name): &(&str, &str, &str)| {
            let bucket = json!({ "name": name, "endpoint": endpoint, "region": "r", "access_key": "GK1" });
            let state = json!({ "databases": [], "buckets": [bucket] });
            let contract = json!({
                "title": "Service", "url": "https://acme.example", "units": [], "probes": [], "state": state, "secrets": [],
            });
            ((*service).to_owned(), contract)
        };
        let services: serde_json::Map<String, Value> = buckets.iter().map(service).collect();
        serde_json::from_value(json!({ "version": 1, "platform": "nixos", "services": services })).unwrap()
    }

    #[test]
    fn two_services_do_not_get_one_bucket_unless_they_had_one() {
        let both = tenant(&[("a", "https://new", "own"), ("b", "https://NEW:443/", "own")]);
        let refused = are_one_services(&[pair("a", "of-a", "own"), pair("b", "of-b", "own")], &both);
        let Err(StepError::Failed(failure)) = refused else { panic!("{refused:?}") };
        assert_eq!(failure.code, BUCKET_SHARED);
        assert!(failure.message.starts_with("a/object_storage names the bucket own of b: "), "{failure:?}");
        assert!(are_one_services(&[pair("a", "of-both", "own"), pair("b", "of-both", "own")], &both).is_ok());
        // The other one stays where it is, in the very bucket.
        assert!(are_one_services(&[pair("a", "of-a", "own")], &both).is_err());
        let apart = tenant(&[("a", "https://new", "a"), ("b", "https://new", "b")]);
        assert!(are_one_services(&[pair("a", "old", "a"), pair("b", "older", "b")], &apart).is_ok());
        // What one gets is what the other one had.
        let from_here = Pair { from: config("https://new", "a"), ..pair("b", "", "b") };
        assert!(are_one_services(&[pair("a", "old", "a"), from_here], &apart).is_err());
    }
}
