//! The platform that the daemon carries with it: the repository's modules, and the rehearsal stand-ins, in the layout
//! that `docs/src/rehearsal.md` describes.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_contract::resources::REHEARSAL;
use berth_engine::real::PlatformSource;
use include_dir::{Dir, DirEntry, include_dir};

use crate::config::Config;

static MODULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../modules");
static NIX: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../nix");

/// The services on offer, as the modules describe them.
pub const CATALOGUE: &str = include_str!("../../../modules/catalogue.json");

/// Where the flake that becomes the tree's own stands, and where the agent belongs.
const FLAKE: &str = "nix/rehearsal/flake.nix";
const AGENT: &str = "nix/rehearsal/agent/bin/berth-agent";

/// The program that NixOps4 calls, and the link to it: it runs here, not on machines.
const PROVIDER: &str = "berth-nixops4-provider";
const PROVIDER_LINK: &str = "nix/rehearsal/nixops4-provider/bin/berth-nixops4-provider";

/// What no tenant's system is made of; it must not change what they are built from.
const LEFT_OUT: [&str; 1] = ["tests"];

/// The platform that the configuration names.
pub fn source(config: &Config) -> PlatformSource {
    let tls = config.tls();
    if config.platform != REHEARSAL {
        return PlatformSource::Flake { reference: config.platform.clone(), tls };
    }
    let tree = config.data_dir.join("platform");
    let agent = config.agent.clone();
    PlatformSource::Rehearsal { tree: Arc::new(move || write(&tree, agent.as_deref())), tls }
}

fn write(tree: &Path, agent: Option<&Path>) -> io::Result<PathBuf> {
    match std::fs::remove_dir_all(tree) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    extract(&MODULES, &tree.join("modules"))?;
    extract(&NIX, &tree.join("nix"))?;
    std::fs::copy(tree.join(FLAKE), tree.join("flake.nix"))?;
    let place = tree.join(AGENT);
    std::fs::create_dir_all(place.with_file_name(""))?;
    // The daemon's own program is an agent when it is called by that name.
    let agent = agent.map_or_else(std::env::current_exe, |agent| Ok(agent.to_owned()))?;
    std::fs::copy(&agent, &place)?;
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o755))?;
    let link = tree.join(PROVIDER_LINK);
    std::fs::create_dir_all(link.with_file_name(""))?;
    std::os::unix::fs::symlink(provider(&agent)?, link)?;
    Ok(tree.to_owned())
}

/// A program of its own next to the agent or the daemon; else the daemon's own, which is one when it is called by that name.
fn provider(agent: &Path) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let mut beside = [agent, &own].map(|program| program.with_file_name(PROVIDER)).into_iter();
    std::path::absolute(beside.find(|program| program.is_file()).unwrap_or(own))
}

fn extract(from: &Dir<'_>, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in from.entries() {
        let Some(name) = entry.path().file_name() else { continue };
        let place = to.join(name);
        match entry {
            DirEntry::Dir(_) if LEFT_OUT.iter().any(|left_out| name == *left_out) => {}
            DirEntry::Dir(dir) => extract(dir, &place)?,
            DirEntry::File(file) => {
                std::fs::write(&place, file.contents())?;
                // Embedded files have no mode; what begins like a script is one.
                let mode = if file.contents().starts_with(b"#!") { 0o755 } else { 0o644 };
                std::fs::set_permissions(&place, std::fs::Permissions::from_mode(mode))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_a_flake_with_an_agent_and_scripts_that_can_run() {
        let folder = tempfile::tempdir().unwrap();
        let agent = folder.path().join("agent");
        std::fs::write(&agent, "#!/bin/sh\n").unwrap();
        let tree = folder.path().join("tree");
        for _ in 0..2 {
            write(&tree, Some(&agent)).unwrap();
        }
        let mode = |path: &str| std::fs::metadata(tree.join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("flake.nix"), 0o644);
        assert_eq!(mode(AGENT), 0o755);
        assert_eq!(mode("nix/rehearsal/machine/stand-in/stand-in"), 0o755);
        let provider = std::fs::read_link(tree.join(PROVIDER_LINK)).unwrap();
        assert!(provider.is_absolute() && provider.is_file());
        assert!(tree.join("modules/tenant.nix").exists() && !tree.join("nix/tests").exists());
    }
}
