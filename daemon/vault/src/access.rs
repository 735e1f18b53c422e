//! Who may do what: asked of a [`Gate`], as this crate knows nobody.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::name::RepositoryName;
use crate::object::Key;

/// Decides who may use a repository. It is asked at every request, so its answer should be quick.
#[async_trait]
pub trait Gate: Send + Sync {
    /// What a caller may do with a repository.
    ///
    /// # Errors
    /// Why the caller may do nothing.
    async fn admit(&self, repository: &RepositoryName, caller: &Caller) -> Result<Access, Refusal>;
}

/// Who asks.
#[derive(Debug)]
pub struct Caller {
    /// What came by HTTP Basic authentication (RFC 7617); nothing where nothing came.
    pub credentials: Option<Credentials>,
    /// The other end of the connection, which may be a proxy.
    pub peer: Option<IpAddr>,
}

/// A user's name and password, as they came.
pub struct Credentials {
    /// The name.
    pub user: String,
    /// The password, such as a token.
    pub password: SecretString,
}

impl fmt::Debug for Credentials {
    /// A name may be a password that was put into the wrong field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Which requests are answered.
    pub mode: Mode,
    /// How many bytes the repository may have; nothing if there is no limit.
    pub quota_bytes: Option<u64>,
}

/// Which requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Reading. Locks may be written and removed, as restic does while it reads.
    ReadOnly,
    /// Reading and adding; nothing but locks is removed, nothing is replaced. For a machine that backs itself up: whoever
    /// takes it over cannot spoil what was backed up before.
    AppendOnly,
    /// All of restic.
    Full,
}

/// Why somebody may do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing valid was presented: status 401.
    Unauthorized,
    /// What was presented is valid, but not for this repository: status 403.
    Forbidden,
    /// Too many wrong ones came from there; status 429, and when to come again.
    TooMany(Duration),
    /// It cannot be told now, such as when a database is away: status 503.
    Unavailable,
}

impl Mode {
    /// Whether it allows to add an object.
    pub(crate) fn may_add(self, key: &Key) -> bool {
        self != Self::ReadOnly || key.is_lock()
    }

    /// Whether it allows to remove an object.
    pub(crate) fn may_remove(self, key: &Key) -> bool {
        self == Self::Full || key.is_lock()
    }
}
