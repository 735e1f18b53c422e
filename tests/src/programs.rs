//! The built programs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};

/// Where a built program of the workspace is. `BERTH_PROGRAMS` names the folder; without it, the programs are built
/// first, in the profile of the calling program.
///
/// # Errors
/// If it does not build or is not there.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = folder()?.join(name);
    ensure!(path.exists(), "there is no {}", path.display());
    Ok(path)
}

fn folder() -> Result<PathBuf> {
    if let Some(folder) = env::var_os("BERTH_PROGRAMS") {
        return Ok(folder.into());
    }
    static BUILT: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> Result<PathBuf> {
    // Tests stand in `deps` below the folder of the programs, and benchmarks in that folder itself.
    let own = env::current_exe()?;
    let folder = own.parent().context("a program stands in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(Path::new("/")) } else { folder };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace", "--bins"]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    ensure!(command.status()?.success(), "berth does not build");
    Ok(folder.to_owned())
}
