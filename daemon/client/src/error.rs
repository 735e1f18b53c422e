//! What can go wrong.

use std::error::Error;
use std::time::Duration;

use berth_contract::Problem;

/// Why a call yielded nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The daemon understood the request and refused it.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// Nobody answers there.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The daemon's address.
        url: String,
        /// Why, as far as the system says.
        reason: String,
    },
    /// No answer came in time.
    #[error("{url} did not answer within {} s", after.as_secs_f64())]
    Timeout {
        /// What was asked.
        url: String,
        /// How long it was given.
        after: Duration,
    },
    /// The connection ended before the answer did.
    #[error("the connection to {url} was lost: {reason}")]
    Interrupted {
        /// What was asked.
        url: String,
        /// How it ended.
        reason: String,
    },
    /// What answers is not this API, or of another version.
    #[error("the answer of {url} is not understood: {reason}")]
    Garbled {
        /// What was asked.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The address of the daemon is none.
    #[error("“{url}” is not the address of a daemon: {reason}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token holds characters that no token has.
    #[error("the token holds characters that no token has")]
    BadToken,
    /// The HTTP client cannot be set up, for instance for lack of root certificates.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// The problem, where the daemon refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    /// Whether the daemon refused with a problem of this code, such as `not-found`.
    pub fn is_refusal(&self, code: &str) -> bool {
        self.problem().is_some_and(|problem| problem.code() == code)
    }

    /// Whether no answer came, so that the same may work later.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. } | Self::Interrupted { .. })
    }

    /// Reads what the HTTP client says; `after` is what a timeout was.
    pub(crate) fn of(url: &str, error: &reqwest::Error, after: Duration) -> Self {
        let url = url.to_owned();
        // A connection that takes too long is both; that nobody is there says more.
        if error.is_connect() {
            return Self::Unreachable { url, reason: root_cause(error) };
        }
        if error.is_timeout() {
            return Self::Timeout { url, after };
        }
        Self::Interrupted { url, reason: root_cause(error) }
    }
}

/// The innermost reason: the outer ones only say that a request failed.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
