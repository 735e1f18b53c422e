//! Reading in a folder whose content somebody else made, such as a machine's snapshot: no link is followed on the way, so that
//! none leads to what is not in the folder.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::tree::names;

/// A folder of somebody else's.
#[derive(Debug)]
pub struct Beneath(OwnedFd);

impl Beneath {
    /// The folder itself, which is ours.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::empty())?))
    }

    /// A folder in it; the path is relative.
    ///
    /// # Errors
    /// It cannot be opened, or only by way of a link.
    pub fn folder(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self(self.at(path.as_ref(), OFlags::DIRECTORY)?))
    }

    /// A regular file in it; the path is relative.
    ///
    /// # Errors
    /// As [`Beneath::folder`], and where it is no regular file.
    pub fn file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        // A pipe would otherwise be waited for.
        let file = File::from(self.at(path.as_ref(), OFlags::NONBLOCK)?);
        if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("this is no regular file")) }
    }

    /// The names in it, in the order of their bytes; those that are no UTF-8 are left out.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<String>> {
        Ok(names(&self.0)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    fn at(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(openat2(&self.0, path, flags, Mode::empty(), resolve)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_in_the_folder_is_read_and_no_link_leads_out_of_it() {
        let place = tempfile::tempdir().unwrap();
        let (inside, secret) = (place.path().join("inside"), place.path().join("secret"));
        fs::create_dir_all(inside.join("var/lib")).unwrap();
        fs::write(inside.join("var/lib/file"), "mine").unwrap();
        fs::write(&secret, "ours").unwrap();
        symlink(&secret, inside.join("link")).unwrap();
        symlink(place.path(), inside.join("out")).unwrap();
        symlink("var", inside.join("within")).unwrap();
        let beneath = Beneath::open(&inside).unwrap();
        let mut text = String::new();
        beneath.file("var/lib/file").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "mine");
        assert_eq!(beneath.folder("var").unwrap().names().unwrap(), ["lib"]);
        for path in ["link", "out/secret", "within/lib/file", "../secret", "var/lib"] {
            assert!(beneath.file(path).is_err(), "{path}");
        }
        for path in ["out", "within", "..", "var/lib/file"] {
            assert!(beneath.folder(path).is_err(), "{path}");
        }
    }
}
