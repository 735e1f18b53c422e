//! What `nixos-rebuild` is asked for.

use std::ffi::OsString;
use std::path::Path;

use berth_domain::MachineName;

use super::flavour::Flavour;
use crate::error::NixError;
use crate::evaluate::flake_reference;
use crate::store_path::StorePath;

/// What to do with a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Build it here, with a link `result` to it in the job's folder.
    Build,
    /// Copy it to the machine and tell what switching to it would do.
    DryActivate,
    /// Copy it and switch to it; the next boot is what it was.
    Test,
    /// Copy it and make it the one that boots.
    Boot,
}

impl Action {
    /// The word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::DryActivate => "dry-activate",
            Self::Test => "test",
            Self::Boot => "boot",
        }
    }
}

/// Where the system comes from.
#[derive(Debug, Clone)]
pub enum Source<'a> {
    /// A machine's configuration in a flake.
    Flake(FlakeSource<'a>),
    /// A system that is built already; only where [`Flavour::takes_store_paths`].
    System(&'a StorePath),
}

/// A machine's configuration in a flake.
#[derive(Debug, Clone)]
pub struct FlakeSource<'a> {
    reference: String,
    machine: &'a MachineName,
}

impl<'a> Source<'a> {
    /// `nixosConfigurations.MACHINE` of the flake in a folder.
    ///
    /// # Errors
    /// [`NixError::BadArgument`] for a folder that no flake reference can name; see [`Nix::evaluate`].
    ///
    /// [`Nix::evaluate`]: crate::Nix::evaluate
    pub fn flake(folder: &Path, machine: &'a MachineName) -> Result<Self, NixError> {
        Ok(Self::Flake(FlakeSource { reference: flake_reference(folder)?, machine }))
    }
}

/// The machine, and how SSH gets there.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// `user@machine`, as `ssh` takes it.
    pub destination: &'a str,
    /// Options for `ssh`, as `NIX_SSHOPTS` holds them: divided by spaces, without quotes.
    pub ssh_options: &'a str,
    /// Whether that user needs `sudo` to switch the machine.
    pub sudo: bool,
}

/// One call of `nixos-rebuild`.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    /// What to do.
    pub action: Action,
    /// With which system.
    pub source: Source<'a>,
    /// On which machine; [`Action::Build`] needs none.
    pub target: Option<Target<'a>>,
    /// The folder that it runs in, in which it may leave links.
    pub folder: &'a Path,
    /// Names the job, for [`Nix::sweep_rebuild`].
    ///
    /// [`Nix::sweep_rebuild`]: crate::Nix::sweep_rebuild
    pub mark: &'a str,
}

impl Job<'_> {
    /// The arguments. Nix's own log comes as JSON, so that it can be read as progress.
    pub(super) fn arguments(&self, flavour: Flavour) -> Vec<OsString> {
        let mut arguments = vec![self.action.word().to_owned()];
        match &self.source {
            Source::Flake(FlakeSource { reference, machine }) => {
                arguments.extend(["--flake".into(), format!("{reference}#{machine}")]);
                arguments.push("--no-write-lock-file".into());
            }
            Source::System(path) => arguments.extend(["--store-path".into(), path.to_string()]),
        }
        // Neither is to build and become another version of itself first: what was asked for its flags is what runs.
        arguments.push(match flavour {
            Flavour::Script { .. } | Flavour::Ng { no_reexec: false, .. } => "--fast".into(),
            Flavour::Ng { no_reexec: true, .. } => "--no-reexec".into(),
        });
        if let Some(target) = &self.target {
            arguments.extend(["--target-host".into(), target.destination.into()]);
            match flavour {
                Flavour::Script { .. } if target.sudo => arguments.push("--use-remote-sudo".into()),
                Flavour::Ng { .. } if target.sudo => arguments.push("--sudo".into()),
                _ => {}
            }
            if matches!(flavour, Flavour::Script { no_ssh_tty: true, .. }) {
                arguments.push("--no-ssh-tty".into());
            }
        }
        match flavour.has_log_format() {
            true => arguments.extend(["--log-format".into(), "internal-json".into()]),
            // Such an old script takes the machine for the place where things are built, unless told otherwise, and then
            // copies nothing to it; newer ones would go to this host by SSH.
            false => arguments.extend(["--build-host".into(), "localhost".into()]),
        }
        arguments.into_iter().map(Into::into).collect()
    }
}
