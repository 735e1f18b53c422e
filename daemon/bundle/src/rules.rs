//! What holds from one entry to the next. The writer and every reader keep to it with the same code.

use crate::about::{ABOUT, MANIFEST, SIGNATURE, Totals};
use crate::entry::{Entry, Kind};
use crate::path::BundlePath;

/// What a file that is sealed with age begins with (<https://age-encryption.org/v1>).
pub const SEALED: &[u8] = b"age-encryption.org/v1\n";
/// The folder in which every file is sealed.
pub const SECRETS: &[u8] = b"secrets";

/// Why an entry cannot stand where it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misplaced {
    /// The first entry is another.
    #[error("the first entry must be the file bundle.json")]
    NotAbout,
    /// The bundle's own members are no entries.
    #[error("this name is kept for the bundle’s own")]
    Reserved,
    /// There is an entry of this name already.
    #[error("there is an entry of this name already")]
    Twice,
    /// It comes too late.
    #[error("it must come before {0}")]
    Order(BundlePath),
    /// It lies in something that is no folder.
    #[error("it lies in {0}, which is no folder")]
    Below(BundlePath),
    /// Among the secrets there are only files and folders.
    #[error("among the secrets there are no symbolic links")]
    LinkAmongSecrets,
}

/// The entries so far, as far as the next one has to fit to them. It takes as little memory for a million as for one.
#[derive(Debug, Default)]
pub(crate) struct Sequence {
    last: Option<(BundlePath, bool)>,
    totals: Totals,
}

impl Sequence {
    /// Takes the next entry in.
    pub(crate) fn accept(&mut self, entry: &Entry) -> Result<(), Misplaced> {
        self.judge(&entry.path, &entry.kind)?;
        self.count(&entry.kind);
        self.last = Some((entry.path.clone(), entry.kind == Kind::Directory));
        Ok(())
    }

    /// Whether an entry fits as the next one. What a file holds does not matter here.
    pub(crate) fn judge(&self, path: &BundlePath, kind: &Kind) -> Result<(), Misplaced> {
        let Some((last, is_folder)) = &self.last else {
            let is_about = path.as_bytes() == ABOUT.as_bytes() && matches!(kind, Kind::File { .. });
            return if is_about { Ok(()) } else { Err(Misplaced::NotAbout) };
        };
        if path == last {
            return Err(Misplaced::Twice);
        }
        if path < last {
            return Err(Misplaced::Order(last.clone()));
        }
        // What lies in the last entry comes directly after it, so no other has to be looked at.
        if path.is_within(last) && !is_folder {
            return Err(Misplaced::Below(last.clone()));
        }
        if [MANIFEST, SIGNATURE].iter().any(|own| path.as_bytes() == own.as_bytes()) {
            return Err(Misplaced::Reserved);
        }
        if is_secret(path) && matches!(kind, Kind::Symlink { .. }) {
            return Err(Misplaced::LinkAmongSecrets);
        }
        Ok(())
    }

    fn count(&mut self, kind: &Kind) {
        let totals = &mut self.totals;
        totals.entries += 1;
        match kind {
            Kind::Directory => totals.directories += 1,
            Kind::Symlink { .. } => totals.symlinks += 1,
            Kind::File { size, .. } => {
                totals.files += 1;
                totals.bytes = totals.bytes.saturating_add(*size);
            }
        }
    }

    /// How much there is so far.
    pub(crate) fn totals(&self) -> Totals {
        self.totals
    }
}

/// Whether what is there must be sealed.
pub(crate) fn is_secret(path: &BundlePath) -> bool {
    path.components().next() == Some(SECRETS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{FileMode, Meta, Target};

    fn entry(path: &str, kind: Kind) -> Entry {
        let meta = Meta::made(FileMode::FILE, 0);
        Entry { path: BundlePath::try_from(path).unwrap(), kind, meta }
    }

    fn file(path: &str) -> Entry {
        entry(path, Kind::File { size: 1, sha256: [0; 32].into() })
    }

    fn after(before: &[Entry], next: &Entry) -> Result<(), Misplaced> {
        let mut sequence = Sequence::default();
        before.iter().for_each(|entry| sequence.accept(entry).unwrap());
        sequence.accept(next)
    }

    #[test]
    fn every_entry_has_its_place() {
        let link = |path| entry(path, Kind::Symlink { target: Target::new(*b"/etc").unwrap() });
        let path = |text| BundlePath::try_from(text).unwrap();
        assert_eq!(after(&[], &file("a")), Err(Misplaced::NotAbout));
        assert_eq!(after(&[], &link(ABOUT)), Err(Misplaced::NotAbout));
        let about = [file(ABOUT)];
        assert_eq!(after(&about, &file(ABOUT)), Err(Misplaced::Twice));
        assert_eq!(after(&about, &file("a")), Err(Misplaced::Order(path(ABOUT))));
        assert_eq!(after(&about, &file(MANIFEST)), Err(Misplaced::Reserved));
        assert_eq!(after(&about, &file(SIGNATURE)), Err(Misplaced::Reserved));
        assert_eq!(after(&about, &link("secrets/a")), Err(Misplaced::LinkAmongSecrets));
        let below = [file(ABOUT), link("services")];
        assert_eq!(after(&below, &file("services/a")), Err(Misplaced::Below(path("services"))));
        assert_eq!(after(&below, &file("services-a")), Ok(()));
        let below = [file(ABOUT), entry("services", Kind::Directory)];
        assert_eq!(after(&below, &file("services/manifest.jws")), Ok(()));
    }
}
