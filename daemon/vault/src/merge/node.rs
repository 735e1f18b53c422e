//! A folder's own entry, as it is to be.

use berth_delta::Folder;
use chrono::{DateTime, SecondsFormat};
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};

use super::MergeError;
use crate::author::AuthorError;
use crate::author::node::{DIRECTORY, LAST_SECOND, go_mode};
use crate::object::Sum;
use crate::quoted::quoted;
use crate::reader::Node;

/// The first second that Go writes as JSON: that of the year 1.
const FIRST_SECOND: i64 = -62_135_596_800;

/// What is said of a folder whose tree is not known yet.
pub(super) struct Attributes(Map<String, Value>);

impl Attributes {
    /// As an entry says it.
    pub(super) fn of(node: &Node) -> Result<Self, MergeError> {
        Ok(Self(serde_json::from_str(node.text().get()).map_err(AuthorError::from)?))
    }

    /// Of one that nobody says anything of: it is root's.
    pub(super) fn new(name: &[u8]) -> Self {
        let mut new = Self(Map::new());
        new.0.insert("name".into(), quoted(name).into());
        new.0.insert("type".into(), "dir".into());
        new.dress(&Folder { mode: 0o700, uid: 0, gid: 0, modified: (0, 0) });
        new.0.insert("content".into(), Value::Null);
        new
    }

    pub(super) fn dress(&mut self, folder: &Folder) {
        let (seconds, nanoseconds) = folder.modified;
        let seconds = seconds.clamp(FIRST_SECOND, LAST_SECOND);
        let time = DateTime::from_timestamp(seconds, nanoseconds.min(999_999_999)).unwrap_or_default();
        let time = time.to_rfc3339_opts(SecondsFormat::Nanos, true);
        // A name that belongs to another number says nothing.
        for (number, name, is) in [("uid", "user", folder.uid), ("gid", "group", folder.gid)] {
            if self.0.insert(number.into(), is.into()) != Some(is.into()) {
                self.0.shift_remove(name);
            }
        }
        self.0.insert("mode".into(), (go_mode(folder.mode) | DIRECTORY).into());
        for word in ["mtime", "atime", "ctime"] {
            self.0.insert(word.into(), json!(time));
        }
        // A folder that has any comes with a snapshot of everything.
        self.0.shift_remove("extended_attributes");
    }

    /// The entry, with the folder's tree.
    pub(super) fn node(mut self, tree: [u8; 32]) -> Result<Node, MergeError> {
        self.0.insert("subtree".into(), Sum::new(tree).to_string().into());
        let text = to_raw_value(&self.0).map_err(AuthorError::from)?;
        Node::of(text).map_err(|error| {
            let why = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
            MergeError::Author(AuthorError::Content(why))
        })
    }
}
