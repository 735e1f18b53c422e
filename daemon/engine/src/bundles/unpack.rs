//! From a bundle into a vault: a restic snapshot for each service, as the agent that captures one would have made it
//! (docs/src/state.md), so that from there on everything is as with any other snapshot.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use berth_bundle::{BundlePath, Entry, ExtractError, Kind, ReadError, Verified};
use berth_domain::progress::Unit;
use berth_domain::{CapturedService, OperationId, Progress, ServiceName, TenantName, Timestamp};
use berth_protocol::Pass;
use berth_sign::TrustedKeys;
use berth_vault::{Attributes, Author, AuthorError, Title};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::holdings::{Held, Holdings, Place, place};
use super::stoppable::Stoppable;
use crate::error::{StepError, VAULT_FAILED};
use crate::ports::{Report, Sink};

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

/// A service whose snapshot is being written.
struct Service<'a> {
    name: &'a ServiceName,
    held: &'a Held,
    /// What was written before it.
    before: u64,
    /// What is no directory, once that is whole: its tree, and where that belongs.
    staged: Staged,
}

enum Staged {
    /// Dumps are still coming.
    Open,
    /// It is whole, and not in its place yet.
    Whole([u8; 32]),
    /// It is in its place.
    Placed,
}

impl Written<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> Result<(), StepError> {
        let Some((name, place)) = place(entry) else { return Ok(()) };
        if self.service.as_ref().is_none_or(|service| service.name.as_str() != name) {
            self.end_service()?;
            self.begin_service(name);
        }
        let Some(service) = &mut self.service else { return Ok(()) };
        match (place, &entry.kind) {
            (Place::Database(name), Kind::File { .. }) => {
                let path = format!("databases/{name}.dump");
                self.author.file(path.as_bytes(), &attributes(entry), content).map_err(not_written)
            }
            (Place::File(path), _) => service.file(self.of, self.author, path, entry, content),
            (Place::Database(_) | Place::Object, _) => Ok(()),
        }
    }

    fn begin_service(&mut self, name: &str) {
        let found = self.of.holdings.services.get_key_value(name);
        let before = self.author.written();
        self.service = found.map(|(name, held)| Service { name, held, before, staged: Staged::Open });
    }

    fn end_service(&mut self) -> Result<(), StepError> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
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
            buckets: BTreeMap::new(),
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

impl Service<'_> {
    fn file(
        &mut self,
        of: &Unpacking,
        author: &mut Author,
        path: &[u8],
        entry: &Entry,
        content: &mut dyn Read,
    ) -> Result<(), StepError> {
        self.stage(of, author)?;
        // Everything is written in the order of its place.
        let here = BundlePath::new(path).map_err(|error| StepError::failed("internal", error.to_string()))?;
        if BundlePath::try_from(self.folder(of).as_str()).is_ok_and(|staging| staging < here) {
            self.place(of, author)?;
        }
        let attributes = attributes(entry);
        match &entry.kind {
            Kind::Directory => author.folder(path, attributes),
            Kind::File { .. } => author.file(path, &attributes, content),
            Kind::Symlink { target } => author.link(path, &attributes, target.as_bytes()),
        }
        .map_err(not_written)
    }

    /// What is no directory is whole.
    fn stage(&mut self, of: &Unpacking, author: &mut Author) -> Result<(), StepError> {
        if let Staged::Open = self.staged {
            let text = self.snapshot(of).to_string();
            let made = Attributes::of_root(0o600, of.made_at);
            author.file(b"snapshot.json", &made, &mut text.as_bytes()).map_err(not_written)?;
            self.staged = Staged::Whole(author.detach().map_err(not_written)?);
        }
        Ok(())
    }

    fn place(&mut self, of: &Unpacking, author: &mut Author) -> Result<(), StepError> {
        if let Staged::Whole(tree) = self.staged {
            let made = Attributes::of_root(0o700, of.made_at);
            author.graft(self.folder(of).as_bytes(), &made, tree).map_err(not_written)?;
            self.staged = Staged::Placed;
        }
        Ok(())
    }

    fn folder(&self, of: &Unpacking) -> String {
        format!("{CAPTURE}/{}/{}", of.operation, self.name)
    }

    fn title(&self, of: &Unpacking) -> Title {
        let directories = self.held.directories.iter().filter(|directory| directory.there.is_some());
        let mut paths = vec![format!("/{}", self.folder(of))];
        paths.extend(directories.map(|directory| directory.declared.path.clone()));
        paths.sort();
        let pass = Pass::Quiesced.tag();
        let tags = vec![of.operation.to_string(), format!("service:{}", self.name), pass];
        Title { at: of.made_at, host: of.tenant.to_string(), paths, tags }
    }

    /// `snapshot.json`. What a database was is not in a bundle; one that is there here is made as it is here.
    fn snapshot(&self, of: &Unpacking) -> Value {
        let database = |(name, bytes): (&String, &u64)| {
            let properties = json!({
                "owner": name, "encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "c", "bytes": bytes
            });
            (name.clone(), properties)
        };
        let directory = |directory: &super::holdings::HeldDirectory| {
            let declared = &directory.declared;
            let (owner, group) =
                directory.there.clone().unwrap_or((declared.owner.clone(), declared.group.clone()));
            json!({
                "path": declared.path, "owner": owner, "group": group, "mode": declared.mode,
                "present": directory.there.is_some()
            })
        };
        json!({
            "format": FORMAT,
            "tenant": of.tenant,
            "service": self.name,
            "pass": Pass::Quiesced.word(),
            "at": of.made_at,
            "agent_version": env!("CARGO_PKG_VERSION"),
            "data_version": self.held.about.data_version,
            "databases": self.held.databases.iter().map(database).collect::<serde_json::Map<_, _>>(),
            "directories": self.held.directories.iter().map(directory).collect::<Vec<_>>(),
            "owners": { "users": self.held.users, "groups": self.held.groups },
        })
    }
}

fn attributes(entry: &Entry) -> Attributes {
    let meta = &entry.meta;
    Attributes {
        mode: meta.mode.bits(),
        uid: meta.uid,
        gid: meta.gid,
        user: meta.owner.clone().unwrap_or_default(),
        group: meta.group.clone().unwrap_or_default(),
        mtime: meta.mtime,
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
