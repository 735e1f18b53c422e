//! The source's way to the target.

mod answer;

use std::fmt;
use std::time::Duration;

use berth_sign::{PublicKey, SigningKey};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Url};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::address::{check_url, is_loopback};
use crate::error::TransferError;
use crate::statement::{Abort, Claim, HandOver, Statement};
use crate::ticket::Ticket;
use crate::token::random_text;
use crate::view::{Entrance, View};

/// The header in which a request names itself; [`View::nonce`] repeats it.
pub const NONCE: &str = "berth-nonce";

/// The type of a request's body and of an answer: a JWS (RFC 7515, section 9.2.1).
pub const JOSE: &str = "application/jose";

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long all of it may take, the answer included.
    pub whole: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), whole: Duration::from_secs(30) }
    }
}

/// The target of a ticket. Cheap to clone. Every call is one request, which is safe to send again.
#[derive(Clone)]
pub struct Target {
    http: reqwest::Client,
    /// `{url}/v1/transfers/{offer}`
    url: Url,
    offer: Uuid,
    identity: PublicKey,
    /// Only to keep it out of what the target says in its errors.
    token: SecretString,
}

type Result<T> = std::result::Result<T, TransferError>;

impl Target {
    /// The way to a ticket's target. Connects to nothing yet, and does not ask whether the ticket is in time: an offer that
    /// was taken up in time goes on.
    ///
    /// # Errors
    /// [`TransferError::Ticket`] for a url that may not be used, [`TransferError::Setup`]
    pub fn new(ticket: &Ticket) -> Result<Self> {
        Self::with_bounds(ticket, Bounds::default())
    }

    /// The same with other bounds.
    ///
    /// # Errors
    /// As [`Target::new`]
    pub fn with_bounds(ticket: &Ticket, bounds: Bounds) -> Result<Self> {
        check_url(&ticket.url)?;
        let offer = ticket.offer.to_string();
        Ok(Self {
            http: http(ticket, bounds)?,
            url: below(&ticket.url, &["v1", "transfers", &offer]),
            offer: ticket.offer,
            identity: ticket.identity,
            token: ticket.token.clone(),
        })
    }

    /// How the offer stands.
    ///
    /// # Errors
    /// [`TransferError`]
    pub async fn view(&self) -> Result<View> {
        self.send(self.http.get(self.url.clone())).await
    }

    /// Takes the offer up.
    ///
    /// # Errors
    /// [`TransferError`]
    pub async fn claim(&self, claim: &Claim, key: &SigningKey) -> Result<View> {
        self.say("claim", claim.sign(key)).await
    }

    /// Says what is moved. It takes the JWS, as that is what is handed over and countersigned later.
    ///
    /// # Errors
    /// [`TransferError`]
    pub async fn manifest(&self, jws: &str) -> Result<View> {
        self.say("manifest", jws.to_owned()).await
    }

    /// Gives the epoch away.
    ///
    /// # Errors
    /// [`TransferError`]. Whatever it is, only a [`View`] says whether the target heard it.
    pub async fn hand_over(&self, hand_over: &HandOver, key: &SigningKey) -> Result<View> {
        self.say("handover", hand_over.sign(key)).await
    }

    /// Says that the tenant stays.
    ///
    /// # Errors
    /// [`TransferError`]
    pub async fn abort(&self, abort: &Abort, key: &SigningKey) -> Result<View> {
        self.say("abort", abort.sign(key)).await
    }

    /// The address of the vault that an entrance leads to, with a `/` at its end: always the ticket's target and below this
    /// offer, whatever the entrance says.
    ///
    /// # Errors
    /// [`TransferError::Answer`] for an entrance that leads elsewhere.
    pub fn vault(&self, entrance: &Entrance) -> Result<Url> {
        let elsewhere = || TransferError::Answer("its vault is not below the offer".to_owned());
        let id = entrance.path.strip_prefix(&format!("/v1/transfers/{}/vault/", self.offer));
        let id = id.and_then(|rest| rest.strip_suffix('/')).ok_or_else(elsewhere)?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if id.is_empty() || !id.bytes().all(plain) {
            return Err(elsewhere());
        }
        Ok(below(&self.url, &["vault", id, ""]))
    }

    async fn say(&self, what: &str, jws: String) -> Result<View> {
        let request = self.http.post(below(&self.url, &[what]));
        self.send(request.header(CONTENT_TYPE, JOSE).body(jws)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<View> {
        let nonce = random_text::<16>()?;
        let response = request.header(NONCE, nonce.as_str()).send().await;
        let jws = answer::read(response, &self.token).await?;
        let view = View::answer(&jws, &self.identity, self.offer, &nonce);
        view.map_err(|error| answer::unusable(error, &self.token))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, identity, .. } = self;
        f.debug_struct("Target")
            .field("url", &url.as_str())
            .field("identity", identity)
            .finish_non_exhaustive()
    }
}

fn http(ticket: &Ticket, bounds: Bounds) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
        .default_headers(authorization(&ticket.token)?)
        .connect_timeout(bounds.connect)
        .timeout(bounds.whole)
        // The token is for the ticket's target, not for wherever it may point.
        .redirect(reqwest::redirect::Policy::none());
    if is_loopback(&ticket.url) {
        builder = builder.no_proxy();
    }
    if ticket.url.scheme() == "http" {
        // Root certificates are neither needed nor, on a bare host, always there.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| TransferError::Setup(answer::root_cause(&error)))
}

fn authorization(token: &SecretString) -> Result<HeaderMap> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
    let mut value = HeaderValue::try_from(text.as_str())
        .map_err(|_| TransferError::Setup("the token cannot stand in a header".to_owned()))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// An address below another one, given the segments of its path; none of them can leave its place.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
