//! What can go wrong.

use std::time::Duration;

use crate::store_path::InvalidStorePath;
use crate::version::{MINIMUM, Version};

/// Why a call of Nix did not do what it should. Messages are Nix's own, without colours, bounded in length.
#[derive(Debug, thiserror::Error)]
pub enum NixError {
    /// There is no such program.
    #[error("the program “{program}” was not found; install Nix")]
    NotFound {
        /// The program that was asked for.
        program: String,
    },
    /// The installed Nix is too old.
    #[error("Nix {found} is too old; at least {MINIMUM} is needed")]
    Unsupported {
        /// What is installed.
        found: Version,
    },
    /// Starting the program or talking to it failed.
    #[error("running {program} failed: {source}")]
    Io {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The configuration could not be evaluated.
    #[error("{message}")]
    EvaluationFailed {
        /// Nix's message, which names the option at fault; without the trace.
        message: String,
    },
    /// A derivation could not be built.
    #[error("{message}")]
    BuildFailed {
        /// The derivation that failed, where Nix told.
        derivation: Option<String>,
        /// Up to the last 50 lines that its builder wrote, oldest first.
        log: Vec<String>,
        /// Nix's message.
        message: String,
    },
    /// Nothing was built, as no machine that builds could be reached or takes this kind of derivation.
    #[error("{message}")]
    NoBuilder {
        /// Nix's message, which names the machines that it tried and why they do not build.
        message: String,
    },
    /// Paths could not be copied.
    #[error("{message}")]
    CopyFailed {
        /// Nix's message or, where it had none, what the SSH client wrote.
        message: String,
    },
    /// Another command failed.
    #[error("{command} failed: {message}")]
    CommandFailed {
        /// What was called, such as `nix store add-path`.
        command: &'static str,
        /// Nix's message.
        message: String,
    },
    /// The call was given up after its time was over.
    #[error("gave up after {} s", after.as_secs_f64())]
    Timeout {
        /// How long it was given.
        after: Duration,
    },
    /// The call was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Nix answered something that is not understood.
    #[error("{command} answered something unexpected: {problem}")]
    UnexpectedOutput {
        /// What was called.
        command: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// An argument that cannot be handed to Nix.
    #[error("{argument} {rule}")]
    BadArgument {
        /// Which one.
        argument: &'static str,
        /// What it must be.
        rule: String,
    },
}

impl From<InvalidStorePath> for NixError {
    fn from(error: InvalidStorePath) -> Self {
        Self::UnexpectedOutput { command: "nix", problem: error.to_string() }
    }
}

impl NixError {
    /// That a program could not be started or talked to.
    pub(crate) fn io(program: &str) -> impl FnOnce(std::io::Error) -> Self {
        let program = program.to_owned();
        move |source| Self::Io { program, source }
    }
}
