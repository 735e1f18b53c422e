//! The command `nixos-rebuild`, as it stands on this host.
//!
//! There are two of that name: the shell script that NixOS had until 25.11 (nixpkgs,
//! `pkgs/os-specific/linux/nixos-rebuild/nixos-rebuild.sh`) and the program in Python that took its place
//! (`pkgs/by-name/ni/nixos-rebuild-ng`). Their flags and exit codes differ, and so do those of their versions, so
//! [`Nix::nixos_rebuild`] asks the command what it takes before anything else.
//!
//! | module | subject |
//! | --- | --- |
//! | [`flavour`] | which one it is, and what flags it takes |
//! | [`job`] | what it is asked for, as arguments and environment |
//! | [`ending`] | how it went: exit codes, and words where these say nothing |
//!
//! [`Nix::nixos_rebuild`]: crate::Nix::nixos_rebuild

pub mod ending;
pub mod flavour;
pub mod job;

use tokio::process::Command;

pub use ending::Ending;
pub use flavour::Flavour;
pub use job::{Action, Job, Source, Target};

use crate::error::NixError;
use crate::log::Update;
use crate::nix::{Nix, QUICK, Run, spawnable};
use crate::process::{Stdout, end_marked, run};

/// Marks what a job starts, so that it is found again when the daemon that started it is gone.
const MARK: &str = "BERTH_OPERATION";

/// The most that is read of what the command says of its flags, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Why `nixos-rebuild` cannot be asked for anything.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There is no such program.
    #[error("the program “{program}” was not found on the daemon's host")]
    Missing {
        /// The program that was asked for.
        program: String,
    },
    /// There is one, but it answers as none that is known.
    #[error(
        "“{program}” on the daemon's host is no nixos-rebuild that Berth knows; asked which flags it takes, it said: {answer}"
    )]
    Unknown {
        /// The program.
        program: String,
        /// The beginning of what it said.
        answer: String,
    },
    /// It was found and known, but did not end by itself or could not be run.
    #[error(transparent)]
    Run(#[from] NixError),
}

/// A `nixos-rebuild` whose flavour is known.
#[derive(Debug, Clone)]
pub struct NixosRebuild {
    nix: Nix,
    flavour: Flavour,
}

impl Nix {
    /// Finds `nixos-rebuild` and asks it what it takes; changes nothing.
    ///
    /// # Errors
    /// [`RebuildError::Missing`], [`RebuildError::Unknown`], and what keeps a program from being run.
    pub async fn nixos_rebuild(&self, bounds: &Run) -> Result<NixosRebuild, RebuildError> {
        let bounds = Run { cancel: bounds.cancel.clone(), timeout: bounds.timeout.min(QUICK) };
        let mut command = self.rebuild_command();
        command.args(flavour::QUESTION).current_dir("/");
        let program = self.rebuild_program();
        let mut said = String::new();
        let listen = |update| {
            if let Update::Message { text, .. } = update
                && said.len() < MAX_ANSWER
            {
                said.push_str(&text);
                said.push('\n');
            }
        };
        let asked = run(command, &program, &bounds, Stdout::Told, listen).await;
        asked.map_err(|error| match error {
            NixError::NotFound { program } => RebuildError::Missing { program },
            other => RebuildError::Run(other),
        })?;
        let flavour = Flavour::told_by(&said)
            .ok_or_else(|| RebuildError::Unknown { program, answer: crate::nix::bounded(&said) })?;
        Ok(NixosRebuild { nix: self.clone(), flavour })
    }

    /// Ends whatever a job under this mark left running on this host: a daemon that is killed takes nothing along.
    pub async fn sweep_rebuild(mark: &str) {
        end_marked(MARK, mark).await;
    }

    fn rebuild_program(&self) -> String {
        self.options().nixos_rebuild.to_string_lossy().into_owned()
    }

    fn rebuild_command(&self) -> Command {
        let mut command = spawnable(&self.options().nixos_rebuild);
        self.environment(&mut command);
        // Python and argparse colour and translate for terminals only, but may be told otherwise.
        command.env("LC_ALL", "C.UTF-8").env("NO_COLOR", "1");
        command
    }
}

impl NixosRebuild {
    /// Which one it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Has it do a job. Everything that it and the programs that it starts write is told, on whichever stream.
    ///
    /// # Errors
    /// [`NixError::Timeout`], [`NixError::Cancelled`] (in both cases nothing that it started is left on this host; what
    /// runs on the machine may go on there), and [`NixError::Io`]. How it ended by itself is the [`Ending`].
    pub async fn run(
        &self,
        job: &Job<'_>,
        bounds: &Run,
        mut sink: impl FnMut(Update) + Send,
    ) -> Result<Ending, NixError> {
        let mut command = self.nix.rebuild_command();
        command.args(job.arguments(self.flavour)).current_dir(job.folder);
        command.env(MARK, job.mark).env("NIX_CONFIG", self.nix.config()?);
        if let Some(target) = &job.target {
            command.env("NIX_SSHOPTS", target.ssh_options);
        }
        let mut clues = ending::Clues::default();
        let watched = |update: Update| {
            if let Update::Message { text, .. } = &update {
                clues.look_at(text);
            }
            sink(update);
        };
        let program = self.nix.rebuild_program();
        let finished = run(command, &program, bounds, Stdout::Told, watched).await?;
        Ok(Ending::of(self.flavour, finished.code(), clues, finished.message()))
    }
}
