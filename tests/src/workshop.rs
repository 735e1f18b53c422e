//! Platforms whose builds fail or wait: the rehearsal platform with one more thing to build.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use uuid::Uuid;

use crate::programs;

/// A platform in a folder of its own.
#[derive(Debug)]
pub struct Workshop {
    folder: TempDir,
}

/// What every system of a platform has to build besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Something that writes a hundred numbered lines and fails.
    Fails,
    /// Something that writes a line every so many milliseconds until the gate is opened.
    Waits {
        /// The time between two lines.
        pause_ms: u32,
    },
}

impl Workshop {
    /// Makes a platform.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn open(extra: Extra) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-platform-").tempdir()?;
        // Builders may be other users than we are, and leave word here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let workshop = Self { folder };
        let tree = workshop.tree();
        fs::create_dir(&tree)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for part in ["modules", "nix"] {
            let status = Command::new("cp").arg("-r").arg(root.join(part)).arg(&tree).status()?;
            ensure!(status.success(), "{part} cannot be copied");
        }
        let agent = tree.join("nix/rehearsal/agent/bin");
        fs::create_dir_all(&agent)?;
        fs::copy(programs::find("berth-agent")?, agent.join("berth-agent"))?;
        fs::write(tree.join("flake.nix"), FLAKE)?;
        fs::write(tree.join("extra.sh"), workshop.script(extra))?;
        Ok(workshop)
    }

    /// The flake reference that the daemon is given.
    pub fn reference(&self) -> String {
        format!("path:{}", self.tree().display())
    }

    /// Whether something waits at the gate.
    pub fn is_waiting(&self) -> bool {
        self.folder.path().join("waiting").exists()
    }

    /// Lets what waits be built.
    ///
    /// # Errors
    /// If the gate cannot be written.
    pub fn open_gate(&self) -> Result<()> {
        Ok(fs::write(self.gate(), "")?)
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn gate(&self) -> PathBuf {
        self.folder.path().join("gate")
    }

    /// A script of /bin/sh. It ends with a builtin; see docs/src/rehearsal.md for why.
    fn script(&self, extra: Extra) -> String {
        let (gate, waiting) = (self.gate(), self.folder.path().join("waiting"));
        // What was built once would not be built again.
        let unique = Uuid::now_v7();
        match extra {
            Extra::Fails => format!(
                "# {unique}\ni=1\nwhile [ $i -le 100 ]; do echo \"compiling file $i of 100\"; i=$((i + 1)); done\n\
                 echo 'error: file 101 is missing' >&2\nexit 3\n"
            ),
            Extra::Waits { pause_ms } => format!(
                "# {unique}\n: > {}\ni=1\nwhile [ ! -e {} ]; do echo \"waiting, line $i\"; i=$((i + 1)); sleep {}; done\n\
                 echo built > \"$out\"\nexit 0\n",
                waiting.display(),
                gate.display(),
                f64::from(pause_ms) / 1000.0,
            ),
        }
    }
}

/// The rehearsal platform's own flake, but every system is a copy of the rehearsal's that is made after something else.
const FLAKE: &str = r#"{
  description = "The rehearsal platform with one more thing to build";
  outputs =
    _:
    let
      rehearsal = ./nix/rehearsal;
      lib = import (rehearsal + "/lib");
      packages = import (rehearsal + "/packages.nix");
      evaluate = import (rehearsal + "/evaluate.nix") { };
      derivation =
        system: more:
        builtins.derivation (
          {
            inherit system;
            builder = "/bin/sh";
            PATH = "/usr/bin:/bin";
            preferLocalBuild = true;
            allowSubstitutes = false;
          }
          // more
        );
      afterExtra =
        system: toplevel:
        derivation system {
          inherit (toplevel) name;
          args = [
            "-euc"
            "cp -r --no-dereference $toplevel $out; exit 0"
          ];
          inherit toplevel;
          extra = derivation system {
            name = "extra-1.0";
            args = [ ./extra.sh ];
          };
        };
    in
    import ./nix/flake-lib.nix {
      inherit lib;
      evaluate =
        { modules }:
        let
          done = evaluate { inherit modules; };
          inherit (done.config.system) build;
          toplevel = afterExtra done.config.berth.machine.system build.toplevel;
        in
        done
        // {
          config = done.config // {
            system = done.config.system // {
              build = build // {
                inherit toplevel;
              };
            };
          };
        };
      packages = {
        x86_64-linux = packages;
        aarch64-linux = packages;
      };
      runCommand = import (rehearsal + "/run-command.nix");
    };
}
"#;
