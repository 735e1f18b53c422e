//! The ticket: what the customer carries from the target to the source, by mail, by chat or on paper.
//!
//! As text it is `berth-ticket-` and a compact JWS whose header brings the target's key along. The signature says nothing
//! of who made it; it is there so that a ticket that was damaged on its way is found before anything is sent anywhere.
//! A ticket is a secret: who has it can bring a tenant of their own in the place of the customer's.

use berth_sign::{JwsError, PublicKey, SigningKey, seconds, verify_embedded};
use chrono::{DateTime, Utc};
use reqwest::Url;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::address::check_url;
use crate::token::is_token;

/// What the text of a ticket begins with.
pub const PREFIX: &str = "berth-ticket-";

/// The `typ` of a ticket's JWS.
pub const TICKET: &str = "berth-ticket+jws";

/// The version of what a ticket holds. A ticket with one field more is another version: the source must not pass over
/// what the target put into it.
const VERSION: u64 = 1;

/// The longest ticket that is read, in bytes; its url is the only thing in it that may be long.
const LONGEST: usize = 8192;

/// The characters of a signature in Base64url.
const SIGNATURE: usize = 86;

/// An offer to take a tenant over.
#[derive(Debug, Clone)]
pub struct Ticket {
    /// The offer's number at the target.
    pub offer: Uuid,
    /// The base of the target's API, such as `https://b.example`; as [`check_url`](Ticket::check_url) wants it.
    pub url: Url,
    /// What the source shows with every request; as [`new_token`](crate::new_token) makes it.
    pub token: SecretString,
    /// The target's age recipient, for what the source tells it in confidence.
    pub recipient: String,
    /// The key that everything which the target says is signed with, this ticket included.
    pub identity: PublicKey,
    /// Until when the offer can be taken up; whole seconds.
    pub expires_at: DateTime<Utc>,
}

/// A ticket that cannot be used. No message repeats anything of its token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It is something else.
    #[error("this is no ticket: a ticket begins with “{PREFIX}”")]
    NotATicket,
    /// Its end is missing.
    #[error("the end of the ticket is missing; copy all of it")]
    Incomplete,
    /// It is not what the target made.
    #[error("the ticket was changed on its way; copy all of it once more, or ask for a new one")]
    Damaged,
    /// It is of another version.
    #[error("the ticket is of version {found}, and this program understands version {VERSION}")]
    Version {
        /// Which one.
        found: u64,
    },
    /// It is whole, and one of its fields is not as it must be.
    #[error("the ticket is whole, but {0}")]
    Content(&'static str),
    /// It may no longer be used.
    #[error("the ticket could be used until {at}; ask for a new one")]
    Expired {
        /// Until when it could be.
        at: DateTime<Utc>,
    },
    /// Nothing may be sent to its url.
    #[error("the ticket’s url {url} cannot be used: {reason}")]
    Url {
        /// The url, without what must not be in it.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Nothing can be sealed to its recipient.
    #[error("the ticket’s recipient is no age recipient")]
    Recipient,
}

/// What is signed, as it is written.
#[derive(Serialize)]
struct NewContent<'a> {
    version: u64,
    offer: Uuid,
    url: &'a str,
    token: &'a str,
    recipient: &'a str,
    #[serde(with = "seconds")]
    expires_at: DateTime<Utc>,
}

/// What is signed, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(rename = "version")]
    _version: u64,
    offer: Uuid,
    url: String,
    token: SecretString,
    recipient: String,
    #[serde(with = "seconds")]
    expires_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct AnyVersion {
    version: u64,
}

impl Ticket {
    /// The ticket's text. It is signed with `key`, which whoever reads it takes for [`Ticket::identity`].
    pub fn issue(&self, key: &SigningKey) -> SecretString {
        let content = NewContent {
            version: VERSION,
            offer: self.offer,
            url: self.url.as_str(),
            token: self.token.expose_secret(),
            recipient: &self.recipient,
            expires_at: self.expires_at,
        };
        // Texts and numbers only: this cannot fail, and nothing would be read back from an empty payload.
        let content = Zeroizing::new(serde_json::to_vec(&content).unwrap_or_default());
        let jws = Zeroizing::new(key.sign(&content, TICKET));
        SecretString::from(format!("{PREFIX}{}", *jws))
    }

    /// Reads a ticket's text, as it may look after it went through mails and clipboards.
    ///
    /// Whether it is still in time is another question: [`Ticket::check_time`].
    ///
    /// # Errors
    /// [`TicketError`]
    pub fn parse(text: &SecretString) -> Result<Self, TicketError> {
        let text = unmangled(text.expose_secret())?;
        let jws = text.strip_prefix(PREFIX).ok_or(TicketError::NotATicket)?;
        let signed = verify_embedded(jws, TICKET).map_err(|error| what_is_wrong(jws, &error))?;
        Content::read(&Zeroizing::new(signed.payload))?.judge(signed.key)
    }

    /// Whether the offer can still be taken up.
    ///
    /// # Errors
    /// [`TicketError::Expired`]
    pub fn check_time(&self, now: DateTime<Utc>) -> Result<(), TicketError> {
        if now < self.expires_at { Ok(()) } else { Err(TicketError::Expired { at: self.expires_at }) }
    }

    /// The rule for a ticket's url: `https`, or `http` to this machine itself; neither user, password, query nor fragment.
    ///
    /// # Errors
    /// [`TicketError::Url`]
    pub fn check_url(url: &Url) -> Result<(), TicketError> {
        check_url(url)
    }
}

impl Content {
    fn read(payload: &[u8]) -> Result<Self, TicketError> {
        // No message of the reader is passed on: it may repeat what it read.
        let unread = |_| TicketError::Content("what it holds cannot be read");
        let AnyVersion { version } = serde_json::from_slice(payload).map_err(unread)?;
        if version != VERSION {
            return Err(TicketError::Version { found: version });
        }
        serde_json::from_slice(payload).map_err(unread)
    }

    fn judge(self, identity: PublicKey) -> Result<Ticket, TicketError> {
        let url = Url::parse(&self.url).map_err(|_| TicketError::Content("its url is none"))?;
        check_url(&url)?;
        berth_seal::check_recipient(&self.recipient).map_err(|_| TicketError::Recipient)?;
        if !is_token(self.token.expose_secret()) {
            return Err(TicketError::Content("its token is none"));
        }
        let Self { offer, token, recipient, expires_at, .. } = self;
        Ok(Ticket { offer, url, token, recipient, identity, expires_at })
    }
}

/// Why a text that begins as a ticket is none. A signature is the last part, so one that is too short has lost its end.
fn what_is_wrong(jws: &str, error: &JwsError) -> TicketError {
    let parts: Vec<&str> = jws.split('.').collect();
    match error {
        JwsError::Type { .. } => TicketError::NotATicket,
        _ if parts.len() < 3 || (parts.len() == 3 && parts[2].len() < SIGNATURE) => TicketError::Incomplete,
        _ => TicketError::Damaged,
    }
}

/// The text without what mails and people put around and into it: white space, characters that are not seen, marks of
/// quotation (`>`), and quotes around it. Nothing of that can be a part of a ticket.
fn unmangled(text: &str) -> Result<Zeroizing<String>, TicketError> {
    // As much again as a ticket may have is more than mails put into one.
    if text.len() > 2 * LONGEST {
        return Err(TicketError::NotATicket);
    }
    let foreign = |c: char| c.is_whitespace() || c == '>' || is_unseen(c);
    let text = text.trim_matches(|c| foreign(c) || is_quote(c));
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(|c| !foreign(*c)));
    if kept.len() > LONGEST { Err(TicketError::NotATicket) } else { Ok(kept) }
}

/// Soft hyphen, spaces and joiners without width, and the byte order mark: programs put them where a word may be broken.
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}')
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '`' | '<' | '\u{2018}'..='\u{201f}' | '«' | '»' | '‹' | '›')
}
