//! SSH public keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::invalid::Rule;

/// An SSH public key in OpenSSH's one-line form, `ssh-ed25519 AAAA… comment`.
///
/// It is kept in canonical form (one space between the parts), so that it can stand in an
/// `authorized_keys` or `known_hosts` file without bringing options or further lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(
    example = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj ann@acme"
)]
pub struct SshPublicKey(String);

impl SshPublicKey {
    /// The whole line.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Algorithm and key without the comment, as `known_hosts` wants them.
    pub fn without_comment(&self) -> String {
        self.0.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The SHA-256 fingerprint, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        ssh_key::PublicKey::from_openssh(&self.0)
            .map(|key| key.fingerprint(ssh_key::HashAlg::Sha256).to_string())
            .unwrap_or_default()
    }
}

impl FromStr for SshPublicKey {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let refuse = |message: &str| Rule::new("ssh-public-key", message);
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(refuse("must be one line in OpenSSH's public key form"));
        }
        let key = ssh_key::PublicKey::from_openssh(text).map_err(|_| {
            refuse("must be an OpenSSH public key such as “ssh-ed25519 AAAA… comment”, without options")
        })?;
        match key.algorithm() {
            ssh_key::Algorithm::Dsa => Err(refuse("DSA keys are no longer accepted by OpenSSH; use ed25519")),
            _ => key.to_openssh().map(Self).map_err(|_| refuse("cannot be written in OpenSSH's form")),
        }
    }
}

impl TryFrom<String> for SshPublicKey {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        text.parse()
    }
}

impl From<SshPublicKey> for String {
    fn from(value: SshPublicKey) -> String {
        value.0
    }
}

impl fmt::Display for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn keys_are_checked_and_kept_in_one_line() {
        let key: SshPublicKey = format!(" {KEY} ann@acme \n").parse().unwrap();
        assert_eq!(key.as_str(), format!("{KEY} ann@acme"));
        assert_eq!(key.without_comment(), KEY);
        assert!(key.fingerprint().starts_with("SHA256:"));
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            &format!("command=\"id\" {KEY}"),
            &format!("{KEY}\n{KEY}"),
        ] {
            assert!(bad.parse::<SshPublicKey>().is_err(), "{bad:?}");
        }
    }
}
