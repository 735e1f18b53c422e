//! Whether what a system needs is on the disk as Nix registered it.
//!
//! Nix calls a path valid once it was registered, and does not look at it again. After a power loss, files that were written
//! last may be shorter than they were, empty or gone, while the database, which is synchronised to the disk, knows the path.
//! So the store is looked at once after each boot, and whenever it may be why something failed. docs/src/activation.md says
//! why not more often.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_protocol::{FailureCode, StoreCheck, StorePath};

use crate::activation::boot_id;
use crate::failure::{Result, failure, io, program};
use crate::files::write_whole;
use crate::places::STORE_CHECKED;
use crate::profile;
use crate::programs::{command, run, run_ok};

/// The longest that a look may take: a system of several GiB from a slow disk.
const LIMIT: Duration = Duration::from_secs(600);

/// How long systemd may take to read its units.
const RELOAD: Duration = Duration::from_secs(60);

/// What the note holds instead of a boot's id once something was found damaged.
const DAMAGED: &str = "damaged";

/// Looks at all that a system needs; unless `always`, only where the note says that there is reason to.
pub(crate) fn check(system: &str, always: bool) -> Result<StoreCheck> {
    let system: StorePath =
        system.parse().map_err(|error| failure(FailureCode::BadCall, format!("/system: {error}")))?;
    let known = std::fs::read_to_string(STORE_CHECKED).unwrap_or_default();
    let was_damaged = known == DAMAGED;
    if !always && is_fresh(&known)? {
        return Ok(StoreCheck::default());
    }
    let damaged = damaged(&system)?;
    if !damaged.is_empty() {
        note(DAMAGED)?;
    } else {
        if was_damaged {
            read_units_again()?;
        }
        if !always {
            note(&boot_id())?;
        }
    }
    Ok(StoreCheck { damaged, was_damaged })
}

/// Whether there is no reason to look. A machine that never was committed to anything has nothing from before its boot.
fn is_fresh(known: &str) -> Result<bool> {
    if known.is_empty() && profile::committed().is_none() {
        note(&boot_id())?;
        return Ok(true);
    }
    Ok(known == boot_id())
}

/// Units may have been read while their files were damaged, and look unchanged to a switcher now.
fn read_units_again() -> Result<()> {
    let mut reload = command("systemctl")?;
    reload.arg("daemon-reload");
    run_ok(reload, RELOAD).map(drop)
}

fn note(text: &str) -> Result<()> {
    write_whole(Path::new(STORE_CHECKED), text.as_bytes())
        .map_err(io(format!("cannot write {STORE_CHECKED}")))
}

/// The damaged paths among all that a system needs.
fn damaged(system: &StorePath) -> Result<Vec<StorePath>> {
    let mut verify = nix()?;
    verify.args(["store", "verify", "--recursive", "--no-trust", "--", system.as_str()]);
    let output = run(verify, LIMIT)?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    // Its words only say where to look: whether a path is damaged is told by an exit status.
    let mut damaged = Vec::new();
    for path in accused(&output.stderr) {
        if !is_whole(&path)? {
            damaged.push(path);
        }
    }
    match damaged.is_empty() {
        true => Err(program("nix store verify", &format!("{} ({})", output.stderr, output.status))),
        false => Ok(damaged),
    }
}

fn is_whole(path: &StorePath) -> Result<bool> {
    let mut verify = command("nix-store")?;
    verify.args(["--verify-path", path.as_str()]);
    Ok(run(verify, LIMIT)?.status.success())
}

/// Nix with what `nix store` needs, whatever the machine's own settings are.
fn nix() -> Result<Command> {
    let mut nix = command("nix")?;
    nix.args(["--extra-experimental-features", "nix-command"]);
    Ok(nix)
}

/// The store paths that complaints name, each once. Progress is none.
fn accused(words: &str) -> BTreeSet<StorePath> {
    let complaints = words.lines().filter(|line| !line.trim_start().starts_with("checking "));
    complaints.flat_map(paths_in).collect()
}

fn paths_in(line: &str) -> impl Iterator<Item = StorePath> + '_ {
    const STORE: &str = "/nix/store/";
    let named = |c: char| c.is_ascii_alphanumeric() || "+-._=".contains(c);
    line.match_indices(STORE).filter_map(move |(at, _)| {
        let name = line[at + STORE.len()..].split(|c| !named(c)).next()?;
        format!("{STORE}{name}").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_name_paths_and_progress_accuses_nobody() {
        let hash = [
            "n3vvpagg98dz0yissby9d2qf2n01d5m0",
            "d0a7waq6c6k98yl8n9w05bh16ygkzxca",
            "19kmmik1gmb9hx36rhib16if64raj06r",
        ];
        let [good, short, gone] = hash.map(|hash| format!("/nix/store/{hash}-x"));
        let words = format!(
            "checking '{good}'...\npath '{short}' was modified! expected hash 'sha256:1', got 'sha256:2'\n\
             error: path '/{gone}' does not exist\nerror: opening file '{gone}/bin/x': No such file or directory\n"
        );
        let found: Vec<String> = accused(&words).into_iter().map(String::from).collect();
        assert_eq!(found, [gone, short]);
    }
}
