//! What can go wrong on the way to the target.

use crate::statement::StatementError;
use crate::ticket::TicketError;
use crate::token::NoRandom;

/// Why the target gave no answer that can be used. No message repeats anything of the ticket's token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// The ticket cannot be used.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// Nobody answers there, or nobody has time: the same may work later. Whether the request was heard is not known.
    #[error("the target does not answer: {message}")]
    Unreachable {
        /// Why.
        message: String,
    },
    /// The target understood the request and refused it. A refusal is not signed.
    #[error("the target refused ({status}): {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The problem's `type` (RFC 9457), such as `urn:berth:problem:not-found`.
        kind: String,
        /// What the target says about it.
        detail: String,
    },
    /// The answer was not made by the target that the ticket names, or not for this request.
    #[error("the answer is not the target’s: {0}")]
    Forged(StatementError),
    /// What answers is no target of Berth, or one of another version.
    #[error("the target’s answer is not understood: {0}")]
    Answer(String),
    /// The HTTP client cannot be set up, for instance for lack of root certificates.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
    /// No random bytes can be had.
    #[error(transparent)]
    Random(#[from] NoRandom),
}

impl TransferError {
    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
