//! The built agent.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the built agent is: in the folder that `BERTH_PROGRAMS` names; without it, it is built first.
pub fn agent() -> PathBuf {
    let folder = std::env::var_os("BERTH_PROGRAMS").map_or_else(build, PathBuf::from);
    folder.join("berth-agent")
}

/// Builds the workspace's programs: those of all crates, as for one alone cargo would choose other features of the
/// libraries and compile them anew.
fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "--quiet", "--workspace", "--bins"]).status().unwrap();
    assert!(status.success(), "the programs do not build");
    // Test programs stand in `deps` below the folder of the programs.
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
