//! Seals what customers give in confidence, such as the password of a mail server: the database holds it encrypted to
//! the daemon's own age identity (<https://age-encryption.org/v1>, X25519), and what is sealed says where it belongs, so that
//! it cannot be moved to another tenant or setting.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

/// The daemon's keys.
pub struct Keys {
    identity: age::x25519::Identity,
}

/// What a secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The tenant's name.
    pub tenant: String,
    /// The service's name.
    pub service: String,
    /// The setting's JSON pointer within the service's settings.
    pub setting: String,
    /// The number of the value, from 1 on.
    pub version: u64,
}

/// What can go wrong. No message repeats anything of a secret.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The text is no age identity.
    #[error("this is no age identity: {reason}")]
    BadIdentity {
        /// Why.
        reason: &'static str,
    },
    /// A secret could not be sealed.
    #[error("the secret {0} cannot be sealed")]
    Seal(String),
    /// It is sealed to other keys, or spoiled.
    #[error("the secret {0} cannot be opened with this daemon's key")]
    Open(String),
    /// It belongs elsewhere.
    #[error("the secret {0} was sealed for another place")]
    Misplaced(String),
}

#[derive(Serialize, Deserialize)]
struct Content {
    about: About,
    value: String,
}

impl Drop for Content {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl About {
    fn place(&self) -> String {
        format!("{}/{}{} (version {})", self.tenant, self.service, self.setting, self.version)
    }
}

impl Keys {
    /// New keys.
    pub fn generate() -> Self {
        Self { identity: age::x25519::Identity::generate() }
    }

    /// The keys that [`Keys::identity`] wrote.
    ///
    /// # Errors
    /// [`SealError::BadIdentity`]
    pub fn read(identity: &SecretString) -> Result<Self, SealError> {
        let identity = identity.expose_secret().trim().parse();
        Ok(Self { identity: identity.map_err(|reason| SealError::BadIdentity { reason })? })
    }

    /// The keys as text: `AGE-SECRET-KEY-1…`.
    pub fn identity(&self) -> SecretString {
        SecretString::from(self.identity.to_string().expose_secret())
    }

    /// Seals a secret; Base64.
    ///
    /// # Errors
    /// [`SealError::Seal`]
    pub fn seal(&self, about: &About, value: &SecretString) -> Result<String, SealError> {
        let failed = || SealError::Seal(about.place());
        let content = Content { about: about.clone(), value: value.expose_secret().to_owned() };
        let content = Zeroizing::new(serde_json::to_vec(&content).map_err(|_| failed())?);
        let sealed = age::encrypt(&self.identity.to_public(), &content).map_err(|_| failed())?;
        Ok(STANDARD.encode(sealed))
    }

    /// Opens what [`Keys::seal`] sealed.
    ///
    /// # Errors
    /// [`SealError::Open`], [`SealError::Misplaced`]
    pub fn open(&self, about: &About, sealed: &str) -> Result<SecretString, SealError> {
        let failed = || SealError::Open(about.place());
        let sealed = STANDARD.decode(sealed).map_err(|_| failed())?;
        let content = Zeroizing::new(age::decrypt(&self.identity, &sealed).map_err(|_| failed())?);
        let content: Content = serde_json::from_slice(&content).map_err(|_| failed())?;
        if content.about != *about {
            return Err(SealError::Misplaced(about.place()));
        }
        Ok(SecretString::from(content.value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(tenant: &str) -> About {
        About { tenant: tenant.into(), service: "gitea".into(), setting: "/smtp/password".into(), version: 1 }
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_keys_in_the_same_place_and_nowhere_else() {
        let keys = Keys::generate();
        let sealed = keys.seal(&about("acme"), &SecretString::from("hunter2")).unwrap();
        let again = Keys::read(&keys.identity()).unwrap();
        assert_eq!(again.open(&about("acme"), &sealed).unwrap().expose_secret(), "hunter2");
        assert!(matches!(keys.open(&about("bolt"), &sealed), Err(SealError::Misplaced(_))));
        assert!(matches!(Keys::generate().open(&about("acme"), &sealed), Err(SealError::Open(_))));
        assert!(matches!(keys.open(&about("acme"), "AAAA"), Err(SealError::Open(_))));
        assert!(!format!("{:?}", keys.open(&about("bolt"), &sealed)).contains("hunter2"));
    }

    #[test]
    fn a_broken_identity_is_refused() {
        assert!(Keys::read(&SecretString::from("nonsense")).is_err());
    }
}
