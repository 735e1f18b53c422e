//! From a bundle into a vault: a restic snapshot for each service, as the agent that captures one would have made it
//! (docs/src/state.md), so that from there on everything is as with any other snapshot. So is each of its buckets.
//!
//! | module | subject |
//! | --- | --- |
//! | `service` | what is of a service |
//! | `bucket` | what is of a bucket |

mod bucket;
mod service;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use berth_bundle::{Entry, ExtractError, Kind, ReadError, Verified};
use berth_domain::progress::Unit;
use berth_domain::{CapturedService, OperationId, Progress, ServiceName, TenantName, Timestamp};
use berth_sign::TrustedKeys;
use berth_vault::{Author, AuthorError};
use tokio_util::sync::CancellationToken;

use super::holdings::{Holdings, Place, place};
use super::stoppable::Stoppable;
use crate::error::{StepError, VAULT_FAILED};
use crate::ports::{Report, Sink};
use service::{Service, Staged, attributes};

/// Where an agent keeps what is no directory of a service (docs/src/state.md), without the slash that it begins with.
const CAPTURE: &str = "var/lib/berth/capture";

/// The format of `snapshot.json`.
const FORMAT: u32 = 1;

/// What is unpacked, and for whom.
pub(crate) struct Unpacking {
    pub(crate) operation: OperationId,
    pub(crate) tenant: TenantName,
    pub(crate) holdings: Holdings,
    pub(crate) made_at: Timestamp,
    pub(crate) cancel: CancellationToken,
    pub(crate) sink: Sink,
}

/// Verifies a bundle once more, and writes it into a vault.
///
/// # Errors
/// It is not whole any more, the vault does not take it, or somebody wished to stop.
pub(crate) fn unpack(
    file: &Path,
    of: &Unpacking,
    author: &mut Author,
) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
    let size = std::fs::metadata(file).map(|found| found.len()).unwrap_or_default();
    let tell = |done| (of.sink)(Report::Progress(Progress::of(done, size * 2, Unit::Bytes)));
    // Whose it is was asked when it was taken in, and the operation's row says so.
    let source = Stoppable::open(file, of.cancel.clone()).map_err(|error| missing(&error))?;
    let bundle = Verified::of(source, &TrustedKeys::none(), &mut |progress| tell(progress.bytes));
    let bundle = bundle.map_err(|error| of.stopped(unsound(error)))?;
    let mut written = Written { of, author, service: None, captured: BTreeMap::new() };
    let mut done = size;
    let read = bundle.each::<Trouble>(&mut |entry, content| {
        if let Kind::File { size, .. } = entry.kind {
            done += size;
        }
        written.entry(entry, content)?;
        tell(done);
        Ok(())
    });
    read.map_err(|Trouble(error)| of.stopped(error))?;
    written.finish()
}

impl Unpacking {
    /// What a wish to stop comes to is no failure.
    fn stopped(&self, error: StepError) -> StepError {
        if self.cancel.is_cancelled() { StepError::Cancelled } else { error }
    }
}

struct Written<'a> {
    of: &'a Unpacking,
    author: &'a mut Author,
    /// The service that is being written.
    service: Option<Service<'a>>,
    captured: BTreeMap<ServiceName, CapturedService>,
}

impl Written<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StepError> {
        let Some((name, place)) = place(entry) else { return Ok(()) };
        if self.service.as_ref().is_none_or(|service| service.name.as_str() != name) {
            self.end_service()?;
            self.begin_service(name);
        }
        let Some(service) = &mut self.service else { return Ok(()) };
        if let Place::Buckets(place) = place {
            return service.object(self.of, self.author, place, entry, content);
        }
        service.end_bucket(self.of, self.author)?;
        match (place, &entry.kind) {
            (Place::Database(name), Kind::File { .. }) => {
                let path = format!("databases/{name}.dump");
                self.author.file(path.as_bytes(), &attributes(entry), content).map_err(not_written)
            }
            (Place::File(path), _) => service.file(self.of, self.author, path, entry, content),
            (Place::Database(_) | Place::Buckets(_), _) => Ok(()),
        }
    }

    fn begin_service(&mut self, name: &str) {
        let found = self.of.holdings.services.get_key_value(name);
        let before = self.author.written();
        let (bucket, buckets, staged) = (None, BTreeMap::new(), Staged::Open);
        self.service = found.map(|(name, held)| Service { name, held, before, bucket, buckets, staged });
    }

    fn end_service(&mut self) -> Result<(), StepError> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        service.end_bucket(self.of, self.author)?;
        service.stage(self.of, self.author)?;
        service.place(self.of, self.author)?;
        let restic = self.author.snapshot(&service.title(self.of)).map_err(not_written)?;
        let about = &service.held.about;
        let captured = CapturedService {
            restic,
            bytes_added: self.author.written() - service.before,
            bytes_total: about.bytes,
            files_total: about.files,
            databases: about.databases.clone(),
            data_version: about.data_version.clone(),
            quiet_ms: 0,
            left_out: Vec::new(),
            buckets: service.buckets,
        };
        self.captured.insert(service.name.clone(), captured);
        Ok(())
    }

    /// The last service, and those of which the bundle holds no entry.
    fn finish(mut self) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
        self.end_service()?;
        for name in self.of.holdings.services.keys() {
            if !self.captured.contains_key(name) {
                self.begin_service(name.as_str());
                self.end_service()?;
            }
        }
        Ok(self.captured)
    }
}

/// What ends the reading of a bundle.
struct Trouble(StepError);

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self(StepError::failed("bundle-altered", format!("the bundle cannot be read any more: {error}")))
    }
}

impl From<StepError> for Trouble {
    fn from(error: StepError) -> Self {
        Self(error)
    }
}

fn unsound(error: ExtractError) -> StepError {
    match error {
        ExtractError::Read(error) => missing(&error),
        error => {
            StepError::failed("bundle-altered", format!("the bundle was changed since it came: {error}"))
        }
    }
}

/// The bundle's file is not here, or cannot be read.
pub(crate) fn missing(error: &dyn std::error::Error) -> StepError {
    let message = format!("the bundle is not with this daemon any more: send it again ({error})");
    StepError::retryable("bundle-missing", message)
}

fn not_written(error: AuthorError) -> StepError {
    match error {
        AuthorError::Storage(berth_vault::StorageError::NoSpace) => {
            StepError::retryable("no-space", "the vault's file system is full")
        }
        AuthorError::Storage(error) => StepError::transient(VAULT_FAILED, error.to_string()),
        error => StepError::failed("bundle-altered", format!("the bundle cannot be unpacked: {error}")),
    }
}
