//! A real Gitea on the rehearsal platform.
//!
//! | module | subject |
//! | --- | --- |
//! | this one | the program that `tests/run` has built, and platforms with it |
//! | [`site`] | what its users do, through the machine's web server |
//! | [`writer`] | somebody who commits all the time |

pub mod site;
pub mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use berth_testbed::Machine;
use tempfile::TempDir;

use crate::flake::{on_path, with_program};

/// What `tests/run` builds (tests/runner/programs.py).
const BUILT: &str = "gitea-1.26.0";

/// The folder with Gitea that `BERTH_GITEA` names, or that `tests/run` has built; and Git with large files beside it. `None`, and a
/// word about what is missing, where one of them is.
#[allow(clippy::print_stderr)]
pub fn find() -> Option<PathBuf> {
    let Some(folder) = folder() else {
        eprintln!(
            "SKIPPED: there is no Gitea: BERTH_GITEA names none, and tests/run builds one only where there is a Go that is new enough"
        );
        return None;
    };
    let missing = ["git", "git-lfs"].into_iter().find(|program| on_path(program).is_none());
    if let Some(program) = missing {
        eprintln!("SKIPPED: there is no {program} on PATH, with which people use a Gitea");
        return None;
    }
    Some(folder)
}

fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BERTH_GITEA") {
        return Some(named.into());
    }
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let built =
        std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?.join("berth").join(BUILT);
    built.exists().then_some(built)
}

/// A copy of a platform with Gitea in place of its stand-in. `note` is put beside the program: with another note it is another
/// package, at another place in the Nix store, as it would be at a provider whose nixpkgs is of another day.
///
/// # Errors
/// If it cannot be written.
pub fn platform(rehearsal: &Path, gitea: &Path, note: &str) -> Result<TempDir> {
    let copy = with_program(rehearsal, "gitea", gitea)?;
    fs::write(copy.path().join("nix/rehearsal/gitea/note"), note)?;
    Ok(copy)
}

/// What Gitea's own program on a machine prints.
///
/// # Errors
/// If it fails.
pub async fn call(machine: &Machine, words: &[&str]) -> Result<String> {
    let mut argv = vec!["runuser", "-u", "gitea", "--", "env", "HOME=/var/lib/gitea"];
    argv.push("/run/current-system/sw/bin/gitea");
    argv.extend(["--work-path", "/var/lib/gitea", "--config", "/var/lib/gitea/custom/conf/app.ini"]);
    argv.extend(words);
    printed(&machine.exec(&argv).await?)
}

/// What a program printed that succeeded.
///
/// # Errors
/// If it did not, with all that it said.
pub fn printed(done: &Output) -> Result<String> {
    ensure!(done.status.success(), "{done:?}");
    Ok(String::from_utf8(done.stdout.clone()).context("text")?.trim().to_owned())
}
