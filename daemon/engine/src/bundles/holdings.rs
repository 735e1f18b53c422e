//! What is brought of each service, by a bundle's signed manifest or by what a snapshot tells, and whether a system can take that.

use std::collections::BTreeMap;

use berth_bundle::{Entry, Kind, ServiceAbout};
use berth_domain::manifest::{DataVersion, Directory};
use berth_domain::{BundledService, Manifest, ServiceName};
use berth_protocol::DirectoryFingerprint;
use sha2::{Digest as _, Sha256};

use super::buckets::{self, InBuckets};
use crate::directory_sum::DirectorySum;
use crate::error::{DATA_NEWER, StepError};
use crate::offsite::ToldService;
use crate::ports::Extent;

/// Of how many owners and groups a service's files may be.
const MAX_OWNERS: usize = 10_000;

/// What is brought, by service.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) services: BTreeMap<ServiceName, Held>,
    /// Its secrets, as `SERVICE/NAME`.
    pub(crate) secrets: Vec<String>,
}

/// What is brought of a service.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) about: BundledService,
    /// The databases' sizes, by name.
    pub(crate) databases: BTreeMap<String, u64>,
    /// The directories that the system declares, and what the bundle has of each.
    pub(crate) directories: Vec<HeldDirectory>,
    pub(crate) users: BTreeMap<u32, String>,
    pub(crate) groups: BTreeMap<u32, String>,
    /// The first thing that is nowhere the system would look for it.
    stray: Option<String>,
    /// The first directory that has to be said of whether it was there, and is not.
    lacking: Option<String>,
}

/// A directory of the system, and what is to come into it.
#[derive(Debug)]
pub(crate) struct HeldDirectory {
    pub(crate) declared: Directory,
    /// Whose it was, where the bundle has it.
    pub(crate) there: Option<(String, String)>,
    sum: DirectorySum,
}

/// Where an entry belongs.
pub(crate) enum Place<'a> {
    /// A database's dump.
    Database(&'a str),
    /// A file, folder or link of the machine, by its path without the slash that it begins with.
    File(&'a [u8]),
    /// Of the buckets; nothing where no bucket has such a name.
    Buckets(Option<InBuckets<'a>>),
}

/// The service that an entry is of, and where it belongs.
pub(crate) fn place(entry: &Entry) -> Option<(&str, Place<'_>)> {
    let rest = entry.path.as_bytes().strip_prefix(b"services/")?;
    let (service, rest) = split(rest)?;
    let (kind, rest) = split(rest)?;
    let service = std::str::from_utf8(service).ok()?;
    match kind {
        b"files" => Some((service, Place::File(rest))),
        b"buckets" => Some((service, Place::Buckets(buckets::place(rest)))),
        b"databases" => {
            let name = std::str::from_utf8(rest).ok()?.strip_suffix(".dump")?;
            Some((service, Place::Database(name)))
        }
        _ => None,
    }
}

fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().position(|byte| *byte == b'/')?;
    Some((&path[..at], &path[at + 1..]))
}

impl Holdings {
    /// Nothing yet of the services that a bundle names; `system` says which directories there are to be.
    pub(crate) fn begin(services: &[ServiceAbout], system: Option<&Manifest>) -> Self {
        let held = |about: &ServiceAbout| {
            let name: ServiceName = about.name.parse().ok()?;
            let contract = system.and_then(|system| system.services.get(&name));
            let declared = contract.into_iter().flat_map(|contract| &contract.state.directories);
            let directories = declared.cloned().map(HeldDirectory::new).collect();
            let data_version = about.data_version.clone();
            let about = BundledService { data_version, ..BundledService::default() };
            Some((name, Held { about, directories, ..Held::default() }))
        };
        Self { services: services.iter().filter_map(held).collect(), secrets: Vec::new() }
    }

    /// Takes in an entry. They come in the order of their paths.
    pub(crate) fn add(&mut self, entry: &Entry) {
        if let Some(secret) = secret(entry) {
            self.secrets.push(secret);
        }
        let Some((service, place)) = place(entry) else { return };
        if let Some(held) = self.services.get_mut(service) {
            held.add(entry, place);
        }
    }

    /// How many bytes are to come onto the machine.
    pub(crate) fn bytes(&self) -> u64 {
        self.services.values().fold(0, |sum, held| sum.saturating_add(held.about.bytes))
    }

    /// Whether there are objects of buckets.
    pub(crate) fn has_objects(&self) -> bool {
        let mut buckets = self.services.values().flat_map(|held| held.about.buckets.values());
        buckets.any(|bucket| bucket.objects > 0)
    }

    /// The buckets whose objects have no bucket of a system's to come into, each with why.
    pub(crate) fn without_bucket(&self, system: &Manifest) -> Vec<String> {
        let all = self.services.iter().flat_map(|(service, held)| {
            let own = system.services.get(service).map_or(&[][..], |contract| &contract.state.buckets);
            buckets::without_target(&held.about.buckets, own).map(move |why| format!("{service}: {why}"))
        });
        all.collect()
    }

    /// Whether a system can take all of it, and misses nothing.
    pub(crate) fn fit(&self, system: &Manifest) -> Result<(), StepError> {
        for (name, held) in &self.services {
            let Some(contract) = system.services.get(name) else {
                return Err(mismatch(format!("it holds {name}, which the tenant would not have here")));
            };
            held.fits(name, contract)?;
        }
        let state = |name: &&ServiceName| {
            let state = &system.services[*name].state;
            !state.databases.is_empty() || !state.directories.is_empty()
        };
        match system.services.keys().filter(state).find(|name| !self.services.contains_key(*name)) {
            Some(name) => Err(mismatch(format!("it holds nothing of {name}"))),
            None => Ok(()),
        }
    }
}

impl Held {
    /// What a snapshot tells that a machine made; `contract` is that of the service's here.
    pub(crate) fn told(
        told: &ToldService,
        extent: Extent,
        contract: Option<&berth_domain::manifest::ServiceManifest>,
    ) -> Self {
        let declared = contract.map_or(&[][..], |contract| &contract.state.directories);
        let there = |path: &str| told.directories.iter().any(|directory| directory == path);
        let here = |path: &str| declared.iter().any(|directory| directory.path == path);
        let (Extent { files, bytes }, buckets) = (extent, BTreeMap::new());
        let (databases, data_version) = (told.databases.keys().cloned().collect(), told.data_version.clone());
        let stray = told.directories.iter().find(|directory| !here(directory));
        let lacking = declared.iter().find(|directory| !there(&directory.path));
        Self {
            about: BundledService { data_version, databases, files, bytes, buckets },
            databases: told.databases.clone(),
            stray: stray.cloned(),
            lacking: lacking.map(|directory| directory.path.clone()),
            ..Self::default()
        }
    }

    fn add(&mut self, entry: &Entry, place: Place<'_>) {
        if let Place::Buckets(place) = place {
            let fits = place.is_some_and(|place| buckets::add(&mut self.about.buckets, entry, place));
            if !fits {
                self.stray.get_or_insert_with(|| entry.path.encoded());
            }
            return;
        }
        if let Kind::File { size, .. } = entry.kind {
            self.about.files += 1;
            self.about.bytes = self.about.bytes.saturating_add(size);
        }
        match place {
            Place::Database(name) => {
                if let Kind::File { size, .. } = entry.kind {
                    self.databases.insert(name.to_owned(), size);
                    self.about.databases.push(name.to_owned());
                }
            }
            Place::File(path) => self.add_file(entry, path),
            Place::Buckets(_) => {}
        }
    }

    fn add_file(&mut self, entry: &Entry, path: &[u8]) {
        let meta = &entry.meta;
        for (names, number, name) in
            [(&mut self.users, meta.uid, &meta.owner), (&mut self.groups, meta.gid, &meta.group)]
        {
            if let Some(name) = name.as_ref().filter(|_| names.len() < MAX_OWNERS) {
                names.entry(number).or_insert_with(|| name.clone());
            }
        }
        let mut known = false;
        for directory in &mut self.directories {
            let root = directory.declared.path.trim_start_matches('/').as_bytes();
            match path.strip_prefix(root) {
                Some(b"") => {
                    known = true;
                    let Directory { owner, group, .. } = &directory.declared;
                    let name = |name: &Option<String>, other: &String| name.clone().unwrap_or(other.clone());
                    directory.there = Some((name(&meta.owner, owner), name(&meta.group, group)));
                }
                Some([b'/', inner @ ..]) => {
                    known = true;
                    directory.add(inner, entry);
                }
                _ => {}
            }
        }
        if !known {
            self.stray.get_or_insert_with(|| entry.path.encoded());
        }
    }

    fn fits(
        &self,
        name: &ServiceName,
        contract: &berth_domain::manifest::ServiceManifest,
    ) -> Result<(), StepError> {
        let found = self.about.data_version.as_deref().map(DataVersion::from);
        if let (Some(found), Some(version)) = (found, &contract.data_version)
            && found > *version
        {
            let message =
                format!("the data of {name} is of version {found}, and {name} here reads it up to {version}");
            return Err(StepError::failed(DATA_NEWER, message));
        }
        if let Some(stray) = &self.stray {
            return Err(mismatch(format!("it holds {stray}, which {name} here has no place for")));
        }
        if let Some(lacking) = &self.lacking {
            return Err(mismatch(format!("it lacks the directory {lacking} of {name}")));
        }
        let wanted = &contract.state.databases;
        if let Some(unknown) = self.databases.keys().find(|database| !wanted.contains(database)) {
            return Err(mismatch(format!(
                "it holds the database {unknown}, which {name} here does not know"
            )));
        }
        match wanted.iter().find(|database| !self.databases.contains_key(*database)) {
            Some(missing) => Err(mismatch(format!("it lacks the database {missing} of {name}"))),
            None => Ok(()),
        }
    }
}

impl HeldDirectory {
    fn new(declared: Directory) -> Self {
        Self { declared, there: None, sum: DirectorySum::default() }
    }

    fn add(&mut self, path: &[u8], entry: &Entry) {
        let (kind, size, content) = match &entry.kind {
            Kind::File { size, sha256 } => (b'f', *size, *sha256.as_bytes()),
            Kind::Directory => (b'd', 0, [0; 32]),
            Kind::Symlink { target } => (b'l', 0, Sha256::digest(target.as_bytes()).into()),
        };
        let mode = if kind == b'l' { 0 } else { entry.meta.mode.bits() };
        self.sum.add(path, kind, mode, size, content);
    }

    /// What the directory must come to.
    pub(crate) fn fingerprint(&self) -> DirectoryFingerprint {
        self.sum.fingerprint()
    }
}

/// `SERVICE/NAME` of a sealed secret.
fn secret(entry: &Entry) -> Option<String> {
    let path = entry.path.encoded();
    let name = path.strip_prefix("secrets/")?.strip_suffix(".age")?;
    (name.split('/').count() == 2).then(|| name.to_owned())
}

fn mismatch(what: String) -> StepError {
    StepError::failed("state-mismatch", format!("what was brought does not fit: {what}"))
}

#[cfg(test)]
#[path = "holdings_tests.rs"]
mod tests;
