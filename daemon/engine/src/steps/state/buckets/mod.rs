//! Buckets of object stores that services keep files in.
//!
//! No machine copies them: restic cannot, and nothing that could is on every machine. The daemon reaches the store by itself, with the
//! key that was given in confidence, and writes into the vault itself.
//!
//! | module | subject |
//! | --- | --- |
//! | `capture` | into the vault |
//! | `put_back` | and back |

mod capture;
mod put_back;

use std::sync::{Arc, Mutex};

use berth_domain::manifest::{Bucket, ServiceManifest};
use berth_domain::progress::Unit;
use berth_domain::{Progress, ServiceName, TenantSpec};
use secrecy::SecretString;

use super::super::Context;
use crate::buckets::key_setting;
use crate::error::StepError;
use crate::hub::locked;
use crate::ports::{BucketConfig, News, Report, Sink, Tell};

pub(super) use capture::copy;
pub(in super::super) use put_back::put_back;

impl Context {
    /// What was deployed last, as it was given.
    pub(in crate::steps) async fn deployed_spec(&self) -> Result<TenantSpec, StepError> {
        let revision = self.revision()?;
        Ok(self.shared.records.revision(&self.tenant, &revision).await?.spec)
    }

    /// A bucket and what opens it. Nothing where no key was given.
    pub(in crate::steps) fn bucket_config(
        &self,
        spec: &TenantSpec,
        service: &ServiceName,
        contract: &ServiceManifest,
        bucket: &Bucket,
    ) -> Result<Option<BucketConfig>, StepError> {
        if bucket.secret_key_file.is_none() {
            return Ok(None);
        }
        let missing = || StepError::failed("secret-missing", "no setting gives its key");
        let (name, setting, version) = key_setting(contract, bucket).ok_or_else(missing)?;
        let given = self.opened(spec, (service, name, setting, version))?;
        Ok(Some(BucketConfig {
            endpoint: bucket.endpoint.clone(),
            region: bucket.region.clone(),
            name: bucket.name.clone(),
            access_key: bucket.access_key.clone(),
            secret: SecretString::from(given.value.expose()),
        }))
    }
}

/// Counts the bytes of several buckets, one after the other.
#[derive(Clone, Default)]
pub(in crate::steps) struct Meter {
    /// Of the buckets that are through, and of the current one.
    bytes: Arc<Mutex<(Count, Count)>>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    done: u64,
    expected: u64,
}

impl Meter {
    /// Hears the news of the next bucket.
    pub(in crate::steps) fn of(&self, what: String, sink: &Sink) -> Tell {
        {
            let mut bytes = locked(&self.bytes);
            let (before, current) = *bytes;
            // What did not come yet is expected of the next one, where that is the same bucket.
            let done = before.done + current.done;
            *bytes = (Count { done, expected: done }, Count::default());
        }
        let (sink, bytes) = (Arc::clone(sink), Arc::clone(&self.bytes));
        Box::new(move |news| match news {
            News::Line(line) => sink(Report::Line(format!("{what}: {line}"))),
            News::Progress { done, expected } => {
                let before = {
                    let mut bytes = locked(&bytes);
                    bytes.1 = Count { done, expected };
                    bytes.0
                };
                let progress = Progress::of(before.done + done, before.expected + expected, Unit::Bytes);
                sink(Report::Progress(progress));
            }
        })
    }
}
