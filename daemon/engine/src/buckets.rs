//! What is known of tenants' buckets: the tags of their snapshots, and whether two tenants would share one.

use std::collections::BTreeMap;

use berth_domain::manifest::{Bucket, Generator, Manifest, ServiceManifest};
use berth_domain::{ServiceName, Snapshot, TenantName};
use berth_store::StoreError;

use crate::Engine;
use crate::engine::Shared;
use crate::error::{BUCKET_SHARED, StepError};

/// What the tag begins with that names the service which a bucket's snapshot is of. Nothing on a machine looks for it: what is
/// `service:NAME` is brought back there.
pub(crate) const BUCKET_OF: &str = "bucket-of:";

/// The setting by which services are told of an object store (modules/lib/blocks.nix), as a JSON pointer.
pub const OBJECT_STORAGE: &str = "/object_storage";

/// A bucket that a tenant would share with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedBucket {
    /// The service that has it.
    pub service: ServiceName,
    /// The setting that names it: a JSON pointer in the service's settings, such as `/object_storage`.
    pub setting: String,
    /// Its name.
    pub bucket: String,
    /// Whose it is.
    pub owner: TenantName,
}

impl SharedBucket {
    /// What is wrong with it, for a person.
    pub fn message(&self) -> String {
        let Self { service, setting, bucket, owner } = self;
        format!(
            "{service}{setting} names the bucket {bucket} of {owner}: a copy would write into it, and delete from it; give it another \
             bucket, or none, and deploy it first"
        )
    }
}

/// Refuses buckets that others have.
pub(crate) fn are_nobody_elses(shared: &[SharedBucket]) -> Result<(), StepError> {
    if shared.is_empty() {
        return Ok(());
    }
    let messages: Vec<String> = shared.iter().map(SharedBucket::message).collect();
    Err(StepError::failed(BUCKET_SHARED, messages.join("; ")))
}

/// The tags by which the snapshots of a bucket are found.
pub(crate) fn tags_of(service: &ServiceName, bucket: &str) -> Vec<String> {
    vec![format!("bucket:{bucket}"), format!("{BUCKET_OF}{service}")]
}

/// The buckets of a service that the objects of buckets go to, of those that have any; `of` tells a bucket's store's address, and how many
/// objects it has.
pub(crate) fn targets<'a, T>(
    own: &'a [Bucket],
    held: &'a BTreeMap<String, T>,
    of: impl Fn(&T) -> (&str, u64),
) -> Vec<(&'a str, &'a T, Option<&'a Bucket>)> {
    let with_objects: Vec<_> = held.iter().filter(|(_, bucket)| of(bucket).1 > 0).collect();
    let alone = with_objects.len() == 1;
    let found = with_objects
        .into_iter()
        .map(|(name, bucket)| (name.as_str(), bucket, target(own, (name, of(bucket).0), alone)));
    found.collect()
}

/// The bucket of a service that objects go to: the one that they are of, by its name and its store's address; else the only one, where
/// there are no others' objects (`alone`).
fn target<'a>(own: &'a [Bucket], (name, endpoint): (&str, &str), alone: bool) -> Option<&'a Bucket> {
    let same = own.iter().find(|bucket| bucket.name == name && bucket.endpoint == endpoint);
    match (same, own) {
        (Some(bucket), _) => Some(bucket),
        (None, [only]) if alone => Some(only),
        (None, _) => own.iter().find(|bucket| bucket.name == name),
    }
}

/// The setting that gives a service the key of a bucket, and the number of the value.
pub(crate) fn key_setting<'a>(
    contract: &'a ServiceManifest,
    bucket: &Bucket,
) -> Option<(&'a str, &'a str, u64)> {
    let file = bucket.secret_key_file.as_deref()?;
    contract.secrets.iter().find_map(|secret| match &secret.generate {
        Generator::Supplied { setting, version } if secret.path == file => {
            Some((secret.name.as_str(), setting.as_str(), *version))
        }
        _ => None,
    })
}

impl Engine {
    /// The buckets that a tenant, as it is deployed, would share with the one that a snapshot is of. What cannot be known on this host
    /// is not in it: the restore itself looks again.
    ///
    /// # Errors
    /// The database's.
    pub async fn shared_buckets(
        &self,
        snapshot: &Snapshot,
        into: &TenantName,
    ) -> Result<Vec<SharedBucket>, StepError> {
        let system = self.shared.records.tenant(into).await?.deployed_system;
        let manifest = self.shared.manifest_here(system.as_deref()).await;
        match manifest {
            Some(manifest) => Ok(self.shared.shared_buckets(snapshot, into, &manifest).await?.0),
            None => Ok(Vec::new()),
        }
    }
}

impl Shared {
    /// The same of a tenant whose system says this, and whether all that the original has is known on this host.
    pub(crate) async fn shared_buckets(
        &self,
        snapshot: &Snapshot,
        into: &TenantName,
        manifest: &Manifest,
    ) -> Result<(Vec<SharedBucket>, bool), StepError> {
        if snapshot.tenant == *into {
            return Ok((Vec::new(), true));
        }
        let (theirs, complete) = self.buckets_of_the_original(snapshot).await?;
        let shared = shared_with(manifest, &theirs, &snapshot.tenant).collect();
        Ok((shared, complete || buckets(manifest).next().is_none()))
    }

    /// The buckets of a tenant, whose system says this, that another one has as well, as far as this host has their systems.
    pub(crate) async fn buckets_of_others(
        &self,
        tenant: &TenantName,
        manifest: &Manifest,
    ) -> Result<Vec<SharedBucket>, StepError> {
        let others = self.records.of_tenants(|other| {
            Some((other.spec.name, other.deployed_system?)).filter(|(name, _)| name != tenant)
        });
        let mut shared = Vec::new();
        for (name, system) in others.await? {
            let theirs = self.manifest_here(Some(&system)).await;
            let theirs: Vec<Known> = theirs.iter().flat_map(known).collect();
            shared.extend(shared_with(manifest, &theirs, &name));
        }
        Ok(shared)
    }

    /// The buckets that a snapshot holds, those of the system that it was made of, and those that its tenant has by now.
    async fn buckets_of_the_original(&self, snapshot: &Snapshot) -> Result<(Vec<Known>, bool), StepError> {
        let (mut known, mut complete): (Vec<Known>, bool) = (Vec::new(), true);
        for (_, captured) in snapshot.captured() {
            let held = captured.buckets.iter();
            known.extend(held.map(|(name, bucket)| Known::new(name, &bucket.endpoint, None)));
        }
        let now = match self.records.tenant(&snapshot.tenant).await {
            Ok(tenant) => tenant.deployed_system,
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        for system in [Some(snapshot.system.as_str()), now.as_deref()] {
            if let Some(manifest) = self.manifest_here(system).await {
                known.extend(self::known(&manifest));
            } else {
                // What was deployed once, and is not here any more, is no matter.
                complete &= system.is_none() || system != now.as_deref();
            }
        }
        Ok((known, complete))
    }

    /// The manifest of a system, where this host has that.
    async fn manifest_here(&self, system: Option<&str>) -> Option<Manifest> {
        let system = system?;
        if !self.builder.has(system).await {
            return None;
        }
        self.builder.manifest(system).await.ok()
    }
}

fn buckets(manifest: &Manifest) -> impl Iterator<Item = (&ServiceName, &ServiceManifest, &Bucket)> {
    manifest.services.iter().flat_map(|(service, contract)| {
        contract.state.buckets.iter().map(move |bucket| (service, contract, bucket))
    })
}

/// The buckets that a system knows.
fn known(manifest: &Manifest) -> impl Iterator<Item = Known> + '_ {
    buckets(manifest).map(|(_, _, own)| Known::new(&own.name, &own.endpoint, Some(&own.access_key)))
}

/// Those of a system's buckets that its owner would share with another.
fn shared_with<'a>(
    manifest: &'a Manifest,
    theirs: &'a [Known],
    owner: &'a TenantName,
) -> impl Iterator<Item = SharedBucket> + 'a {
    let shared = buckets(manifest).filter(|(_, _, own)| theirs.iter().any(|known| known.is(own)));
    shared.map(|(service, contract, own)| SharedBucket {
        service: service.clone(),
        setting: setting_of(contract, own),
        bucket: own.name.clone(),
        owner: owner.clone(),
    })
}

/// Which setting names a bucket: the one around its key.
fn setting_of(contract: &ServiceManifest, bucket: &Bucket) -> String {
    let around =
        |(_, setting, _): (&str, &str, u64)| setting.rsplit_once('/').map(|(around, _)| around.to_owned());
    key_setting(contract, bucket).and_then(around).unwrap_or_default()
}

/// A bucket that somebody has.
struct Known {
    name: String,
    host: String,
    access_key: Option<String>,
}

impl Known {
    fn new(name: &str, endpoint: &str, access_key: Option<&str>) -> Self {
        Self { name: name.to_owned(), host: host_of(endpoint), access_key: access_key.map(str::to_owned) }
    }

    /// Whether it is this one: a store may have several addresses, and then a key tells it.
    fn is(&self, bucket: &Bucket) -> bool {
        let same_key = self.access_key.as_ref() == Some(&bucket.access_key);
        self.name == bucket.name && (same_key || self.host == host_of(&bucket.endpoint))
    }
}

/// Whether a bucket is the one of this name at this store.
pub(crate) fn is_at(bucket: &Bucket, endpoint: &str, name: &str) -> bool {
    Known::new(name, endpoint, None).is(bucket)
}

/// A store's address without what may be written in several ways.
pub(crate) fn host_of(endpoint: &str) -> String {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = rest.trim_end_matches('/').to_ascii_lowercase();
    let host = host.strip_suffix(":443").or(host.strip_suffix(":80")).unwrap_or(&host);
    host.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(name: &str, endpoint: &str, access_key: &str) -> Bucket {
        Bucket {
            name: name.into(),
            endpoint: endpoint.into(),
            region: "r".into(),
            access_key: access_key.into(),
            secret_key_file: None,
        }
    }

    #[test]
    fn a_bucket_is_known_again_by_its_store_or_by_its_key() {
        let known = Known::new("media", "https://S3.example.net/", Some("GK1"));
        for same in [
            bucket("media", "https://s3.example.net", "GK2"),
            bucket("media", "https://s3.example.net:443", "GK2"),
            bucket("media", "http://s3.example.net:80/", "GK2"),
            bucket("media", "https://203.0.113.7", "GK1"),
        ] {
            assert!(known.is(&same), "{same:?}");
        }
        for other in [
            bucket("media", "https://s3.example.org", "GK2"),
            bucket("media", "https://s3.example.net:3900", "GK2"),
            bucket("other", "https://s3.example.net", "GK1"),
        ] {
            assert!(!known.is(&other), "{other:?}");
        }
        assert!(!Known::new("media", "https://a", None).is(&bucket("media", "https://b", "GK1")));
    }
}
