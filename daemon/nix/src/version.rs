//! Nix's version.

use std::fmt;

/// The oldest version that works.
pub const MINIMUM: Version = Version { major: 2, minor: 8 };

/// Nix's version, as far as it decides what Nix can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Version {
    /// Reads what `nix --version` prints: `nix (Nix) 2.8.0`, `nix (Nix) 2.31.0pre20250712_b1245123`,
    /// `nix (Lix, like Nix) 2.93.0`. The version is the last word.
    pub fn parse(text: &str) -> Option<Self> {
        let word = text.split_whitespace().next_back()?;
        let mut numbers = word.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?;
        let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self { major, minor: minor[..digits].parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_nix_and_its_kin_are_read_and_ordered() {
        let parse = |text| Version::parse(text).map(|v| (v.major, v.minor));
        assert_eq!(parse("nix (Nix) 2.8.0\n"), Some((2, 8)));
        assert_eq!(parse("nix (Nix) 2.31pre20250712_b1245123"), Some((2, 31)));
        assert_eq!(parse("nix (Lix, like Nix) 2.93.0"), Some((2, 93)));
        for bad in ["", "nix", "nix (Nix) two.eight", "nix (Nix) 2", "nix (Nix) 2.x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(Version { major: 2, minor: 26 } > MINIMUM && Version { major: 2, minor: 7 } < MINIMUM);
    }
}
