//! The same POST twice is one POST: the header `Idempotency-Key`.
//!
//! A reply is kept for a day, in the same transaction as what it tells of. It may hold what is shown only once (a
//! token, a watch link), so it is sealed with a key that is derived from the caller's own bearer secret: the database
//! alone cannot open it.

use actix_web::{HttpRequest, HttpResponse};
use berth_domain::{Invalid, Operation};
use berth_store::IdempotencyRecord;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use chrono::{SubsecRound, TimeDelta, Utc};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use crate::auth::{Caller, TokenSecret};
use crate::problem::Problem;
use crate::reply::Reply;
use crate::state::{Api, location};

/// The header.
pub const HEADER: &str = "Idempotency-Key";

/// The header in the contract.
pub struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let key = ParameterBuilder::new()
            .name(HEADER)
            .parameter_in(ParameterIn::Header)
            .description(Some("Repeats of the request within a day are answered as the first one was."))
            .schema(Some(text.pattern(Some(format!("^[!-~]{{1,{MAX_KEY}}}$")))));
        vec![key.build()]
    }
}

/// How long a reply is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);

/// The longest key, in bytes.
const MAX_KEY: usize = 255;

const NONCE_BYTES: usize = 12;

/// A request that may be repeated.
pub struct Once<'a> {
    caller: &'a Caller,
    key: Option<String>,
    fingerprint: [u8; 32],
}

impl<'a> Once<'a> {
    /// Reads the header. `body` is the request's, as it came.
    ///
    /// # Errors
    /// A problem that names the header, where it holds no key.
    pub fn read(caller: &'a Caller, request: &HttpRequest, body: &[u8]) -> Result<Self, Problem> {
        let key = request.headers().get(HEADER).map(|value| value.to_str().unwrap_or_default().to_owned());
        let good =
            |key: &String| (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        if key.as_ref().is_some_and(|key| !good(key)) {
            let rule = format!("must be 1 to {MAX_KEY} visible ASCII characters");
            return Err(Invalid::one(HEADER, "idempotency-key", rule).into());
        }
        let mut hasher = Sha256::new();
        for part in [request.method().as_str().as_bytes(), request.uri().to_string().as_bytes(), body] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Ok(Self { caller, key, fingerprint: hasher.finalize().into() })
    }

    /// The answer that this very request got before.
    ///
    /// # Errors
    /// A problem of status 422 where the key was used for another request.
    pub async fn earlier(&self, api: &Api) -> Result<Option<HttpResponse>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let Some(record) = api.store().idempotency(self.caller.token.id, key).await? else { return Ok(None) };
        if record.fingerprint != self.fingerprint {
            let rule = "was used for another request before; use a new key for each";
            return Err(Invalid::one(HEADER, "idempotency-key-reused", rule).into());
        }
        let text = open(&self.caller.secret, key, &record)?;
        let reply: Reply = serde_json::from_slice(&text).map_err(Problem::internal)?;
        Ok(Some(reply.response()))
    }

    /// The record to be stored together with what the reply tells of; none for a request without a key.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn record(&self, reply: &Reply) -> Result<Option<IdempotencyRecord>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let created_at = Utc::now().trunc_subsecs(3);
        let mut record = IdempotencyRecord {
            token: self.caller.token.id,
            key: key.clone(),
            fingerprint: self.fingerprint,
            reply: Vec::new(),
            created_at,
            expires_at: created_at + KEPT,
        };
        let text = serde_json::to_vec(reply).map_err(Problem::internal)?;
        record.reply = seal(&self.caller.secret, key, &record, &text)?;
        Ok(Some(record))
    }

    /// Has the engine begin an operation, and answers with it. `submit` is given the record to be stored with it.
    ///
    /// # Errors
    /// As [`Self::record`] and [`Self::answer`].
    pub async fn accept<T>(
        &self,
        api: &Api,
        operation: &Operation,
        submit: impl AsyncFnOnce(Option<&IdempotencyRecord>) -> Result<T, berth_store::StoreError>,
    ) -> Result<HttpResponse, Problem> {
        let reply = Reply::accepted(location(operation), &operation.after_acceptance())?;
        let kept = self.record(&reply)?;
        self.answer(api, &reply, submit(kept.as_ref()).await).await
    }

    /// The response to give after the store was asked to do it: the reply, or, where another request with the same
    /// key was faster, that one's.
    ///
    /// # Errors
    /// Whatever the store refused.
    pub async fn answer<T>(
        &self,
        api: &Api,
        reply: &Reply,
        outcome: Result<T, berth_store::StoreError>,
    ) -> Result<HttpResponse, Problem> {
        match outcome {
            Ok(_) => Ok(reply.response()),
            Err(berth_store::StoreError::IdempotencyReplay) => {
                self.earlier(api).await?.ok_or_else(|| Problem::internal("a reply that was kept is gone"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn cipher(secret: &TokenSecret, key: &str) -> Result<ChaCha20Poly1305, Problem> {
    let mut derived = Key::default();
    Hkdf::<Sha256>::new(Some(b"berth idempotency v1"), secret.key_material())
        .expand(key.as_bytes(), &mut derived)
        .map_err(Problem::internal)?;
    Ok(ChaCha20Poly1305::new(&derived))
}

fn seal(
    secret: &TokenSecret,
    key: &str,
    record: &IdempotencyRecord,
    text: &[u8],
) -> Result<Vec<u8>, Problem> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(Problem::internal)?;
    let payload = Payload { msg: text, aad: &record.fingerprint };
    let sealed =
        cipher(secret, key)?.encrypt(Nonce::from_slice(&nonce), payload).map_err(Problem::internal)?;
    Ok([&nonce[..], &sealed].concat())
}

fn open(secret: &TokenSecret, key: &str, record: &IdempotencyRecord) -> Result<Vec<u8>, Problem> {
    let damaged = || Problem::internal("a kept reply cannot be opened");
    let (nonce, sealed) = record.reply.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
    let payload = Payload { msg: sealed, aad: &record.fingerprint };
    cipher(secret, key)?.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_reply_opens_with_its_own_secret_and_key_only() {
        let now = Utc::now();
        let secret = TokenSecret::generate().unwrap();
        let mut record = IdempotencyRecord {
            token: secret.id,
            key: "k".into(),
            fingerprint: [7; 32],
            reply: Vec::new(),
            created_at: now,
            expires_at: now,
        };
        record.reply = seal(&secret, "k", &record, b"the token berth_x_y").unwrap();
        assert!(!record.reply.windows(5).any(|window| window == b"token"));
        assert_eq!(open(&secret, "k", &record).unwrap(), b"the token berth_x_y");
        assert!(open(&secret, "other", &record).is_err());
        assert!(open(&TokenSecret::generate().unwrap(), "k", &record).is_err());
        record.fingerprint = [8; 32];
        assert!(open(&secret, "k", &record).is_err());
    }
}
