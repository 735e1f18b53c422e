//! Store paths on a machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A path directly in a machine's store, such as `/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-berth-agent`.
///
/// Its characters (Nix manual, “Store path”) mean nothing to any shell, so it can stand in a remote command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePath(String);

impl StorePath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StorePath {
    type Err = InvalidStorePath;

    fn from_str(text: &str) -> Result<Self, InvalidStorePath> {
        let refuse = || InvalidStorePath(text.chars().take(300).collect());
        let file = text.strip_prefix("/nix/store/").ok_or_else(refuse)?;
        let (hash, name) = file.split_once('-').ok_or_else(refuse)?;
        // Nix's base 32 leaves out e, o, t and u.
        let digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_lowercase() && !b"eotu".contains(&b));
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b);
        // `?` is a wildcard to a shell; Nix allows it in names, but nothing that Berth runs has one.
        let good = hash.len() == 32
            && hash.bytes().all(digit)
            && (1..=211).contains(&name.len())
            && name.bytes().all(|b| inner(b) && b != b'?');
        if good { Ok(Self(text.to_owned())) } else { Err(refuse()) }
    }
}

impl TryFrom<String> for StorePath {
    type Error = InvalidStorePath;

    fn try_from(text: String) -> Result<Self, InvalidStorePath> {
        text.parse()
    }
}

impl From<StorePath> for String {
    fn from(path: StorePath) -> String {
        path.0
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no path in a machine's store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a path directly in /nix/store")]
pub struct InvalidStorePath(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_directly_in_the_store_that_no_shell_could_misread_are_taken() {
        let good = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-berth-agent-0.1.0";
        assert_eq!(good.parse::<StorePath>().unwrap().as_str(), good);
        for bad in [
            "",
            "/nix/store",
            "/nix/store/../etc",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-",
            "/nix/store/e3vvpagg98dz0yissby9d2qf2n01d5m0-x",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x/bin",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x y",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x?",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x;reboot",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x\n",
            "/var/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-x",
        ] {
            assert!(bad.parse::<StorePath>().is_err(), "{bad:?}");
        }
    }
}
