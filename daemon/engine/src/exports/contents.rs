//! What goes into a bundle, and how it is found in what was read out of a vault.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use berth_bundle::{
    About, Beneath, BundlePath, FileMode, FileWriter, Meta, Names, ServiceAbout, Tree, WriteError, layout,
};
use berth_domain::revision::Files;
use berth_domain::{CapturedService, ServiceName, TenantName, Timestamp};

use super::Exports;
use super::buckets;
use crate::ports::HeldBuckets;
use crate::snapshot_json::SnapshotJson;

/// What a folder of the machine's staged state is called (docs/src/state.md).
const STAGING: &str = "var/lib/berth/capture";

/// All that goes into a bundle.
pub(crate) struct Contents {
    pub(crate) tenant: TenantName,
    pub(crate) made: Timestamp,
    pub(crate) configuration: Files,
    /// Secrets, sealed with age: by service and name.
    pub(crate) secrets: BTreeMap<(String, String), Vec<u8>>,
    pub(crate) services: BTreeMap<ServiceName, ServiceContents>,
}

/// What goes into it of a service.
pub(crate) struct ServiceContents {
    pub(crate) captured: CapturedService,
    /// Where its snapshot was read out to.
    pub(crate) root: PathBuf,
}

impl Contents {
    /// Writes the bundle, with what is held of its buckets; under its name it is there whole or not at all.
    pub(crate) fn write(
        &self,
        exports: &Exports,
        path: &Path,
        held: &dyn HeldBuckets,
        mut tell: impl FnMut(u64) + 'static,
    ) -> Result<u64, WriteError> {
        let about = About::new(self.tenant.as_str(), exports.provider.as_str(), self.made);
        let service = |(name, contents): (&ServiceName, &ServiceContents)| ServiceAbout {
            name: name.to_string(),
            data_version: contents.captured.data_version.clone(),
        };
        let services = self.services.iter().map(service).collect();
        let finished = berth_bundle::create(path, about, services, &exports.key, |writer| {
            writer.on_progress(move |progress| tell(progress.bytes));
            self.fill(writer, held)
        })?;
        Ok(finished.size)
    }

    /// In the order of the paths, part by part, as the format wants it.
    fn fill(&self, writer: &mut FileWriter<'_>, held: &dyn HeldBuckets) -> Result<(), WriteError> {
        let made = Meta::made(FileMode::FILE, self.made.timestamp());
        let mut small = BTreeMap::new();
        for (name, text) in &self.configuration {
            small.insert(place(layout::configuration(name), name)?, text.as_bytes());
        }
        for ((service, name), sealed) in &self.secrets {
            small.insert(place(layout::secret(service, name), name)?, sealed.as_slice());
        }
        for (place, content) in small {
            writer.bytes(place, made.clone(), content)?;
        }
        for (service, contents) in &self.services {
            contents.fill_buckets(service, writer, held, made.mtime)?;
            contents.fill(service, writer, &made)?;
        }
        Ok(())
    }
}

impl ServiceContents {
    /// Buckets come before whatever else a service has.
    fn fill_buckets(
        &self,
        service: &ServiceName,
        writer: &mut FileWriter<'_>,
        held: &dyn HeldBuckets,
        made: i64,
    ) -> Result<(), WriteError> {
        for (name, bucket) in &self.captured.buckets {
            let held =
                held.open(&bucket.restic).map_err(|error| WriteError::Write(io::Error::other(error)))?;
            buckets::fill(writer, (service, name), &*held, (&bucket.endpoint, made))?;
        }
        Ok(())
    }

    fn fill(
        &self,
        service: &ServiceName,
        writer: &mut FileWriter<'_>,
        made: &Meta,
    ) -> Result<(), WriteError> {
        let root = Beneath::open(&self.root).map_err(WriteError::Write)?;
        let staging = staging(&root, service).map_err(WriteError::Write)?;
        let told = told(&staging).map_err(WriteError::Write)?;
        let databases: Result<BTreeMap<_, _>, WriteError> = told
            .databases
            .keys()
            .map(|database| Ok((place(layout::database(service.as_str(), database), database)?, database)))
            .collect();
        for (place, database) in databases? {
            let file = staging.file(format!("databases/{database}.dump")).map_err(unreadable(&place))?;
            let size = file.metadata().map_err(unreadable(&place))?.len();
            writer.file(place, made.clone(), size, file)?;
        }
        let names = Names::of(told.owners.users, told.owners.groups);
        let present = told.directories.into_iter().filter(|directory| directory.present);
        let directories: Result<BTreeMap<_, _>, WriteError> = present
            .map(|it| Ok((place(layout::files(service.as_str(), it.path.as_bytes()), &it.path)?, it.path)))
            .collect();
        for (place, path) in directories? {
            let folder = root.folder(path.trim_start_matches('/')).map_err(unreadable(&place))?;
            writer.tree_beneath(&place, folder, Tree { names: &names, leave_out: &|_| false })?;
        }
        Ok(())
    }
}

/// `…/OPERATION/SERVICE`, of whichever operation captured it.
fn staging(root: &Beneath, service: &ServiceName) -> io::Result<Beneath> {
    let all = root.folder(STAGING)?;
    let missing = || io::Error::other("the snapshot says nothing of itself");
    let mut found = all.names()?.into_iter().map(|operation| all.folder(format!("{operation}/{service}")));
    found.find_map(Result::ok).ok_or_else(missing)
}

fn told(staging: &Beneath) -> io::Result<SnapshotJson> {
    let told: SnapshotJson = serde_json::from_reader(io::BufReader::new(staging.file("snapshot.json")?))?;
    match told.lacks() {
        Some(why) => Err(io::Error::other(why)),
        None => Ok(told),
    }
}

fn place(path: Result<BundlePath, berth_bundle::BadPath>, name: &str) -> Result<BundlePath, WriteError> {
    path.map_err(|reason| WriteError::BadPath { name: name.to_owned(), reason })
}

fn unreadable(path: &BundlePath) -> impl FnOnce(std::io::Error) -> WriteError {
    let path = path.clone();
    move |source| WriteError::Read { path, source }
}
