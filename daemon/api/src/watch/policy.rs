//! The nonce and the content security policy: this page's own style and script, its own stream, nothing else.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// A fresh random word for each response; only elements that carry it are obeyed.
#[derive(Debug, Clone)]
pub struct Nonce(String);

impl Nonce {
    /// A new one, of 128 random bits.
    ///
    /// # Errors
    /// The operating system has no randomness to give.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(BASE64_STANDARD.encode(bytes)))
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of `Content-Security-Policy`.
pub fn content_security_policy(nonce: &Nonce) -> String {
    let nonce = nonce.as_str();
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_nonce_and_permits_nothing_unsafe() {
        let (one, two) = (Nonce::generate().unwrap(), Nonce::generate().unwrap());
        assert_ne!(one.as_str(), two.as_str());
        let policy = content_security_policy(&one);
        assert!(policy.contains(one.as_str()) && !policy.contains("unsafe") && !policy.contains('*'));
    }
}
