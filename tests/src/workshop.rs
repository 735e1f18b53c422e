//! Platforms whose builds fail or wait: the rehearsal platform with one more thing to build.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_nix::{Nix, NixOptions, Run};
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
    /// Something that, once the gate is open, writes the lines `said 1`, `said 2`, … as fast as this.
    Speaks {
        /// How many lines a second.
        per_second: u32,
        /// For how long.
        seconds: u32,
    },
    /// Something that says on which host it is built, and then twelve lines, a quarter of a second apart.
    SaysWhere,
    /// Something that is built at once. What makes trouble is [a tenant's plan](Trouble).
    Nothing,
}

/// What a system of a workshop's platform does wrong. A tenant whose plan has that name gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Its SSH server ends, with every connection, as long as it runs.
    CutsSsh,
    /// Its web server does not accept its configuration.
    BreaksNginx,
    /// One of its units fails.
    FailsUnit,
    /// It has another init system than the one that was booted.
    NeedsReboot,
    /// Nothing; but its Gitea is a newer one.
    NewerGitea,
}

impl Trouble {
    /// The name of the plan.
    pub fn plan(self) -> String {
        match self {
            Self::CutsSsh => "cuts-ssh",
            Self::BreaksNginx => "breaks-nginx",
            Self::FailsUnit => "fails-unit",
            Self::NeedsReboot => "needs-reboot",
            Self::NewerGitea => "newer-gitea",
        }
        .to_owned()
    }
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

    /// The reference of a copy that nobody can change, in the Nix store: what a rollout can be given.
    ///
    /// # Errors
    /// If it cannot be copied.
    pub async fn stored(&self) -> Result<String> {
        let (nix, run) = (Nix::new(NixOptions::default()), Run::within(Duration::from_secs(60)));
        // A flake in the store must have this name for its path to be its identity.
        let path = nix.add_tree(&self.tree(), "source", &run, |_| {}).await?;
        Ok(format!("path:{path}"))
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
            Extra::Speaks { per_second, seconds } => {
                // `seq` writes a tenth of a second's lines at once.
                let (at_once, times) = (per_second / 10, seconds * 10);
                format!(
                    "# {unique}\nwhile [ ! -e {} ]; do sleep 0.05; done\ni=0\nwhile [ $i -lt {times} ]; do\n\
                     seq --format 'said %.0f' $((i * {at_once} + 1)) $(((i + 1) * {at_once})); i=$((i + 1)); sleep 0.1\n\
                     done\necho built > \"$out\"\nexit 0\n",
                    gate.display()
                )
            }
            Extra::SaysWhere => format!(
                "# {unique}\nread host < /etc/hostname\necho \"built on $host\"\n\
                 for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.25; echo \"line $i\"; done\necho built > \"$out\"\nexit 0\n"
            ),
            Extra::Nothing => format!("# {unique}\necho built > \"$out\"\nexit 0\n"),
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
      # A tenant's plan says what is wrong with its system.
      trouble =
        { config, lib, ... }:
        let
          plan = name: lib.mkIf (config.berth.tenant.plan or null == name);
          oneshot = start: more: {
            wantedBy = [ "multi-user.target" ];
            serviceConfig = {
              Type = "oneshot";
              RemainAfterExit = true;
              ExecStart = start;
            }
            // more;
          };
        in
        {
          systemd.services.cuts-ssh = plan "cuts-ssh" (
            # It goes on, as systemd at times cannot start what stops a unit that has no process any more.
            oneshot "/bin/sh -c 'systemctl stop ssh.socket ssh.service; pkill -KILL sshd; exec sleep infinity'" {
              Type = "exec";
              RemainAfterExit = false;
              ExecStop = "/usr/bin/systemctl start ssh.service";
            }
          );
          systemd.services.fails-unit = plan "fails-unit" (oneshot "/bin/sh -c 'echo this is why; exit 1'" { });
          services.nginx.commonHttpConfig = plan "breaks-nginx" "nonsense;";
          services.gitea.package = plan "newer-gitea" {
            type = "derivation";
            name = "gitea";
            version = "1.1.0";
            outPath = builtins.path {
              path = ./nix/rehearsal/machine/stand-in;
              name = "stand-in";
            };
          };
          environment.etc.other-init = plan "needs-reboot" { text = ""; };
        };
      afterExtra =
        system: toplevel:
        derivation system {
          inherit (toplevel) name;
          args = [
            "-euc"
            "cp -r --no-dereference $toplevel $out; if [ -e $toplevel/etc/other-init ]; then chmod u+w $out; echo 3 > $out/init-interface-version; fi; exit 0"
          ];
          inherit toplevel;
          extra = derivation system {
            name = "extra-1.0";
            args = [ ./extra.sh ];
            # A builder may be asked for it where there is one.
            preferLocalBuild = false;
          };
        };
    in
    import ./nix/flake-lib.nix {
      inherit lib;
      evaluate =
        { modules }:
        let
          done = evaluate { modules = modules ++ [ trouble ]; };
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
