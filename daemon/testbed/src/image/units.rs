//! Taking systemd's units out of a tree.

use std::fs;
use std::path::Path;

use super::build::{list, remove};
use crate::error::Result;

/// Where units and links to them are that the machine's administrator made.
pub(super) const UNITS: &str = "etc/systemd/system";

/// Where packages put theirs.
const SHIPPED: &str = "usr/lib/systemd/system";

/// Removes the links that start a unit, and its aliases. `systemctl disable` would do it as well, but runs
/// the host's programs for System V scripts on the way.
pub(super) fn disable(tree: &Path, unit: &str) -> Result<()> {
    remove_where(&tree.join(UNITS), |entry| {
        let target = fs::read_link(entry).ok();
        target.is_some_and(|target| entry.ends_with(unit) || target.ends_with(unit))
    })
}

/// Removes the units of a name, in which a star at the end stands for any end; with all that belongs to them and wants them.
pub(super) fn remove_all(tree: &Path, name: &str) -> Result<()> {
    [UNITS, SHIPPED].iter().try_for_each(|units| remove_where(&tree.join(units), |entry| is_of(entry, name)))
}

/// Removes what is so among the units of a folder, and in the folders of what they want.
fn remove_where(units: &Path, is_so: impl Fn(&Path) -> bool) -> Result<()> {
    for entry in list(units)? {
        if is_so(&entry) {
            remove(&entry)?;
        } else if entry.is_dir() && !entry.is_symlink() {
            list(&entry)?.iter().filter(|inner| is_so(inner)).try_for_each(|inner| remove(inner))?;
        }
    }
    Ok(())
}

fn is_of(entry: &Path, name: &str) -> bool {
    let Some(file) = entry.file_name().and_then(|file| file.to_str()) else { return false };
    match name.strip_suffix('*') {
        Some(beginning) => file.starts_with(beginning),
        None => file == name,
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::link;
    use super::*;

    #[test]
    fn disabling_a_unit_removes_its_wants_and_aliases_but_no_other_unit() {
        let folder = tempfile::tempdir().unwrap();
        let units = folder.path().join(UNITS);
        let wants = units.join("multi-user.target.wants");
        let shipped = Path::new("/usr/lib/systemd/system");
        link(&shipped.join("redis-server.service"), &wants.join("redis-server.service")).unwrap();
        link(&shipped.join("redis-server.service"), &units.join("redis.service")).unwrap();
        link(&shipped.join("ssh.service"), &wants.join("ssh.service")).unwrap();
        disable(folder.path(), "redis-server.service").unwrap();
        assert!(!wants.join("redis-server.service").is_symlink());
        assert!(!units.join("redis.service").is_symlink());
        assert!(wants.join("ssh.service").is_symlink());
    }

    #[test]
    fn units_are_removed_with_what_belongs_to_them_and_wants_them_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let (made, shipped) = (folder.path().join(UNITS), folder.path().join(SHIPPED));
        let of = |names: &[&str]| names.iter().map(|name| shipped.join(name)).collect::<Vec<_>>();
        let gone = of(&["fsck@.service", "fsck-root.service", "sysinit.target.wants/fsck-root.service"]);
        let kept = of(&["dbus.service", "sysinit.target.wants/dbus.service", "fs.target"]);
        for file in gone.iter().chain(&kept) {
            link(Path::new("/dev/null"), file).unwrap();
        }
        let own = made.join("fsck-root.service.d/own.conf");
        link(Path::new("/dev/null"), &own).unwrap();
        remove_all(folder.path(), "fsck*").unwrap();
        remove_all(folder.path(), "fs").unwrap();
        assert!(gone.iter().chain([&own]).all(|file| !file.is_symlink()));
        assert!(kept.iter().all(|file| file.is_symlink()));
    }
}
