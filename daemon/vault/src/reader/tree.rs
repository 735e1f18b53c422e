//! Entries of folders, as restic writes them down. (restic's design, “Trees and Data”.)

use serde_json::{Map, Value};

use super::quoted::unquoted;
use crate::object::Sum;

/// A folder's entries, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// The entries.
    pub nodes: Vec<Node>,
}

/// An entry, with all that restic says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    name: Vec<u8>,
    written: Map<String, Value>,
}

/// Why a tree is none.
#[derive(Debug, thiserror::Error)]
pub enum BadTree {
    /// It is no JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// It has no entries.
    #[error("it has no list of nodes")]
    NoNodes,
    /// An entry has no name that one could have.
    #[error("a node has no name")]
    Name,
    /// The entries come in another order, or one comes twice.
    #[error("its nodes are not in the order of their names")]
    Order,
}

impl Tree {
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadTree> {
        let mut written: Map<String, Value> = serde_json::from_slice(text)?;
        let nodes = match written.remove("nodes") {
            Some(Value::Array(nodes)) => nodes.into_iter().map(Node::of).collect::<Result<Vec<_>, _>>()?,
            Some(Value::Null) => Vec::new(),
            _ => return Err(BadTree::NoNodes),
        };
        if nodes.is_sorted_by(|one, other| one.name < other.name) {
            Ok(Self { nodes })
        } else {
            Err(BadTree::Order)
        }
    }

    /// The entry with a name.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name));
        at.ok().map(|at| &self.nodes[at])
    }
}

impl Node {
    fn of(written: Value) -> Result<Self, BadTree> {
        let Value::Object(written) = written else { return Err(BadTree::Name) };
        let name = written.get("name").and_then(Value::as_str).and_then(unquoted).ok_or(BadTree::Name)?;
        match name.as_slice() {
            b"" | b"." | b".." => Err(BadTree::Name),
            name if name.contains(&b'/') || name.contains(&0) => Err(BadTree::Name),
            _ => Ok(Self { name, written }),
        }
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// All that restic says of it, as it was read.
    pub fn written(&self) -> &Map<String, Value> {
        &self.written
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.text("type") == Some("file")
    }

    /// Its size in bytes, where it is a file.
    pub fn size(&self) -> u64 {
        self.written.get("size").and_then(Value::as_u64).unwrap_or(0)
    }

    /// The ids of the pieces that a file consists of, in order; nothing where that is not said, or not in a way that is
    /// understood.
    pub fn pieces(&self) -> Option<Vec<[u8; 32]>> {
        match self.written.get("content")? {
            Value::Null => Some(Vec::new()),
            Value::Array(pieces) => pieces.iter().map(|piece| sum(piece.as_str()?)).collect(),
            _ => None,
        }
    }

    /// The id of a folder's tree; nothing where it is none.
    pub fn subtree(&self) -> Option<[u8; 32]> {
        self.text("subtree").and_then(sum).filter(|_| self.text("type") == Some("dir"))
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.written.get(field).and_then(Value::as_str)
    }
}

fn sum(text: &str) -> Option<[u8; 32]> {
    text.parse::<Sum>().ok().map(Sum::bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_by_name_and_keep_what_is_not_understood() {
        let one = "11".repeat(32);
        let text = format!(
            r#"{{"nodes":[{{"name":"a","type":"dir","subtree":"{one}","future":1}},
               {{"name":"b\\xff","type":"file","size":3,"content":["{one}","{one}"]}}]}}"#
        );
        let tree = Tree::parse(text.as_bytes()).unwrap();
        let (folder, file) = (tree.node(b"a").unwrap(), tree.node(b"b\xff").unwrap());
        assert_eq!((folder.subtree(), folder.is_file()), (Some([0x11; 32]), false));
        assert_eq!(folder.written()["future"], 1);
        assert_eq!((file.size(), file.pieces().unwrap().len(), file.subtree()), (3, 2, None));
        assert!(tree.node(b"c").is_none());
        assert_eq!(Tree::parse(br#"{"nodes":null}"#).unwrap(), Tree::default());
    }

    #[test]
    fn names_that_lead_elsewhere_and_entries_out_of_order_are_refused() {
        for name in ["", ".", "..", "a/b", "\\\\x00", "\\\\xg"] {
            let text = format!(r#"{{"nodes":[{{"name":"{name}","type":"file"}}]}}"#);
            assert!(Tree::parse(text.as_bytes()).is_err(), "{name}");
        }
        for nodes in
            [r#"{"name":"b"},{"name":"a"}"#, r#"{"name":"a"},{"name":"a"}"#, "1", r#"{"type":"file"}"#]
        {
            assert!(Tree::parse(format!(r#"{{"nodes":[{nodes}]}}"#).as_bytes()).is_err(), "{nodes}");
        }
        assert!(Tree::parse(b"{}").is_err() && Tree::parse(b"[]").is_err());
    }
}
