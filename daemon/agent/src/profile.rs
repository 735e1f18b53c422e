//! The system profile: its generations, which one is the next boot's, and which may go.

use std::path::Path;
use std::time::Duration;

use berth_protocol::FailureCode;

use crate::failure::{Result, failure, io};
use crate::programs::{command, run_ok};

/// The profile that the next boot follows.
pub(crate) const PROFILE: &str = "/nix/var/nix/profiles/system";

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
    let link = std::fs::read_link(PROFILE).map_err(io(format!("cannot read {PROFILE}")))?;
    let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
    number(&name)
        .ok_or_else(|| failure(FailureCode::Io, format!("{PROFILE} leads to {name}, which has no number")))
}

/// Makes a system a new generation, and that the profile's.
pub(crate) fn set(system: &Path) -> Result<()> {
    let mut set = command("nix-env")?;
    set.args(["--profile", PROFILE, "--set"]).arg(system);
    run_ok(set, LIMIT).map(drop)
}

/// Goes back to a generation that is there; to a new one of that system where it is not.
pub(crate) fn go_back_to(system: &Path, generation: Option<u64>) -> Result<()> {
    let there = generation.filter(|number| resolved(link(*number)).as_deref().map(Path::new) == Some(system));
    let Some(number) = there else { return set(system) };
    let mut switch = command("nix-env")?;
    switch.args(["--profile", PROFILE, "--switch-generation"]).arg(number.to_string());
    run_ok(switch, LIMIT).map(drop)
}

/// Makes the profile what it was before its first generation: nothing.
pub(crate) fn remove() -> Result<()> {
    let generation = link(generation()?);
    for path in [PROFILE, &generation] {
        std::fs::remove_file(path).map_err(io(format!("cannot remove {path}")))?;
    }
    Ok(())
}

/// Removes the oldest generations beyond `keep`, but none that leads to one of the `protected` systems.
pub(crate) fn prune(keep: u32, protected: &[String]) -> Result<()> {
    let current = generation()?;
    let all: Vec<_> = numbers().into_iter().map(|number| (number, resolved(link(number)))).collect();
    let excess = to_prune(&all, current, keep, protected);
    if excess.is_empty() {
        return Ok(());
    }
    let mut delete = command("nix-env")?;
    delete.args(["--profile", PROFILE, "--delete-generations"]);
    delete.args(excess.iter().map(ToString::to_string));
    run_ok(delete, LIMIT).map(drop)
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

fn numbers() -> Vec<u64> {
    let folder = Path::new(PROFILE).parent().unwrap_or(Path::new("/"));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| number(entry.file_name().to_str()?)).collect()
}

fn link(number: u64) -> String {
    format!("{PROFILE}-{number}-link")
}

fn number(link: &str) -> Option<u64> {
    link.strip_prefix("system-")?.strip_suffix("-link")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_the_number_in_the_links_name() {
        assert_eq!(number("system-42-link"), Some(42));
        assert_eq!(number("system-link"), None);
        assert_eq!(number("other-1-link"), None);
        assert_eq!(link(42), "/nix/var/nix/profiles/system-42-link");
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
