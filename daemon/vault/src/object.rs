//! What a repository consists of: its config, and objects of five kinds, each named by the SHA-256 of its content.
//! (restic's design: <https://restic.readthedocs.io/en/stable/100_references.html>, “Repository Format”.)

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

/// A kind of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Packs: what was backed up.
    Data,
    /// The repository's key, sealed by each of its passwords.
    Keys,
    /// Who is using the repository.
    Locks,
    /// What was backed up when.
    Snapshots,
    /// What is in which pack.
    Index,
}

/// The SHA-256 of an object's content, which is its name: 64 hexadecimal digits in lower case.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sum([u8; 32]);

/// What can be kept in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The repository's only object without a sum for its name.
    Config,
    /// Any other.
    Object(Kind, Sum),
}

/// What a piece in a pack is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Blob {
    /// A part of a file.
    Data,
    /// A folder's entries.
    Tree,
}

/// A text names nothing of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such name")]
pub struct BadName;

impl Blob {
    /// As the header of a pack has it, of what is not compressed.
    pub(crate) fn digit(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Tree => 1,
        }
    }

    /// As an index has it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Tree => "tree",
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Data, Self::Keys, Self::Locks, Self::Snapshots, Self::Index];

    /// As addresses and folders have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Keys => "keys",
            Self::Locks => "locks",
            Self::Snapshots => "snapshots",
            Self::Index => "index",
        }
    }
}

impl FromStr for Kind {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(BadName)
    }
}

impl Sum {
    /// Its bytes.
    pub fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// The sum with these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Sum {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(BadName);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Upper case is refused: one object would have several names.
fn value(digit: u8) -> Result<u8, BadName> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(BadName),
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Key {
    /// Where it lies below the repository, as restic's own layout for folders and S3 has it: packs are spread over 256
    /// folders by the first two digits of their names.
    pub fn path(&self) -> String {
        match self {
            Self::Config => "config".to_owned(),
            Self::Object(Kind::Data, sum) => {
                let name = sum.to_string();
                format!("data/{}/{name}", &name[..2])
            }
            Self::Object(kind, sum) => format!("{}/{sum}", kind.as_str()),
        }
    }

    /// A number that is seldom the same for two keys, from 0 to 255.
    pub(crate) fn spread(&self) -> usize {
        match self {
            Self::Config => 0,
            Self::Object(_, Sum(bytes)) => bytes[0].into(),
        }
    }

    /// Whether it is a lock, which every client of a repository needs to write and to remove.
    pub fn is_lock(&self) -> bool {
        matches!(self, Self::Object(Kind::Locks, _))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_64_digits_in_lower_case_and_lies_where_restic_looks_for_it() {
        let name = "245bc4c430d393f74fbe7b13325e30dbde9fb0745e50caad57c446c93d20096b";
        let sum: Sum = name.parse().unwrap();
        assert_eq!(sum.to_string(), name);
        assert_eq!(Key::Object(Kind::Data, sum).path(), format!("data/24/{name}"));
        assert_eq!(Key::Object(Kind::Index, sum).path(), format!("index/{name}"));
        let (upper, long) = (name.to_uppercase(), format!("{name}0"));
        for bad in ["", "..", "config", &upper, &long, &name[1..], &"ä".repeat(32), &"g".repeat(64)] {
            assert!(bad.parse::<Sum>().is_err(), "{bad}");
        }
        assert!("config".parse::<Kind>().is_err() && "..".parse::<Kind>().is_err());
    }
}
