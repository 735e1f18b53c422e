//! Bearer tokens and what they open.
//!
//! A token is `berth_<id>_<secret>`: the id finds the row, the secret (256 random bits) proves the right. Only the
//! secret's SHA-256 is stored; a salt or a slow hash would add nothing to so much randomness.

use std::future::{Ready, ready};
use std::str::FromStr;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError, web};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use berth_domain::{Permission, Scope, TokenId};
use berth_store::tokens::TokenRecord;
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::problem::Problem;
use crate::state::Api;

/// How many random bytes a secret has.
const SECRET_BYTES: usize = 32;

/// A token as its holder knows it.
#[derive(Debug, Clone)]
pub struct TokenSecret {
    /// The token's id; public.
    pub id: TokenId,
    secret: SecretString,
}

impl TokenSecret {
    /// A new token for a new id.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self { id: Uuid::now_v7(), secret: BASE64_URL_SAFE_NO_PAD.encode(bytes).into() })
    }

    /// What is stored of the secret.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose_secret()).into()
    }

    /// The whole token, to be shown to its holder once.
    pub fn reveal(&self) -> SecretString {
        format!("berth_{}_{}", self.id.simple(), self.secret.expose_secret()).into()
    }

    /// The secret's bytes, to derive keys from.
    pub(crate) fn key_material(&self) -> &[u8] {
        self.secret.expose_secret().as_bytes()
    }
}

impl FromStr for TokenSecret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, secret) = text.strip_prefix("berth_").and_then(|rest| rest.split_once('_')).ok_or(())?;
        let id = Uuid::try_parse(id).map_err(|_| ())?;
        Ok(Self { id, secret: secret.to_owned().into() })
    }
}

/// Whoever made the request, with a valid token.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The token as stored.
    pub token: TokenRecord,
    /// The token as presented.
    pub secret: TokenSecret,
}

impl Caller {
    /// Refuses unless the token opens `permission`.
    ///
    /// # Errors
    /// A problem of status 403.
    pub fn require(&self, permission: Permission<'_>) -> Result<(), Problem> {
        if self.token.scope.allows(permission) {
            return Ok(());
        }
        let wanted = match permission {
            Permission::Administer => "the scope admin".to_owned(),
            Permission::Operate => "the scope operator or admin".to_owned(),
            Permission::Authenticated => "a token".to_owned(),
            Permission::ReadTenant(tenant) => format!("the scope tenant:{tenant}:read"),
            Permission::WriteTenant(tenant) => format!("the scope tenant:{tenant}:write"),
        };
        Err(Problem::forbidden(format!("this needs {wanted}; the token has {}", self.token.scope)))
    }

    /// Whether the token is confined to one tenant, and to which.
    pub fn confined_to(&self) -> Option<&berth_domain::TenantName> {
        self.token.scope.tenant()
    }

    /// The scope.
    pub fn scope(&self) -> &Scope {
        &self.token.scope
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(
            caller.ok_or_else(|| {
                Problem::internal("a route that knows its caller is not behind `authenticated`")
            }),
        )
    }
}

/// Stands before every route of `/v1`, also before those that do not exist: without a valid token nothing else is
/// looked at.
///
/// # Errors
/// Whatever the routes behind it fail with.
pub async fn authenticated<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    match caller(&request).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_left_body())
        }
        Err(problem) => Ok(request.into_response(problem.error_response()).map_into_right_body()),
    }
}

async fn caller(request: &ServiceRequest) -> Result<Caller, Problem> {
    let api = request.app_data::<web::Data<Api>>().ok_or_else(|| Problem::internal("no state"))?;
    let outcome = authenticate(api, request).await;
    if matches!(&outcome, Err(problem) if problem.status == StatusCode::UNAUTHORIZED.as_u16()) {
        let peer = request.peer_addr().map(|address| address.ip());
        api.metrics.refused_logins.inc();
        // Only wrong tokens are slowed down: behind a proxy, all clients have one address.
        api.throttle.failed_unless_blocked(peer)?;
    }
    outcome
}

async fn authenticate(api: &Api, request: &ServiceRequest) -> Result<Caller, Problem> {
    let presented = presented(request)?;
    let refuse = || unauthorized("the token is unknown, expired or revoked");
    let stored = api.store().token_by_id(presented.id).await?.ok_or_else(refuse)?;
    let fresh = stored.expires_at.is_none_or(|end| end > Utc::now());
    // Both sides are hashes of secrets, so their comparison tells nothing about a secret by its duration.
    if fresh && stored.hash == presented.hash() {
        return Ok(Caller { token: stored, secret: presented });
    }
    Err(refuse())
}

/// The token that a request brings: in the header `Authorization`, as a bearer's or as the password of whatever name (RFC
/// 7617), which is how `nix` sends what a netrc file holds. Where files are fetched by programs that send no header of
/// ours, `?token=` does as well.
fn presented(request: &ServiceRequest) -> Result<TokenSecret, Problem> {
    let refuse = || unauthorized("the Authorization header holds no token of this kind");
    let Some(header) = request.headers().get(header::AUTHORIZATION) else {
        let missing = || unauthorized("this needs a token: Authorization: Bearer berth_…");
        return in_query(request).ok_or_else(missing);
    };
    let (scheme, rest) = header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(refuse)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return rest.trim().parse().map_err(|()| refuse());
    }
    let basic = scheme.eq_ignore_ascii_case("basic").then(|| password(rest.trim())).flatten();
    basic.and_then(|token| token.parse().ok()).ok_or_else(refuse)
}

fn password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(BASE64_STANDARD.decode(credentials).ok()?).ok()?;
    text.split_once(':').map(|(_, password)| password.to_owned())
}

/// Only for tarballs: an address may end in logs and histories.
fn in_query(request: &ServiceRequest) -> Option<TokenSecret> {
    if !request.path().ends_with("/flake.tar.gz") {
        return None;
    }
    let pairs = form_urlencoded::parse(request.query_string().as_bytes());
    pairs.into_iter().find(|(name, _)| name == "token").and_then(|(_, token)| token.parse().ok())
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No valid token", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_being_written_and_read_and_debug_does_not_show_it() {
        let token = TokenSecret::generate().unwrap();
        let text = token.reveal();
        let again: TokenSecret = text.expose_secret().parse().unwrap();
        assert_eq!((again.id, again.hash()), (token.id, token.hash()));
        let secret = text.expose_secret().splitn(3, '_').nth(2).unwrap().to_owned();
        assert!(!format!("{token:?}").contains(&secret));
        for bad in ["", "berth_", "berth_x_y", "Bearer", "berth__"] {
            assert!(bad.parse::<TokenSecret>().is_err(), "{bad}");
        }
    }
}
