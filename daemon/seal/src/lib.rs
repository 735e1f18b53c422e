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

/// Seals a secret to somebody else's age recipient, as a file that `age` opens.
///
/// # Errors
/// [`SealError::BadRecipient`], [`SealError::Seal`]
pub fn seal_to(recipient: &str, value: &[u8]) -> Result<Vec<u8>, SealError> {
    let recipient = parse_recipient(recipient)?;
    age::encrypt(&recipient, value).map_err(|_| SealError::Seal(format!("for {recipient}")))
}

/// Looks whether a text is an age recipient (`age1…`, X25519).
///
/// # Errors
/// [`SealError::BadRecipient`]
pub fn check_recipient(recipient: &str) -> Result<(), SealError> {
    parse_recipient(recipient).map(drop)
}

fn parse_recipient(text: &str) -> Result<age::x25519::Recipient, SealError> {
    text.parse().map_err(|reason| SealError::BadRecipient { reason })
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
    /// The text is no age recipient.
    #[error("this is no age recipient: {reason}")]
    BadRecipient {
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
    /// What a tenant's state of NixOps4 is sealed for: `/state` or `/patch`, and the serial of the change.
    pub fn nixops4(tenant: &str, part: &str, serial: i64) -> Self {
        let (tenant, service) = (tenant.to_owned(), "nixops4".to_owned());
        Self { tenant, service, setting: part.to_owned(), version: serial.unsigned_abs() }
    }

    /// What the key of a vault is sealed for.
    pub fn vault(id: &str) -> Self {
        Self { tenant: id.to_owned(), service: "vault".into(), setting: "/key".into(), version: 1 }
    }

    /// What the ticket is sealed for that an operation moves a tenant away with.
    pub fn ticket(operation: &str) -> Self {
        Self {
            tenant: operation.to_owned(),
            service: "migration".into(),
            setting: "/ticket".into(),
            version: 1,
        }
    }

    /// What the secrets of a bundle are sealed for, as long as an operation makes a tenant of it.
    pub fn bundle(operation: &str) -> Self {
        let (tenant, service) = (operation.to_owned(), "bundle".to_owned());
        Self { tenant, service, setting: "/secrets".into(), version: 1 }
    }

    /// What is sealed for, as long as an operation makes a tenant of a repository, that opens it.
    pub fn offsite(operation: &str) -> Self {
        let (tenant, service) = (operation.to_owned(), "offsite".to_owned());
        Self { tenant, service, setting: "/repository".into(), version: 1 }
    }

    fn place(&self) -> String {
        format!("{}/{}{} (version {})", self.tenant, self.service, self.setting, self.version)
    }
}

impl Keys {
    /// New keys.
    pub fn generate() -> Self {
        Self { identity: age::x25519::Identity::generate() }
    }

    /// The keys that [`Keys::identity`] wrote, or the only ones of a file as `age-keygen` writes it.
    ///
    /// # Errors
    /// [`SealError::BadIdentity`]
    pub fn read(identity: &SecretString) -> Result<Self, SealError> {
        let mut all = Self::read_all(identity)?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(SealError::BadIdentity { reason: "there is more than one" }),
        }
    }

    /// Every identity of a file as `age` reads them: one a line, between comments. At least one.
    ///
    /// # Errors
    /// [`SealError::BadIdentity`]
    pub fn read_all(identities: &SecretString) -> Result<Vec<Self>, SealError> {
        let lines = identities.expose_secret().lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let all: Result<Vec<Self>, _> = lines.map(|line| Ok(Self { identity: line.parse()? })).collect();
        let all = all.map_err(|reason| SealError::BadIdentity { reason })?;
        if all.is_empty() {
            return Err(SealError::BadIdentity { reason: "it is empty" });
        }
        Ok(all)
    }

    /// What others seal to, which is no secret: `age1…`.
    pub fn recipient(&self) -> String {
        self.identity.to_public().to_string()
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

    /// Opens what somebody else sealed to these keys, with [`seal_to`] or `age`.
    ///
    /// # Errors
    /// [`SealError::Open`]
    pub fn open_file(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let failed = |_| SealError::Open(format!("for {}", self.recipient()));
        age::decrypt(&self.identity, sealed).map(Zeroizing::new).map_err(failed)
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
    fn what_others_seal_to_the_recipient_opens_with_the_keys_and_with_no_others() {
        let keys = Keys::generate();
        let mut sealed = seal_to(&keys.recipient(), b"hunter2").unwrap();
        assert_eq!(keys.open_file(&sealed).unwrap().as_slice(), b"hunter2");
        assert!(matches!(Keys::generate().open_file(&sealed), Err(SealError::Open(_))));
        *sealed.last_mut().unwrap() ^= 1;
        assert!(matches!(keys.open_file(&sealed), Err(SealError::Open(_))));
    }

    #[test]
    fn a_broken_identity_is_refused() {
        for text in ["nonsense", "", "# nothing but words\n"] {
            assert!(Keys::read(&SecretString::from(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_of_age_keygen_is_read_and_of_several_identities_none_is_guessed() {
        let (one, other) = (Keys::generate(), Keys::generate());
        let line = |keys: &Keys| keys.identity().expose_secret().to_owned();
        let file = SecretString::from(format!(
            "# created: 2026-11-25T20:00:00Z\n# public key: {}\n{}\n",
            one.recipient(),
            line(&one)
        ));
        assert_eq!(Keys::read(&file).unwrap().recipient(), one.recipient());
        let both = SecretString::from(format!("{}\n\n{}\n", line(&one), line(&other)));
        let recipients: Vec<_> = Keys::read_all(&both).unwrap().iter().map(Keys::recipient).collect();
        assert_eq!(recipients, [one.recipient(), other.recipient()]);
        assert!(Keys::read(&both).is_err());
    }
}
