//! A machine's control groups (cgroups(7)).
//!
//! With `--keep-unit`, systemd-nspawn makes the machine's groups in the one that it is started in. Machines started
//! from one group would share them: each systemd would take the processes of the other's `nginx.service` for its
//! own, and remove a group in which the other is about to start a program (`Failed to spawn executor`). So each
//! machine is started in a group of its own, in the hierarchies by which systemd tells units apart.

use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::error::{Context, Result};
use crate::mounts::{self, Mounted};

/// How often a group that is busy is tried again: what ran in it needs a moment to be gone.
const ATTEMPTS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// The folders of groups called `name`, below those that this process is in. They are not made yet.
pub(crate) fn named(name: &str) -> Result<Vec<PathBuf>> {
    let ours =
        std::fs::read_to_string("/proc/self/cgroup").context(|| "cannot read our cgroups".to_owned())?;
    Ok(folders(&ours, &mounts::all()?).into_iter().map(|folder| folder.join(name)).collect())
}

/// Makes groups, as far as they are missing.
pub(crate) fn make(groups: &[PathBuf]) -> Result<()> {
    groups.iter().try_for_each(|group| match std::fs::create_dir(group) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        done => done.context(|| format!("cannot make the cgroup {}", group.display())),
    })
}

/// Removes groups with those in them, as far as they are there. Nothing may run in them any more.
pub(crate) fn remove(groups: &[PathBuf]) -> Result<()> {
    groups.iter().try_for_each(|group| {
        with_patience(group).context(|| format!("cannot remove the cgroup {}", group.display()))
    })
}

fn with_patience(group: &Path) -> std::io::Result<()> {
    for _ in 1..ATTEMPTS {
        match remove_one(group) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    remove_one(group)
}

/// The files in a group's folder cannot be removed, and go with it.
fn remove_one(group: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(group) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_one(&entry.path())?;
        }
    }
    std::fs::remove_dir(group)
}

/// The folders of the groups in `/proc/self/cgroup` whose hierarchy systemd uses: the one of version 2, and that of
/// version 1 that bears its name.
fn folders(ours: &str, mounted: &[Mounted]) -> Vec<PathBuf> {
    let found = ours.lines().filter_map(|line| {
        let (hierarchy, group) = line.split_once(':')?.1.split_once(':')?;
        let of_hierarchy = |mount: &&Mounted| match hierarchy {
            "" => mount.kind == "cgroup2",
            "name=systemd" => mount.kind == "cgroup" && mount.has_option(hierarchy),
            _ => false,
        };
        let group = Path::new(group);
        // One that is not below what this process sees of the hierarchy.
        if group.components().any(|part| part == Component::ParentDir) {
            return None;
        }
        let folder = |mount: &Mounted| Some(mount.point.join(group.strip_prefix(&mount.root).ok()?));
        mounted.iter().filter(of_hierarchy).find_map(folder)
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &[u8] = b"30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        31 24 0:27 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,name=systemd\n\
        32 24 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn both_hierarchies_of_a_mixed_host_are_found() {
        let found = folders("2:cpu:/\n1:name=systemd:/a/b\n0::/c\n", &mounts::parse(MIXED));
        assert_eq!(found, ["/sys/fs/cgroup/systemd/a/b", "/sys/fs/cgroup/unified/c"].map(PathBuf::from));
    }

    #[test]
    fn a_hierarchy_that_is_mounted_from_a_group_on_is_reached_there() {
        let table = b"31 24 0:27 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let of = |ours| folders(ours, &mounts::parse(table));
        assert_eq!(of("0::/outer/inner\n"), [PathBuf::from("/sys/fs/cgroup/inner")]);
        assert!(of("0::/elsewhere\n").is_empty() && of("0::/outer/../x\n").is_empty());
    }

    #[test]
    fn groups_go_with_what_is_in_them_and_making_and_removing_can_be_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let groups = [folder.path().join("one")];
        make(&groups).unwrap();
        make(&groups).unwrap();
        std::fs::create_dir_all(groups[0].join("payload/system.slice")).unwrap();
        remove(&groups).unwrap();
        assert!(!groups[0].exists());
        remove(&groups).unwrap();
    }
}
