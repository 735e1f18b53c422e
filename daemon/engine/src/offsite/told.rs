//! What a snapshot of a repository that lies elsewhere tells of the tenant, and of each of its services.

use std::collections::BTreeMap;
use std::path::Path;

use berth_delta::STAGING;
use berth_domain::ServiceName;
use berth_protocol::{TenantFile, tenant_file as format};
use berth_vault::buckets::{BucketError, record};
use berth_vault::offsite::Offsite;
use berth_vault::reader::Read;
use berth_vault::{OffsiteError, ReadError};
use secrecy::zeroize::Zeroizing;

use super::{Listed, Told, ToldBucket, failed};
use crate::error::StepError;
use crate::snapshot_json::{FORMAT, SnapshotJson};

/// How long `/berth/tenant.json` may be, in bytes: settings have 256 KiB, and secrets are short.
const LONGEST_TENANT: u64 = 8 * 1024 * 1024;

/// How long `snapshot.json` may be, in bytes: it names the owners of files, of which there are some thousand.
const LONGEST_SNAPSHOT: u64 = 16 * 1024 * 1024;

/// What a snapshot holds of a service, by its `snapshot.json` (docs/src/state.md).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldService {
    /// The restic snapshot.
    pub restic: String,
    /// The tree of its root.
    pub tree: [u8; 32],
    /// The version that the data is of, where the service tells it.
    pub data_version: Option<String>,
    /// The databases, and how large each was.
    pub databases: BTreeMap<String, u64>,
    /// The directories, whether they existed or not: a machine takes none that it does not know.
    pub directories: Vec<String>,
}

/// What a snapshot that has the tenant's own part tells.
pub(crate) fn read(offsite: &Offsite, listed: &Listed, file: TenantFile) -> Result<Told, StepError> {
    let services =
        listed.services.iter().map(|(name, read)| Ok((name.clone(), service(offsite, name, read)?)));
    let services = services.collect::<Result<_, StepError>>()?;
    let buckets = listed.buckets.iter().map(|((service, name), read)| bucket(offsite, service, name, read));
    let buckets = buckets.collect::<Result<_, StepError>>()?;
    Ok(Told { id: listed.id, at: listed.at, file, services, buckets })
}

/// The tenant's own part of a snapshot.
pub(crate) fn tenant_file(offsite: &Offsite, part: &Read) -> Result<TenantFile, StepError> {
    let text = Zeroizing::new(file(offsite, part, Path::new(format::PATH), LONGEST_TENANT)?);
    let text = std::str::from_utf8(&text).unwrap_or_default();
    TenantFile::parse(text).map_err(|error| {
        let message = format!("settings and secrets in the snapshot {}: {error}", part.id);
        StepError::failed("repository-unsupported", message)
    })
}

fn service(offsite: &Offsite, name: &ServiceName, read: &Read) -> Result<ToldService, StepError> {
    let bad = |why: &str| {
        StepError::failed("state-mismatch", format!("what the repository holds of {name}: {why}"))
    };
    let staging = read.paths.iter().map(Path::new).find(|path| {
        path.starts_with(STAGING) && berth_delta::is_plain(path) && path.ends_with(name.as_str())
    });
    let staging = staging.ok_or_else(|| bad("nothing that was made while it was quiet"))?;
    let text = file(offsite, read, &staging.join("snapshot.json"), LONGEST_SNAPSHOT)?;
    let written: SnapshotJson =
        serde_json::from_slice(&text).map_err(|_| bad("its snapshot.json is not understood"))?;
    if written.format > FORMAT {
        return Err(bad("its snapshot.json is of a format that only a newer version of Berth reads"));
    }
    if written.service != name.as_str() {
        return Err(bad("it is of another service"));
    }
    if let Some(why) = written.lacks() {
        return Err(bad(&why));
    }
    Ok(ToldService {
        restic: read.id.clone(),
        tree: read.tree,
        data_version: written.data_version,
        databases: written.databases.into_iter().map(|(name, database)| (name, database.bytes)).collect(),
        directories: written.directories.into_iter().map(|directory| directory.path).collect(),
    })
}

fn bucket(
    offsite: &Offsite,
    service: &ServiceName,
    name: &str,
    read: &Read,
) -> Result<ToldBucket, StepError> {
    let record = record::head(offsite, read.tree).map_err(|error| no_bucket(service, name, error))?;
    Ok(ToldBucket {
        service: service.clone(),
        name: name.to_owned(),
        restic: read.id.clone(),
        endpoint: record.endpoint,
        objects: record.objects,
        bytes: record.bytes,
    })
}

/// Why it is not known what a bucket's snapshot holds.
fn no_bucket(service: &ServiceName, name: &str, error: BucketError) -> StepError {
    match error {
        BucketError::Read(error) => failed(OffsiteError::far(error)),
        error => StepError::failed("repository-damaged", format!("the bucket {name} of {service}: {error}")),
    }
}

fn file(offsite: &Offsite, read: &Read, path: &Path, most: u64) -> Result<Vec<u8>, StepError> {
    let far = |error: ReadError| failed(OffsiteError::far(error));
    let lacks =
        || failed(OffsiteError::Lacks { snapshot: read.id.clone(), path: path.display().to_string() });
    offsite.file(read.tree, path, most).map_err(far)?.ok_or_else(lacks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_vault::StorageError;

    #[test]
    fn a_bucket_that_cannot_be_read_now_is_not_called_damaged() {
        let told = |error| no_bucket(&"web".parse().unwrap(), "media", error);
        assert_eq!(
            told(BucketError::Read(ReadError::Storage(StorageError::BrokenOff))),
            StepError::Cancelled
        );
        for (error, expected) in [
            (BucketError::Unreachable("no".into()), "repository-unreachable"),
            (BucketError::Refused { status: 403, code: String::new() }, "repository-refused"),
        ] {
            let error = told(BucketError::Read(ReadError::Storage(StorageError::Bucket(Box::new(error)))));
            assert!(
                matches!(&error, StepError::Failed(it) if it.code == expected && it.retryable),
                "{error:?}"
            );
        }
        let damaged = told(BucketError::Record("it is empty".into()));
        assert!(matches!(&damaged, StepError::Failed(it) if it.code == "repository-damaged"), "{damaged:?}");
    }
}
