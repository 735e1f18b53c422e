//! E-mail addresses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::hostname::DomainName;
use crate::invalid::Rule;

/// An e-mail address: a local part of RFC 5321's dot-string form (no quoting) and a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    format = "email",
    example = "ann@acme.example",
    pattern = r"^[^\s@]{1,64}@[^\s./:@]+(\.[^\s./:@]+)+\.?$"
)]
pub struct Email(String);

impl Email {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Email {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let refuse = || Rule::new("email", "must be an e-mail address such as ann@acme.example");
        let (local, domain) = text.rsplit_once('@').ok_or_else(refuse)?;
        let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        let dot_string = local.split('.').all(|part| !part.is_empty() && part.chars().all(atom));
        if !dot_string || local.len() > 64 {
            return Err(refuse());
        }
        let domain: DomainName = domain.parse().map_err(|_| refuse())?;
        Ok(Self(format!("{local}@{domain}")))
    }
}

impl TryFrom<String> for Email {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(value: Email) -> String {
        value.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_local_part_and_a_domain() {
        assert_eq!(
            "ann.o'neil+x@Acme.Example".parse::<Email>().unwrap().as_str(),
            "ann.o'neil+x@acme.example"
        );
        for bad in
            ["", "a", "@acme.example", "a@", "a@b", "a b@acme.example", ".a@acme.example", "a\n@acme.example"]
        {
            assert!(bad.parse::<Email>().is_err(), "{bad:?}");
        }
    }
}
