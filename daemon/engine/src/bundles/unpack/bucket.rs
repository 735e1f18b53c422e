//! A bucket out of a bundle, into a vault: a snapshot as if it had been copied from its store.

use std::io::Read;

use berth_bundle::Entry;
use berth_domain::{BundledBucket, CapturedBucket, ServiceName};
use berth_protocol::Pass;
use berth_vault::buckets::{Bringing, Brought, BucketError, Coming, ObjectAttributes};
use berth_vault::{Author, Title};
use chrono::DateTime;

use super::{Unpacking, not_written};
use crate::buckets::tags_of;
use crate::bundles::buckets::key;
use crate::error::StepError;

/// A bucket that is being written.
pub(super) struct Unpacked {
    pub(super) name: String,
    about: BundledBucket,
    bringing: Bringing,
}

impl Unpacked {
    pub(super) fn begin(author: &Author, name: &str, about: BundledBucket) -> Self {
        let bringing = Bringing::begin(author, name, &about.endpoint, &about.region);
        Self { name: name.to_owned(), about, bringing }
    }

    pub(super) fn object(
        &mut self,
        author: &mut Author,
        path: &[u8],
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), StepError> {
        let unfit = || altered(&format!("{} is no object", entry.path.encoded()));
        let key = key(path, &entry.kind).ok_or_else(unfit)?;
        let at = DateTime::from_timestamp(entry.meta.mtime, 0).unwrap_or(DateTime::UNIX_EPOCH);
        let coming = Coming { key, at, attributes: ObjectAttributes::carried(&entry.meta) };
        self.bringing.object(author, coming, content).map_err(failed)
    }

    /// Makes the snapshot; gives the bucket's name with it.
    pub(super) fn finish(
        self,
        of: &Unpacking,
        service: &ServiceName,
        author: &mut Author,
    ) -> Result<(String, CapturedBucket), StepError> {
        let tags = [vec![of.operation.to_string()], tags_of(service, &self.name), vec![Pass::Quiesced.tag()]];
        let title = Title {
            at: of.made_at,
            host: of.tenant.to_string(),
            paths: vec![format!("/buckets/{}", self.name)],
            tags: tags.concat(),
        };
        let Brought { restic, objects, bytes, bytes_added } =
            self.bringing.finish(author, &title).map_err(failed)?;
        let endpoint = self.about.endpoint;
        Ok((self.name, CapturedBucket { restic, endpoint, objects, bytes, bytes_added }))
    }
}

fn failed(error: BucketError) -> StepError {
    match error {
        BucketError::Author(error) => not_written(error),
        BucketError::Storage(error) => not_written(error.into()),
        error => altered(&error.to_string()),
    }
}

fn altered(why: &str) -> StepError {
    StepError::failed("bundle-altered", format!("the bundle cannot be unpacked: {why}"))
}
