//! The folder that bundles lie in, and what is known of each.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use berth_domain::{BundleId, BundleStatus, IncomingBundle, TakenIn, Timestamp};
use berth_nix::{Nix, NixOptions};
use berth_sign::TrustedKeys;
use uuid::Uuid;

/// How long a bundle stays after the last of it arrived.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The largest bundle, in bytes.
const LARGEST: u64 = 64 << 40;

/// The bundles that somebody brought here.
pub struct Spool {
    /// Nobody but the daemon's user may read it.
    pub(super) folder: PathBuf,
    /// Whose signatures count without anybody's word.
    pub(super) trusted: TrustedKeys,
    /// What reads a tenant's specification.
    pub(super) nix: Nix,
    /// The bundles that are being compared here, and how many bytes are.
    at_work: Mutex<HashMap<BundleId, Arc<AtomicU64>>>,
}

/// Why something cannot be done with a bundle.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// There is none of that id.
    #[error("there is no such bundle")]
    NotFound,
    /// There is another one of that id.
    #[error("there is another bundle of this id")]
    Exists,
    /// The disk has too little room.
    #[error("the bundle has {needed} bytes, and the daemon has room for {free}")]
    NoSpace {
        /// What it needs.
        needed: u64,
        /// What there is.
        free: u64,
    },
    /// It goes on elsewhere.
    #[error("{received} bytes of the bundle are here: it goes on there")]
    Offset {
        /// How many bytes are here.
        received: u64,
    },
    /// Somebody else sends it at this moment, or it is being compared.
    #[error("the bundle is in use: somebody else sends it, or it is being verified")]
    Busy,
    /// More comes than was announced.
    #[error("the bundle has more bytes than the {size} that were announced")]
    TooLong {
        /// How many were announced.
        size: u64,
    },
    /// No bundle is that large, or that small.
    #[error("a bundle has between 1 byte and 64 TiB")]
    Size,
    /// The folder cannot be used.
    #[error("the folder of bundles: {0}")]
    Folder(#[from] io::Error),
    /// What is known of it cannot be read.
    #[error("what is known of the bundle: {0}")]
    Json(#[from] serde_json::Error),
}

/// A bundle that is being compared; it is not any more once this is gone.
pub(super) struct AtWork<'a> {
    spool: &'a Spool,
    id: BundleId,
    pub(super) done: Arc<AtomicU64>,
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.spool.at_work.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Spool {
    /// The bundles in a folder.
    pub fn new(folder: PathBuf, trusted: TrustedKeys, nix: Nix) -> Self {
        Self { folder, trusted, nix, at_work: Mutex::default() }
    }

    /// The bundles in a folder, of a daemon that trusts nobody's signature without a word.
    pub fn of_nobody(folder: PathBuf) -> Self {
        Self::new(folder, TrustedKeys::none(), Nix::new(NixOptions::default()))
    }

    /// A bundle of so many bytes is about to come, under an id that its sender made. Said again, it is the same.
    ///
    /// # Errors
    /// [`SpoolError::Size`], [`SpoolError::NoSpace`], [`SpoolError::Exists`], [`SpoolError::Folder`]
    pub fn announce(
        &self,
        id: BundleId,
        size: u64,
        by: String,
        now: Timestamp,
    ) -> Result<IncomingBundle, SpoolError> {
        match self.bundle(id) {
            Ok(bundle) if bundle.size == size => return Ok(bundle),
            Ok(_) => return Err(SpoolError::Exists),
            Err(SpoolError::NotFound) => {}
            Err(error) => return Err(error),
        }
        if !(1..=LARGEST).contains(&size) {
            return Err(SpoolError::Size);
        }
        self.has_room(size)?;
        let bundle = IncomingBundle {
            id,
            size,
            received: 0,
            verified: 0,
            status: BundleStatus::Receiving,
            refusal: None,
            about: None,
            taken_in: None,
            brought_by: by,
            created_at: now,
        };
        private().create(true).truncate(true).open(self.content(bundle.id))?;
        self.write(&bundle)?;
        Ok(bundle)
    }

    /// A bundle as it stands.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`], [`SpoolError::Folder`], [`SpoolError::Json`]
    pub fn bundle(&self, id: BundleId) -> Result<IncomingBundle, SpoolError> {
        let text = std::fs::read(self.record(id)).map_err(missing)?;
        let mut bundle: IncomingBundle = serde_json::from_slice(&text)?;
        let received = match std::fs::metadata(self.content(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            found => Some(found?.len()),
        };
        if received.is_none() {
            // It was taken in long ago, and is remembered: it may come once more.
            bundle = IncomingBundle { status: BundleStatus::Receiving, refusal: None, about: None, ..bundle };
        }
        if bundle.status == BundleStatus::Receiving {
            (bundle.received, bundle.verified) = (received.unwrap_or(0), 0);
            if bundle.received == bundle.size {
                bundle.status = BundleStatus::Verifying;
            }
        }
        if bundle.status == BundleStatus::Verifying {
            let at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
            bundle.verified = at_work.get(&id).map_or(0, |done| done.load(Ordering::Relaxed));
        }
        Ok(bundle)
    }

    /// Every bundle, the newest first.
    ///
    /// # Errors
    /// [`SpoolError::Folder`], [`SpoolError::Json`]
    pub fn bundles(&self) -> Result<Vec<IncomingBundle>, SpoolError> {
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let (Some("json"), Some(id)) = (path.extension().and_then(|it| it.to_str()), stem) {
                ids.push(id);
            }
        }
        ids.sort_unstable_by(|one: &BundleId, other| other.cmp(one));
        let bundles = ids.into_iter().map(|id| self.bundle(id));
        // One may go while they are read.
        bundles.filter(|bundle| !matches!(bundle, Err(SpoolError::NotFound))).collect()
    }

    /// Notes which tenant is made of a bundle.
    ///
    /// # Errors
    /// As [`Spool::bundle`].
    pub fn note_taken_in(&self, id: BundleId, taken_in: TakenIn) -> Result<(), SpoolError> {
        let bundle = self.bundle(id)?;
        self.write(&IncomingBundle { taken_in: Some(taken_in), ..bundle })
    }

    /// Removes a bundle with all that is known of it.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`], [`SpoolError::Folder`]
    pub fn remove(&self, id: BundleId) -> Result<(), SpoolError> {
        gone(std::fs::remove_file(self.content(id)))?;
        std::fs::remove_file(self.record(id)).map_err(missing)
    }

    /// Removes the content of bundles that nobody has touched for [`KEPT`], and what operations were asked to make of them. What is
    /// known of a bundle that was taken in stays: it is to be known again. Returns how many files went.
    ///
    /// # Errors
    /// The folder cannot be read, or something in it not removed.
    pub fn purge(&self, now: SystemTime) -> Result<u64, SpoolError> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let old = now.duration_since(entry.metadata()?.modified()?).is_ok_and(|age| age > KEPT);
            let known_for_good = path.extension().is_some_and(|extension| extension == "json")
                && std::fs::read(&path).ok().is_some_and(|text| {
                    serde_json::from_slice::<IncomingBundle>(&text)
                        .is_ok_and(|bundle| bundle.taken_in.is_some())
                });
            if old && !known_for_good {
                std::fs::remove_file(path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Where its content is.
    pub(crate) fn content(&self, id: BundleId) -> PathBuf {
        self.folder.join(format!("{id}.tar"))
    }

    /// Which tenant was made last of a bundle with this manifest, whenever and under whichever id that came.
    ///
    /// # Errors
    /// As [`Spool::bundles`].
    pub fn taken_in(&self, manifest_sha256: &str) -> Result<Option<TakenIn>, SpoolError> {
        let mut found: Option<TakenIn> = None;
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Ok(text) = std::fs::read(&path) else { continue };
            let known: IncomingBundle = serde_json::from_slice(&text)?;
            let same = known.about.is_some_and(|about| about.manifest_sha256 == manifest_sha256);
            if let Some(taken_in) = known.taken_in.filter(|_| same)
                && found.as_ref().is_none_or(|found| found.operation < taken_in.operation)
            {
                found = Some(taken_in);
            }
        }
        Ok(found)
    }

    fn record(&self, id: BundleId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }

    /// Writes down what is known of a bundle; as a whole or not at all.
    pub(super) fn write(&self, bundle: &IncomingBundle) -> Result<(), SpoolError> {
        self.write_whole(&self.record(bundle.id), &serde_json::to_vec(bundle)?)
    }

    pub(super) fn write_whole(&self, path: &Path, content: &[u8]) -> Result<(), SpoolError> {
        let draft = self.folder.join(format!(".{}", Uuid::now_v7()));
        let mut file = private().create_new(true).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Whether so many bytes may still come.
    pub(super) fn has_room(&self, needed: u64) -> Result<(), SpoolError> {
        let free = crate::disk::room(&self.folder)?;
        if free < needed { Err(SpoolError::NoSpace { needed, free }) } else { Ok(()) }
    }

    /// Begins to compare a bundle, unless that is going on here.
    pub(super) fn begin(&self, id: BundleId) -> Option<AtWork<'_>> {
        let done = Arc::new(AtomicU64::new(0));
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if at_work.contains_key(&id) {
            return None;
        }
        at_work.insert(id, Arc::clone(&done));
        Some(AtWork { spool: self, id, done })
    }
}

/// For files that nobody else may read.
pub(super) fn private() -> std::fs::OpenOptions {
    let mut options = File::options();
    options.write(true).mode(0o600);
    options
}

fn missing(error: io::Error) -> SpoolError {
    if error.kind() == io::ErrorKind::NotFound { SpoolError::NotFound } else { error.into() }
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool(folder: &Path) -> Spool {
        Spool::of_nobody(folder.to_owned())
    }

    fn announced(spool: &Spool, size: u64) -> Result<IncomingBundle, SpoolError> {
        spool.announce(Uuid::now_v7(), size, "panel".into(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_the_disk_has_no_room_for_is_refused_before_anything_comes() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        assert!(matches!(announced(&spool, 32 << 40), Err(SpoolError::NoSpace { .. })));
        assert!(matches!(announced(&spool, 0), Err(SpoolError::Size)));
        assert!(matches!(announced(&spool, u64::MAX), Err(SpoolError::Size)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_bundle_goes_after_a_week_and_that_it_was_taken_in_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path());
        let (one, other) = (announced(&spool, 5).unwrap(), announced(&spool, 5).unwrap());
        let taken_in = TakenIn { tenant: "acme".parse().unwrap(), operation: one.id };
        spool.note_taken_in(one.id, taken_in.clone()).unwrap();
        let now = SystemTime::now();
        assert_eq!(spool.purge(now + KEPT / 2).unwrap(), 0);
        assert_eq!(spool.bundles().unwrap().len(), 2);
        assert_eq!(spool.purge(now + KEPT * 2).unwrap(), 3);
        let text = std::fs::read_to_string(folder.path().join(format!("{}.json", one.id))).unwrap();
        assert!(text.contains("acme"));
        let remembered = spool.bundle(one.id).unwrap();
        assert_eq!((remembered.status, remembered.received), (BundleStatus::Receiving, 0));
        assert!(matches!(spool.bundle(other.id), Err(SpoolError::NotFound)));
    }
}
