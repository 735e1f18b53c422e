//! What is done to files and folders, and waits for a disk.

use std::fs::{self, DirBuilder, DirEntry, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::name::RepositoryName;
use crate::object::Kind;
use crate::storage::Entry;

/// Where a repository's drafts lie. restic looks only at the folders that it knows.
pub(super) const DRAFTS: &str = ".drafts";

/// What the folder of a repository that is being removed is called; no repository's name begins like this.
const GONE: &str = ".gone-";

/// From which age on nobody writes a draft any more: longer than any upload may take, as another daemon may share the
/// folder.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes a folder that its owner alone can enter, and those above it.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Makes a folder in one that must be there.
pub(super) fn make_below(parent: &Path, path: &Path) -> io::Result<()> {
    if make_unsynced(path)? { sync(parent) } else { Ok(()) }
}

/// Makes a repository's folders, those of packs included.
pub(super) fn make_repository(root: &Path, folder: &Path) -> io::Result<()> {
    make_below(root, folder)?;
    make_below(folder, &folder.join(DRAFTS))?;
    for kind in Kind::ALL {
        make_below(folder, &folder.join(kind.as_str()))?;
    }
    let data = folder.join(Kind::Data.as_str());
    for first in 0..=u8::MAX {
        make_unsynced(&data.join(format!("{first:02x}")))?;
    }
    sync(&data)
}

/// Makes a folder where there is none; tells whether it did.
fn make_unsynced(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Has the names in a folder survive a power cut.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    // The parent of a bare relative path.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// A name that nothing has.
pub(super) fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(random)))
}

/// Removes a file; its size where there was one.
pub(super) fn remove(path: &Path) -> io::Result<Option<u64>> {
    let removed = fs::metadata(path).and_then(|metadata| {
        fs::remove_file(path)?;
        Ok(metadata.len())
    });
    match removed {
        Ok(size) => {
            path.parent().map_or(Ok(()), sync)?;
            Ok(Some(size))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The objects in the folder of a kind.
pub(super) fn list(folder: &Path, kind: Kind) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for inner in children(folder)? {
        if kind != Kind::Data {
            entries.extend(object(&inner)?);
        } else if inner.file_type()?.is_dir() {
            for pack in children(&inner.path())? {
                entries.extend(object(&pack)?);
            }
        }
    }
    Ok(entries)
}

/// A folder's children; none where there is no such folder.
fn children(folder: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// An object, unless it is something else or was removed meanwhile.
fn object(entry: &DirEntry) -> io::Result<Option<Entry>> {
    let Some(name) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { return Ok(None) };
    match entry.metadata() {
        Ok(metadata) => Ok(metadata.is_file().then_some(Entry { name, size: metadata.len() })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The repositories in a folder.
pub(super) fn repositories(root: &Path) -> io::Result<Vec<RepositoryName>> {
    let mut names = Vec::new();
    for entry in children(root)? {
        let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let (Some(name), true) = (name, entry.file_type()?.is_dir()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes a repository. It is renamed first, so that it is gone as a whole, and whatever then breaks off is known by
/// its name.
pub(super) fn destroy(root: &Path, folder: &Path) -> io::Result<()> {
    let gone = root.join(format!("{GONE}{}", random_name()?));
    match fs::rename(folder, &gone) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    sync(root)?;
    fs::remove_dir_all(gone)
}

/// Removes what was left half done: repositories that were being removed, and old drafts.
pub(super) fn tidy(root: &Path) -> io::Result<()> {
    for entry in children(root)? {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(GONE)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    for repository in repositories(root)? {
        for draft in children(&root.join(repository.as_str()).join(DRAFTS))? {
            if draft.metadata().is_ok_and(|metadata| is_abandoned(&metadata)) {
                let _ = fs::remove_file(draft.path());
            }
        }
    }
    Ok(())
}

fn is_abandoned(metadata: &fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|written| SystemTime::now().duration_since(written).ok());
    age.is_some_and(|age| age > ABANDONED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Key;

    #[test]
    fn what_was_left_half_done_goes_and_what_others_may_still_write_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (root, acme) = (folder.path(), folder.path().join("acme"));
        make_repository(root, &acme).unwrap();
        make_repository(root, &acme).unwrap();
        let (old, new) = (acme.join(DRAFTS).join("old"), acme.join(DRAFTS).join("new"));
        for path in [&old, &new] {
            fs::write(path, "half").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * ABANDONED;
        File::options().write(true).open(&old).unwrap().set_modified(long_ago).unwrap();
        fs::create_dir(root.join(".gone-1")).unwrap();
        fs::write(root.join(".gone-1").join("config"), "").unwrap();
        tidy(root).unwrap();
        assert!(new.exists() && !old.exists() && !root.join(".gone-1").exists());
        assert_eq!(repositories(root).unwrap(), ["acme".parse().unwrap()]);
    }

    #[test]
    fn only_objects_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let acme = folder.path().join("acme");
        make_repository(folder.path(), &acme).unwrap();
        let name = "24".repeat(32);
        let key = Key::Object(Kind::Data, name.parse().unwrap());
        fs::write(acme.join(key.path()), "abc").unwrap();
        fs::write(acme.join("data/24/other"), "").unwrap();
        fs::write(acme.join("data").join(&name), "").unwrap();
        let listed = list(&acme.join("data"), Kind::Data).unwrap();
        assert_eq!(listed, [Entry { name: name.parse().unwrap(), size: 3 }]);
        assert_eq!(list(&acme.join("none"), Kind::Keys).unwrap(), []);
    }
}
