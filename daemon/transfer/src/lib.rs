//! How two daemons that do not know each other speak when a tenant moves from a *source* provider to a *target* provider.
//!
//! The customer carries a [`Ticket`] from the target to the source: where the target is, what it signs with, what to seal
//! to, and a token. The source then asks the target, and is answered with a [`View`]; the target asks nobody. What is said
//! with a consequence is a [`Statement`]: signed, of a `typ` of its own, about one offer. So neither daemon can deny later
//! what it said, and no statement can be put in the place of another one.
//!
//! | module | subject |
//! | --- | --- |
//! | [`ticket`], [`token`] | [`Ticket`]: what the customer carries; the token in it |
//! | [`code`] | the short code that both sides show, so that people can compare it |
//! | [`statement`] | [`Statement`], and the three that the source makes: [`Claim`], [`HandOver`], [`Abort`] |
//! | [`manifest`] | [`Manifest`]: what is moved, and what it must be equal to on arrival |
//! | [`view`] | [`View`]: what the target says of an offer |
//! | [`sealed`] | [`Sealed`]: what only the other daemon can open, and only for this offer |
//! | [`client`] | [`Target`]: the source's way to the target |
//! | [`error`] | what can go wrong on that way |
//! | [`mod@brief`] | a stranger's words, before they are shown |
//!
//! The target keeps no token, only its sum; the source learns the target's key from the ticket, and the target learns the
//! source's key from the first claim. A refusal is not signed, and is therefore nothing that an epoch may hang on: only a
//! [`View`] is.

pub mod brief;
pub mod client;
pub mod code;
pub mod error;
pub mod manifest;
pub mod sealed;
pub mod statement;
pub mod ticket;
pub mod token;
pub mod view;

mod address;
mod rule;

/// An absolute address, as [`Ticket::url`].
pub use reqwest::Url;

pub use brief::brief;
pub use client::{Bounds, Target};
pub use code::{same_code, short_code};
pub use error::TransferError;
pub use manifest::{Manifest, MovedService};
pub use sealed::{Purpose, Sealed};
pub use statement::{Abort, Claim, HandOver, OfferedService, Statement, StatementError};
pub use ticket::{Ticket, TicketError};
pub use token::{new_token, own_token, token_fits, token_hash};
pub use view::{Entrance, Obstacle, Phase, View};
