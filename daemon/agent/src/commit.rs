//! Making a system the one that boots: the profile, the boot entry, the record; then the dead-man timer has no work
//! any more.
//!
//! docs/src/activation.md goes through what a crash at each point leaves behind.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_protocol::{Answer, Claim};

use crate::activation;
use crate::client::Client;
use crate::failure::{Result, io, program};
use crate::fence;
use crate::files::write_whole;
use crate::lock::Lock;
use crate::places::COMMIT_UNFINISHED;
use crate::profile;
use crate::programs::{prepare, run};
use crate::system::System;
use crate::{data_versions, secrets};

/// Boot loaders write to slow places.
const BOOT_LIMIT: Duration = Duration::from_secs(600);

/// Commits what an operation switched to; nothing is written where that is so already.
pub(crate) fn commit(claim: &Claim, path: &str, keep: u32, client: &mut impl Client) -> Result<Answer> {
    let system = System::open(path)?;
    system.switcher()?;
    let _lock = Lock::machine(&format!("the commit of {path}"))?;
    fence::check(claim)?;
    activation::may_commit(claim.operation, path)?;
    let changed = make_permanent(&system, Some(keep), &mut |line| client.line(line))?;
    let generation = profile::generation()?;
    activation::committed(claim.operation, path, generation)?;
    // Only now, as there is no way back any more that would need what was there before.
    if let Some(manifest) = system.manifest_if_any()? {
        data_versions::remember(&manifest)?;
        secrets::remove_other_values(&manifest);
    }
    Ok(Answer::Committed { generation, changed })
}

/// Sets the profile and makes the boot entry; tells whether anything was written. The profile comes first, as boot loaders
/// list its generations. Old generations go in between, so that the boot menu names none of them.
pub(crate) fn make_permanent(
    system: &System,
    keep: Option<u32>,
    line: &mut impl FnMut(&str),
) -> Result<bool> {
    let before = profile::committed();
    let set = before.as_deref().map(Path::new) == Some(system.path());
    if set && !Path::new(COMMIT_UNFINISHED).exists() {
        return Ok(false);
    }
    let unfinished = system.path().display().to_string();
    write_whole(Path::new(COMMIT_UNFINISHED), unfinished.as_bytes())
        .map_err(io(format!("cannot write {COMMIT_UNFINISHED}")))?;
    if !set {
        profile::set(system.path())?;
    }
    if let Some(keep) = keep {
        let needed =
            [profile::resolved("/run/current-system"), profile::resolved("/run/booted-system"), before];
        profile::prune(keep, &needed.into_iter().flatten().collect::<Vec<_>>())?;
    }
    make_boot_entry(system, line)?;
    std::fs::remove_file(COMMIT_UNFINISHED).map_err(io(format!("cannot remove {COMMIT_UNFINISHED}")))?;
    Ok(true)
}

/// Undoes a half-done commit: the profile and the boot entry are those of the system before. Without one there is no profile
/// any more.
pub(crate) fn take_back(before: Option<(&System, Option<u64>)>, line: &mut impl FnMut(&str)) -> Result<()> {
    match before {
        Some((system, generation)) => {
            profile::go_back_to(system.path(), generation)?;
            make_boot_entry(system, line)?;
        }
        None => profile::remove()?,
    }
    // Nothing is unfinished any more; one that stays only has the next commit make its boot entry again.
    let _ = std::fs::remove_file(COMMIT_UNFINISHED);
    Ok(())
}

fn make_boot_entry(system: &System, line: &mut impl FnMut(&str)) -> Result<()> {
    let mut switcher = Command::new(system.switcher()?);
    prepare(&mut switcher);
    switcher.arg("boot");
    let output = run(switcher, BOOT_LIMIT)?;
    output.stdout.lines().chain(output.stderr.lines()).for_each(&mut *line);
    match output.status.success() {
        true => Ok(()),
        false => Err(program(
            "switch-to-configuration boot",
            &format!("{} ({})", output.stderr.trim(), output.status),
        )),
    }
}
