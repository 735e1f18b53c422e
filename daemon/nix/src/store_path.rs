//! Store paths.

use std::fmt;
use std::str::FromStr;

/// A path directly in a Nix store, such as `/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-hello.drv`.
///
/// It is checked, so that it can stand among a command's arguments without being taken for an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(String);

impl StorePath {
    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash at the beginning of its name.
    pub fn hash_part(&self) -> &str {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        name.split('-').next().unwrap_or_default()
    }
}

impl FromStr for StorePath {
    type Err = InvalidStorePath;

    fn from_str(text: &str) -> Result<Self, InvalidStorePath> {
        let refuse = || InvalidStorePath(text.chars().take(300).collect());
        let (folder, file) = text.rsplit_once('/').ok_or_else(refuse)?;
        let (hash, name) = file.split_once('-').ok_or_else(refuse)?;
        // Nix's base 32 leaves out e, o, t and u; its names hold these characters and no others (Nix manual, “Store
        // path”).
        let digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_lowercase() && !b"eotu".contains(&b));
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"+-._?=".contains(&b);
        let good = folder.starts_with('/')
            && !folder.contains('\0')
            && hash.len() == 32
            && hash.bytes().all(digit)
            && (1..=211).contains(&name.len())
            && name.bytes().all(inner);
        if good { Ok(Self(text.to_owned())) } else { Err(refuse()) }
    }
}

impl AsRef<str> for StorePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no store path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a store path")]
pub struct InvalidStorePath(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_directly_in_a_store_are_store_paths() {
        let good = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-bbb.drv";
        assert_eq!(good.parse::<StorePath>().unwrap().as_str(), good);
        for bad in [
            "",
            "--option",
            "n3vvpagg98dz0yissby9d2qf2n01d5m0-bbb",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-",
            "/nix/store/e3vvpagg98dz0yissby9d2qf2n01d5m0-bbb",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-bbb/bin",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-b b",
            "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-bbb^out",
        ] {
            assert!(bad.parse::<StorePath>().is_err(), "{bad}");
        }
    }
}
