//! The system profile: its generations, which one is the next boot's, and which may go.

mod lock;

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_protocol::FailureCode;

use crate::collector;
use crate::failure::{Result, failure, io};
use crate::files::remove_if_there;
use lock::ProfileLock;

/// The profile that the next boot follows.
pub(crate) const PROFILE: &str = "/nix/var/nix/profiles/system";

/// How long another program that changes it is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// What the profile leads to: the system that was committed last.
pub(crate) fn committed() -> Option<String> {
    resolved(PROFILE)
}

/// What a link leads to in the end; nothing where there is no link or it leads nowhere.
pub(crate) fn resolved(link: impl AsRef<Path>) -> Option<String> {
    std::fs::canonicalize(link).ok()?.to_str().map(str::to_owned)
}

/// The profile's generation: the number in `system-42-link`, which the profile links to.
pub(crate) fn generation() -> Result<u64> {
    let found = current(Path::new(PROFILE)).map_err(io(format!("cannot read {PROFILE}")))?;
    found.ok_or_else(|| failure(FailureCode::Io, format!("{PROFILE} leads to no generation")))
}

fn current(profile: &Path) -> std::io::Result<Option<u64>> {
    let leads_to = std::fs::read_link(profile)?;
    Ok(leads_to.file_name().and_then(|name| number(profile, name.to_str()?)))
}

/// Makes a system a new generation, and that the profile's. As `nix-env --set` does, but without opening the store for it:
/// the system is in it, and a collection of garbage hears of it.
pub(crate) fn set(system: &Path) -> Result<()> {
    let _seen = collector::keep_off([system])
        .map_err(io(format!("cannot keep the garbage collector from {}", system.display())))?;
    set_in(Path::new(PROFILE), system).map_err(io(format!("cannot set {PROFILE}")))
}

/// Goes back to a generation that is there; to a new one of that system where it is not.
pub(crate) fn go_back_to(system: &Path, generation: Option<u64>) -> Result<()> {
    let profile = Path::new(PROFILE);
    let problem = || io(format!("cannot set {PROFILE}"));
    let there = generation.filter(|number| leads_to(&link(profile, *number), system));
    let Some(number) = there else { return set(system) };
    let _lock = ProfileLock::take(profile, LIMIT).map_err(problem())?;
    lead(profile, number).map_err(problem())
}

fn set_in(profile: &Path, system: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder(profile))?;
    let _lock = ProfileLock::take(profile, LIMIT)?;
    let newest = numbers(profile).into_iter().max();
    // One that was made, and then came a crash.
    let number = match newest {
        Some(newest) if leads_to(&link(profile, newest), system) => newest,
        newest => {
            let next = newest.unwrap_or(0) + 1;
            symlink(system, link(profile, next))?;
            next
        }
    };
    lead(profile, number)
}

/// Has the profile lead to a generation, as a whole and for good.
fn lead(profile: &Path, number: u64) -> std::io::Result<()> {
    let link = link(profile, number);
    let new = profile.with_added_extension("berth");
    remove_if_there(&new)?;
    symlink(link.file_name().unwrap_or_default(), &new)?;
    std::fs::rename(&new, profile)?;
    File::open(folder(profile))?.sync_all()
}

fn leads_to(link: &Path, system: &Path) -> bool {
    resolved(link).as_deref().map(Path::new) == Some(system)
}

/// Makes the profile what it was before its first generation: nothing.
pub(crate) fn remove() -> Result<()> {
    let profile = Path::new(PROFILE);
    let generation = link(profile, generation()?);
    for path in [profile, &generation] {
        std::fs::remove_file(path).map_err(io(format!("cannot remove {}", path.display())))?;
    }
    Ok(())
}

/// Removes the oldest generations beyond `keep`, but none that leads to one of the `protected` systems.
pub(crate) fn prune(keep: u32, protected: &[String]) -> Result<()> {
    prune_in(Path::new(PROFILE), keep, protected)
        .map_err(io(format!("cannot remove old generations of {PROFILE}")))
}

fn prune_in(profile: &Path, keep: u32, protected: &[String]) -> std::io::Result<()> {
    let _lock = ProfileLock::take(profile, LIMIT)?;
    let Some(current) = current(profile)? else { return Ok(()) };
    let all: Vec<_> =
        numbers(profile).into_iter().map(|number| (number, resolved(link(profile, number)))).collect();
    to_prune(&all, current, keep, protected)
        .into_iter()
        .try_for_each(|number| remove_if_there(&link(profile, number)))
}

/// Which generations go: not the newest `keep`, nor the current one, nor what leads to a protected system.
fn to_prune(all: &[(u64, Option<String>)], current: u64, keep: u32, protected: &[String]) -> Vec<u64> {
    let mut sorted: Vec<_> = all.iter().collect();
    sorted.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    let is_needed = |system: &Option<String>| system.as_ref().is_some_and(|path| protected.contains(path));
    let old = sorted.into_iter().skip(keep.max(1) as usize);
    let old = old.filter(|(number, system)| *number != current && !is_needed(system));
    old.map(|(number, _)| *number).collect()
}

fn numbers(profile: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(folder(profile)).into_iter().flatten().flatten();
    entries.filter_map(|entry| number(profile, entry.file_name().to_str()?)).collect()
}

fn folder(profile: &Path) -> &Path {
    profile.parent().unwrap_or(Path::new("/"))
}

fn link(profile: &Path, number: u64) -> PathBuf {
    let name = profile.file_name().unwrap_or_default().to_string_lossy();
    folder(profile).join(format!("{name}-{number}-link"))
}

fn number(profile: &Path, link: &str) -> Option<u64> {
    let name = profile.file_name()?.to_str()?;
    link.strip_prefix(name)?.strip_prefix('-')?.strip_suffix("-link")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of profiles, and two systems.
    fn profile() -> (tempfile::TempDir, PathBuf, [PathBuf; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let systems = ["one", "two"].map(|name| root.join("store").join(name));
        for path in systems.iter().chain([&root.join("profiles")]) {
            std::fs::create_dir_all(path).unwrap();
        }
        (folder, root.join("profiles/system"), systems)
    }

    fn links(profile: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder(profile)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_generation_is_the_number_in_the_links_name() {
        let profile = Path::new(PROFILE);
        assert_eq!(number(profile, "system-42-link"), Some(42));
        assert_eq!(number(profile, "system-link"), None);
        assert_eq!(number(profile, "other-1-link"), None);
        assert_eq!(link(profile, 42), Path::new("/nix/var/nix/profiles/system-42-link"));
    }

    #[test]
    fn a_system_becomes_the_next_generation_and_one_that_a_crash_left_is_gone_on_with() {
        let (_folder, profile, [one, two]) = profile();
        set_in(&profile, &one).unwrap();
        assert_eq!(
            (links(&profile), current(&profile).unwrap()),
            (vec!["system".into(), "system-1-link".into()], Some(1))
        );
        // As Nix has it: the profile's folder may be moved.
        assert_eq!(std::fs::read_link(&profile).unwrap(), Path::new("system-1-link"));
        set_in(&profile, &two).unwrap();
        assert_eq!((resolved(&profile).as_deref(), current(&profile).unwrap()), (two.to_str(), Some(2)));
        set_in(&profile, &one).unwrap();
        assert_eq!(current(&profile).unwrap(), Some(3), "the newest leads elsewhere");
        symlink(&two, link(&profile, 4)).unwrap();
        symlink("nowhere", profile.with_added_extension("berth")).unwrap();
        set_in(&profile, &two).unwrap();
        assert_eq!(links(&profile).len(), 5, "{:?}", links(&profile));
        assert_eq!((resolved(&profile).as_deref(), current(&profile).unwrap()), (two.to_str(), Some(4)));
        prune_in(&profile, 1, &[one.display().to_string()]).unwrap();
        assert_eq!(links(&profile), ["system", "system-1-link", "system-3-link", "system-4-link"]);
        prune_in(&profile, 1, &[]).unwrap();
        assert_eq!(links(&profile), ["system", "system-4-link"]);
    }

    #[test]
    fn the_newest_generations_stay_and_so_does_whatever_may_still_be_needed() {
        let all: Vec<_> = (1..=6).map(|number| (number, Some(format!("/nix/store/{number}")))).collect();
        let protected = ["/nix/store/2".to_owned()];
        assert_eq!(to_prune(&all, 6, 3, &protected), [3, 1]);
        assert_eq!(to_prune(&all, 1, 3, &protected), [3], "the profile was switched to an old one");
        assert_eq!(to_prune(&all, 6, 0, &[]), [5, 4, 3, 2, 1], "one always stays");
        assert!(to_prune(&all, 6, 10, &[]).is_empty());
    }
}
