//! Entries of folders, as restic writes them down. (restic's design, “Trees and Data”.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::{Attributes, AuthorError};
use crate::object::Sum;
use crate::quoted::quoted;

/// Bits of a mode beside the permissions, as Go has them (`io/fs`, `FileMode`).
pub(crate) const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// The last second that Go writes as JSON: that of the year 9999.
pub(crate) const LAST_SECOND: i64 = 253_402_300_799;

/// A folder's entries.
#[derive(Default, Serialize)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    #[serde(skip)]
    last: Option<Vec<u8>>,
}

/// An entry.
#[derive(Serialize)]
pub(super) struct Node {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    mode: u32,
    mtime: String,
    atime: String,
    ctime: String,
    uid: u32,
    gid: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    links: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linktarget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    linktarget_raw: Option<String>,
    content: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtree: Option<String>,
}

impl Tree {
    /// Adds an entry, which must come after those before it.
    pub(super) fn add(&mut self, name: &[u8], node: Node) -> Result<(), AuthorError> {
        if name.is_empty() || self.last.as_deref().is_some_and(|last| last >= name) {
            return Err(AuthorError::Order);
        }
        self.last = Some(name.to_owned());
        self.nodes.push(node);
        Ok(())
    }

    /// As it is stored.
    pub(super) fn text(&self) -> Result<Vec<u8>, AuthorError> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// The twelve bits of a mode as Go has them.
pub(crate) fn go_mode(mode: u32) -> u32 {
    let special = [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).fold(0, |all, (_, bit)| all | bit);
    mode & 0o777 | special
}

/// The twelve bits of a mode that Go has.
pub(crate) fn unix_mode(mode: u32) -> u32 {
    let special = [(0o4000, SETUID), (0o2000, SETGID), (0o1000, STICKY)];
    let special = special.iter().filter(|(_, go)| mode & go != 0).fold(0, |all, (bit, _)| all | bit);
    mode & 0o777 | special
}

impl Node {
    fn new(name: &[u8], kind: &'static str, more: u32, attributes: &Attributes) -> Self {
        let Attributes { mode, uid, gid, user, group, mtime } = attributes;
        let time = DateTime::from_timestamp((*mtime).clamp(0, LAST_SECOND), 0).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Secs, true);
        Self {
            name: quoted(name),
            kind,
            mode: go_mode(*mode) | more,
            mtime: time.clone(),
            atime: time.clone(),
            ctime: time,
            uid: *uid,
            gid: *gid,
            user: user.clone(),
            group: group.clone(),
            size: None,
            links: None,
            linktarget: None,
            linktarget_raw: None,
            content: None,
            subtree: None,
        }
    }

    pub(super) fn folder(name: &[u8], attributes: &Attributes, tree: [u8; 32]) -> Self {
        let subtree = Some(Sum::new(tree).to_string());
        Self { subtree, ..Self::new(name, "dir", DIRECTORY, attributes) }
    }

    pub(super) fn file(name: &[u8], attributes: &Attributes, size: u64, pieces: &[[u8; 32]]) -> Self {
        let content = Some(pieces.iter().map(|piece| Sum::new(*piece).to_string()).collect());
        Self { size: Some(size), links: Some(1), content, ..Self::new(name, "file", 0, attributes) }
    }

    pub(super) fn link(name: &[u8], attributes: &Attributes, target: &[u8]) -> Self {
        let text = String::from_utf8_lossy(target).into_owned();
        // From restic 0.16 on.
        let raw = std::str::from_utf8(target).is_err().then(|| BASE64.encode(target));
        let (linktarget, linktarget_raw) = (Some(text), raw);
        Self { links: Some(1), linktarget, linktarget_raw, ..Self::new(name, "symlink", SYMLINK, attributes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_order_is_refused() {
        let attributes = Attributes::of_a_folder();
        let mut tree = Tree::default();
        let mut add = |name: &[u8]| tree.add(name, Node::link(name, &attributes, b"x")).is_ok();
        assert!(add(b"a") && add(b"b"));
        assert!(!add(b"b") && !add(b"a") && !add(b""));
    }
}
