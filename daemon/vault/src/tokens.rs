//! A gate of tokens that live in memory: for tests, and for single transfers that a daemon arranges.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::access::{Access, Caller, Gate, Mode, Refusal};
use crate::name::RepositoryName;

/// What every token begins with.
const PREFIX: &str = "vault_";

/// How many random bytes a token's secret has.
const SECRET_BYTES: usize = 32;

/// Tokens for single repositories. A token is `vault_<id>_<secret>` and the password of any user: the id finds it, the
/// secret proves it. Only the secret's SHA-256 is held. They are gone when the process ends.
#[derive(Debug, Default)]
pub struct Tokens {
    held: Mutex<HashMap<String, Held>>,
}

#[derive(Debug)]
struct Held {
    hash: [u8; 32],
    repository: RepositoryName,
    access: Access,
    /// Nothing where it is further away than can be told.
    end: Option<Instant>,
}

impl Held {
    fn is_fresh(&self) -> bool {
        self.end.is_none_or(|end| Instant::now() < end)
    }
}

impl Tokens {
    /// No token yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new token for a repository, which need not be there yet.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn issue(
        &self,
        repository: &RepositoryName,
        mode: Mode,
        quota_bytes: Option<u64>,
        lifetime: Duration,
    ) -> Result<SecretString, getrandom::Error> {
        let mut id = [0; 8];
        getrandom::fill(&mut id)?;
        let id = format!("{:016x}", u64::from_ne_bytes(id));
        let secret = SecretString::from(random_text::<SECRET_BYTES>()?);
        let access = Access { mode, quota_bytes };
        let end = Instant::now().checked_add(lifetime);
        let held = Held { hash: hash(secret.expose_secret()), repository: repository.clone(), access, end };
        let token = SecretString::from(format!("{PREFIX}{id}_{}", secret.expose_secret()));
        let mut all = self.lock();
        all.retain(|_, other| other.is_fresh());
        all.insert(id, held);
        Ok(token)
    }

    /// Makes a token worthless; tells whether it was worth anything.
    pub fn revoke(&self, token: &SecretString) -> bool {
        let mut all = self.lock();
        let Some(id) = find(&all, token.expose_secret()).map(|(id, _)| id.to_owned()) else { return false };
        all.remove(&id).is_some()
    }

    /// Makes every token for a repository worthless.
    pub fn revoke_all(&self, repository: &RepositoryName) {
        self.lock().retain(|_, held| held.repository != *repository);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Gate for Tokens {
    async fn admit(&self, repository: &RepositoryName, caller: &Caller) -> Result<Access, Refusal> {
        let credentials = caller.credentials.as_ref().ok_or(Refusal::Unauthorized)?;
        let all = self.lock();
        let (_, held) = find(&all, credentials.password.expose_secret()).ok_or(Refusal::Unauthorized)?;
        if held.repository == *repository { Ok(held.access) } else { Err(Refusal::Forbidden) }
    }
}

/// So many random bytes as text that fits into a header and an address.
pub(crate) fn random_text<const BYTES: usize>() -> Result<String, getrandom::Error> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// The token, where it is known, right and fresh.
fn find<'a>(all: &'a HashMap<String, Held>, token: &'a str) -> Option<(&'a str, &'a Held)> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let held = all.get(id)?;
    let right = bool::from(held.hash.ct_eq(&hash(secret)));
    (right && held.is_fresh()).then_some((id, held))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Credentials;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    async fn ask(tokens: &Tokens, repository: &str, password: &str) -> Result<Access, Refusal> {
        let password = SecretString::from(password);
        let credentials = Some(Credentials { user: "anybody".into(), password });
        tokens.admit(&name(repository), &Caller { credentials, peer: None }).await
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_token_opens_its_repository_until_it_ends_or_is_revoked() {
        let tokens = Tokens::new();
        let token = tokens.issue(&name("acme"), Mode::AppendOnly, Some(7), HOUR).unwrap();
        let text = token.expose_secret();
        let access = Access { mode: Mode::AppendOnly, quota_bytes: Some(7) };
        assert_eq!(ask(&tokens, "acme", text).await, Ok(access));
        assert_eq!(ask(&tokens, "bolt", text).await, Err(Refusal::Forbidden));
        for wrong in ["", "vault_", "vault_0_x", &text[..text.len() - 1], &format!("{text}A")] {
            assert_eq!(ask(&tokens, "acme", wrong).await, Err(Refusal::Unauthorized), "{wrong}");
        }
        assert!(tokens.revoke(&token) && !tokens.revoke(&token));
        assert_eq!(ask(&tokens, "acme", text).await, Err(Refusal::Unauthorized));
        let brief = tokens.issue(&name("acme"), Mode::Full, None, Duration::ZERO).unwrap();
        assert_eq!(ask(&tokens, "acme", brief.expose_secret()).await, Err(Refusal::Unauthorized));
    }

    #[tokio::test]
    async fn nothing_that_is_held_or_shown_holds_a_secret() {
        let tokens = Tokens::new();
        let token = tokens.issue(&name("acme"), Mode::Full, None, HOUR).unwrap();
        let secret = token.expose_secret().splitn(3, '_').nth(2).unwrap().to_owned();
        assert!(!format!("{tokens:?}{token:?}").contains(&secret));
        let credentials = Some(Credentials { user: secret.clone(), password: token });
        assert!(!format!("{:?}", Caller { credentials, peer: None }).contains(&secret));
        tokens.revoke_all(&name("acme"));
        assert!(tokens.lock().is_empty());
    }
}
