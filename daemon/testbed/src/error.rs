//! What can go wrong.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a machine could not be had, or not be put away.
#[derive(Debug, thiserror::Error)]
pub enum TestbedError {
    /// A program is not installed.
    #[error("the program “{program}” was not found")]
    ProgramNotFound {
        /// Its name.
        program: String,
    },
    /// A program failed.
    #[error("{command} failed ({status}): {message}")]
    CommandFailed {
        /// The program and its first argument.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        message: String,
    },
    /// Something took longer than it may.
    #[error("{what} took longer than {} s", after.as_secs_f64())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long it was given.
        after: Duration,
    },
    /// A file, mount or process could not be handled.
    #[error("{action}: {source}")]
    Io {
        /// What was tried, such as `cannot read /run/…`.
        action: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A record of a run cannot be read.
    #[error("{} is not a record of a testbed: {reason}", path.display())]
    BadRecord {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The run has a machine of that name already.
    #[error("there is a machine “{name}” already")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// Every network of the range is in use.
    #[error("no network is free between 10.77.{first}.0/24 and 10.77.{last}.0/24")]
    NoFreeNetwork {
        /// The lowest that was allowed.
        first: u8,
        /// The highest that was allowed.
        last: u8,
    },
    /// A machine does not come up.
    #[error("machine “{name}” did not come up: {reason}; its console ends with:\n{console}")]
    NotUp {
        /// The machine.
        name: String,
        /// What was missing.
        reason: String,
        /// The last lines of its console.
        console: String,
    },
    /// A machine that must be running is not.
    #[error("machine “{name}” is not running")]
    NotRunning {
        /// The machine.
        name: String,
    },
    /// Packages cannot be installed from here.
    #[error("{advice}")]
    CannotInstall {
        /// What the administrator can do.
        advice: String,
    },
    /// Something of a machine would not go away.
    #[error("{what} could not be put away")]
    LeftBehind {
        /// What remains.
        what: String,
    },
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, TestbedError>;

/// Says what was tried when the system refuses.
pub(crate) trait Context<T> {
    fn context(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| TestbedError::Io { action: action(), source: error.into() })
    }
}
