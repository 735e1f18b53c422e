//! What a repository is called.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes (a DNS label, RFC 1123).
const LONGEST: usize = 63;

/// A repository's name: a DNS label in lower case, as tenants have. So it is one segment of a path, a folder and a part of
/// an object's key, and never leads elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

/// A text is no name of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a repository's name has 1 to 63 of a–z, 0–9 and -, and neither starts nor ends with -")]
pub struct BadRepositoryName;

impl RepositoryName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = BadRepositoryName;

    fn from_str(text: &str) -> Result<Self, BadRepositoryName> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let good = (1..=LONGEST).contains(&text.len())
            && text.bytes().all(inner)
            && !text.starts_with('-')
            && !text.ends_with('-');
        if good { Ok(Self(text.to_owned())) } else { Err(BadRepositoryName) }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_as_a_tenant_and_never_as_a_way() {
        for good in ["a", "acme", "acme-2", "0", &"x".repeat(63)] {
            assert_eq!(good.parse::<RepositoryName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-a", "a-", "A", "a/b", "a.b", "a%2fb", "ä", ".drafts", &"x".repeat(64)] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad}");
        }
    }
}
