//! What a bundle holds: entries.

use berth_sign::Sha256Hex;
use serde::{Deserialize, Serialize};

use crate::object::{BucketAbout, ObjectAbout};
use crate::path::{self, BundlePath};

/// The longest target of a symbolic link, in bytes: what Linux takes.
pub const MAX_TARGET: usize = 4095;

/// One entry: a line of the manifest, and a member of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Where it is.
    pub path: BundlePath,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whose it is, and what they may do.
    #[serde(flatten)]
    pub meta: Meta,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The SHA-256 of its content.
        sha256: Sha256Hex,
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: Target,
    },
}

/// Whose an entry is, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// What may be done.
    pub mode: FileMode,
    /// The number of its owner.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
    /// The name of its owner, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The name of its group, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When its content last changed: whole seconds since 1970, rounded down.
    pub mtime: i64,
    /// The media type that a bucket has it under, such as `image/png`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What else a bucket has it with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectAbout>,
    /// Where the bucket was, of a bucket's own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<BucketAbout>,
}

impl Meta {
    /// Of something that the bundle's writer made: root's, for everybody to read.
    pub fn made(mode: FileMode, mtime: i64) -> Self {
        let root = || Some("root".to_owned());
        let (media_type, object, bucket) = (None, None, None);
        Self { mode, uid: 0, gid: 0, owner: root(), group: root(), mtime, media_type, object, bucket }
    }
}

/// The twelve bits of a mode, written as four octal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(u16);

impl FileMode {
    /// `0644`
    pub const FILE: Self = Self(0o644);
    /// `0755`
    pub const DIRECTORY: Self = Self(0o755);
    /// `0777`, which is what a symbolic link has.
    pub const SYMLINK: Self = Self(0o777);

    /// The twelve lowest bits of a mode.
    pub fn of(mode: u32) -> Self {
        Self((mode & 0o7777) as u16)
    }

    /// As a number.
    pub fn bits(self) -> u32 {
        u32::from(self.0)
    }
}

impl Serialize for FileMode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_octal = text.len() == 4 && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        match u16::from_str_radix(&text, 8) {
            Ok(bits) if is_octal => Ok(Self(bits)),
            _ => Err(serde::de::Error::custom("a mode is four octal digits")),
        }
    }
}

/// What a symbolic link says: 1 to 4095 bytes without NUL. It may say anything; where that leads is judged only by those who
/// extract.
#[derive(Clone, PartialEq, Eq)]
pub struct Target(Vec<u8>);

impl Target {
    /// The target of these bytes, unless no link can say that.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        let possible = (1..=MAX_TARGET).contains(&bytes.len()) && !bytes.contains(&0);
        possible.then_some(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", path::encode(&self.0))
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&path::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let target = path::decode(&text).ok().and_then(Self::new);
        target.ok_or_else(|| serde::de::Error::custom(format!("{text}: no symbolic link can say that")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_line_of_json() {
        let entry = Entry {
            path: BundlePath::new(*b"services/a\n\xff").unwrap(),
            kind: Kind::File { size: 3, sha256: [0xab; 32].into() },
            meta: Meta::made(FileMode::of(0o104755), -1),
        };
        let line = serde_json::to_string(&entry).unwrap();
        let expected = format!(
            r#"{{"path":"services/a%0A%FF","kind":"file","size":3,"sha256":"{}","mode":"4755","uid":0,"gid":0,"owner":"root","group":"root","mtime":-1}}"#,
            "ab".repeat(32)
        );
        assert_eq!(line, expected);
        assert_eq!(serde_json::from_str::<Entry>(&line).unwrap(), entry);
    }

    #[test]
    fn an_entry_of_another_kind_or_with_a_bad_path_is_refused() {
        let line = |path: &str, kind: &str| {
            format!(r#"{{"path":"{path}","kind":"{kind}","mode":"0755","uid":0,"gid":0,"mtime":0}}"#)
        };
        assert!(serde_json::from_str::<Entry>(&line("a", "directory")).is_ok());
        for (path, kind) in [("a", "device"), ("a", "file"), ("../a", "directory"), ("/a", "directory")] {
            assert!(serde_json::from_str::<Entry>(&line(path, kind)).is_err(), "{path} {kind}");
        }
        let twice = line("a", "directory").replace("\"uid\"", "\"path\":\"b\",\"uid\"");
        assert!(serde_json::from_str::<Entry>(&twice).is_err());
    }
}
