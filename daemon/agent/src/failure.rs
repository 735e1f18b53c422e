//! Failures as the protocol says them.

use berth_protocol::{Failure, FailureCode};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// The most of a program's words that a failure repeats, in characters.
const MAX_WORDS: usize = 2000;

pub(crate) fn failure(code: FailureCode, message: impl Into<String>) -> Failure {
    Failure { code, message: message.into() }
}

/// Turns an I/O error into a failure that says what was tried.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| failure(FailureCode::Io, format!("{}: {error}", what.into()))
}

/// A manifest that cannot be obeyed.
pub(crate) fn bad_manifest(message: impl Into<String>) -> Failure {
    failure(FailureCode::NoSuchSystem, format!("the system's manifest cannot be obeyed: {}", message.into()))
}

/// A program that did not do what it should.
pub(crate) fn program(name: &str, problem: &str) -> Failure {
    let length = problem.chars().count();
    let newest: String = problem.chars().skip(length.saturating_sub(MAX_WORDS)).collect();
    failure(FailureCode::Program, format!("{name}: {}", newest.trim()))
}
