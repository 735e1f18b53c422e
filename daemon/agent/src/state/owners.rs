//! Whose files these are: numbers differ between machines, names are what services agree on.

use std::collections::{BTreeSet, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use berth_domain::manifest::Directory;
use rustix::fs::{AtFlags, CWD, Gid, Uid, chownat};

use super::snapshot::{Captured, Owners};
use super::tree::walk;
use crate::accounts::Accounts;
use crate::failure::{Result, bad_manifest, io};

/// The bits of a mode that a change of owner may take away (chown(2)).
const SET_ID: u32 = 0o6000;

/// The names of all owners and groups of what is in some directories. `copies` tells whether what is there can be copied as it
/// is; what cannot is refused.
pub(super) fn of<'a>(
    directories: impl Iterator<Item = &'a str>,
    accounts: &Accounts,
    copies: &dyn Fn(&Path, &Metadata) -> std::io::Result<()>,
) -> Result<Owners> {
    let (mut users, mut groups) = (BTreeSet::new(), BTreeSet::new());
    for directory in directories {
        let root = Path::new(directory);
        walk(root, &mut |relative, found| {
            copies(&root.join(relative), found)?;
            users.insert(found.uid());
            groups.insert(found.gid());
            Ok(())
        })
        .map_err(io(format!("cannot look through {directory}")))?;
    }
    let users = users.into_iter().filter_map(|number| Some((number, accounts.user_name(number)?.to_owned())));
    let groups =
        groups.into_iter().filter_map(|number| Some((number, accounts.group_name(number)?.to_owned())));
    Ok(Owners { users: users.collect(), groups: groups.collect() })
}

/// Whose a directory's files are to be on this machine.
pub(super) struct Mapping<'a> {
    owners: &'a Owners,
    accounts: &'a Accounts,
    there: &'a Directory,
    here: &'a Directory,
    uid: u32,
    gid: u32,
    mode: u32,
}

impl<'a> Mapping<'a> {
    /// Refuses a directory whose declared owner this machine does not know.
    pub(super) fn of(
        owners: &'a Owners,
        accounts: &'a Accounts,
        there: &'a Captured,
        here: &'a Directory,
    ) -> Result<Self> {
        let unknown = || {
            bad_manifest(format!("{}: there is no user {} or no group {}", here.path, here.owner, here.group))
        };
        let uid = accounts.user(&here.owner).ok_or_else(unknown)?;
        let gid = accounts.group(&here.group).ok_or_else(unknown)?;
        let mode = u32::from_str_radix(&here.mode, 8).ok().filter(|mode| mode & !0o7777 == 0);
        let mode = mode.ok_or_else(|| bad_manifest(format!("{}: “{}” is no mode", here.path, here.mode)))?;
        Ok(Self { owners, accounts, there: &there.declared, here, uid, gid, mode })
    }

    /// The owner that was declared there is the one that is declared here; others are known by name. Files of somebody who is
    /// not known here belong to the declared owner.
    fn user(&self, number: u32) -> u32 {
        let name = self.owners.users.get(&number).filter(|name| **name != self.there.owner);
        name.and_then(|name| self.accounts.user(name)).unwrap_or(self.uid)
    }

    fn group(&self, number: u32) -> u32 {
        let name = self.owners.groups.get(&number).filter(|name| **name != self.there.group);
        name.and_then(|name| self.accounts.group(name)).unwrap_or(self.gid)
    }

    /// Gives everything below `root`, which nobody else can reach, its owner here, and `root` what is declared.
    pub(super) fn apply(&self, root: &Path) -> Result<()> {
        let mut linked = HashSet::new();
        let work = walk(root, &mut |relative, found| {
            let kind = found.file_type();
            if kind.is_block_device() || kind.is_char_device() {
                let name = relative.display();
                return Err(std::io::Error::other(format!("{name} is a device, which no service keeps")));
            }
            // A file with many names must not be given away twice: the second time its number is one of this machine's.
            if found.is_dir() || found.nlink() == 1 || linked.insert((found.dev(), found.ino())) {
                give(&root.join(relative), found, self.user(found.uid()), self.group(found.gid()))?;
            }
            Ok(())
        });
        let declared = || {
            chownat(
                CWD,
                root,
                Some(Uid::from_raw(self.uid)),
                Some(Gid::from_raw(self.gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )?;
            std::fs::set_permissions(root, std::fs::Permissions::from_mode(self.mode))
        };
        work.and_then(|()| declared())
            .map_err(io(format!("cannot give {} to {}", self.here.path, self.here.owner)))
    }
}

fn give(path: &Path, found: &std::fs::Metadata, uid: u32, gid: u32) -> std::io::Result<()> {
    let set_id = found.is_file() && found.mode() & SET_ID != 0;
    // Whoever made the snapshot is not to make somebody root of this machine.
    let is_roots = uid == 0 || gid == 0;
    if (found.uid(), found.gid()) != (uid, gid) {
        chownat(CWD, path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)?;
    } else if !(set_id && is_roots) {
        return Ok(());
    }
    if set_id {
        let kept = if is_roots { 0o7777 & !SET_ID } else { 0o7777 };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(found.mode() & kept))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_declared_owner_is_the_one_of_here_and_others_are_known_by_name() {
        let accounts = Accounts::of(
            &[("web", 501), ("www", 33), ("root", 0)],
            &[("web", 601), ("www", 34), ("root", 0)],
        );
        let names = |pairs: &[(u32, &str)]| -> BTreeMap<u32, String> {
            pairs.iter().map(|(number, name)| (*number, (*name).to_owned())).collect()
        };
        let owners = Owners {
            users: names(&[(990, "gitea"), (33, "www"), (0, "root"), (7, "stranger"), (501, "other")]),
            groups: names(&[(990, "gitea"), (0, "root")]),
        };
        let declared = |owner: &str| Directory {
            path: "/var/lib/web".into(),
            owner: owner.into(),
            group: owner.into(),
            mode: "0750".into(),
        };
        let there = Captured { declared: declared("gitea"), present: true };
        let here = declared("web");
        let mapping = Mapping::of(&owners, &accounts, &there, &here).unwrap();
        assert_eq!(
            [990, 33, 0, 7, 501, 12345].map(|number| mapping.user(number)),
            [501, 33, 0, 501, 501, 501]
        );
        assert_eq!([990, 0, 12345].map(|number| mapping.group(number)), [601, 0, 601]);
        let nobody = declared("nobody-here");
        assert!(Mapping::of(&owners, &accounts, &there, &nobody).is_err());
    }
}
