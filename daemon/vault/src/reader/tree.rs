//! Entries of folders, as restic writes them down. (restic's design, “Trees and Data”.)

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::object::Sum;
use crate::quoted::unquoted;

/// How many entries a folder may have, each of which takes some hundred bytes of memory beside its text. restic's own take more than
/// that of a tree that is as large as one may be.
const MOST_NODES: usize = 500_000;

/// A folder's entries, in the order of their names.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// The entries.
    pub nodes: Vec<Node>,
}

/// An entry, with all that restic says of it.
#[derive(Debug, Clone)]
pub struct Node {
    name: Vec<u8>,
    kind: Kind,
    text: Box<RawValue>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    /// Its tree's id.
    Folder([u8; 32]),
    Other,
}

/// Why a tree is none.
#[derive(Debug, thiserror::Error)]
pub enum BadTree {
    /// It is no JSON, or not that of a tree.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// An entry has no name that one could have.
    #[error("a node has no name")]
    Name,
    /// A folder has no tree.
    #[error("a folder has no tree")]
    NoTree,
    /// There are more entries than any folder has that restic can copy.
    #[error("it has too many nodes")]
    TooMany,
    /// The entries come in another order, or one comes twice.
    #[error("its nodes are not in the order of their names")]
    Order,
}

#[derive(Deserialize)]
struct Written {
    nodes: Option<Vec<Box<RawValue>>>,
}

/// What matters here of an entry.
#[derive(Deserialize)]
struct Known {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
    subtree: Option<String>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    size: u64,
    #[serde(default)]
    content: Option<Vec<String>>,
}

impl Tree {
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadTree> {
        let written: Written = serde_json::from_slice(text)?;
        let nodes = written.nodes.unwrap_or_default();
        if nodes.len() > MOST_NODES {
            return Err(BadTree::TooMany);
        }
        let nodes = nodes.into_iter().map(Node::of);
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let in_order = nodes.is_sorted_by(|one, other| one.name < other.name);
        in_order.then_some(Self { nodes }).ok_or(BadTree::Order)
    }

    /// The entry with a name.
    pub fn node(&self, name: &[u8]) -> Option<&Node> {
        let at = self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name));
        at.ok().map(|at| &self.nodes[at])
    }
}

impl Node {
    /// An entry that stands so in a tree.
    pub(crate) fn of(text: Box<RawValue>) -> Result<Self, BadTree> {
        let known: Known = serde_json::from_str(text.get())?;
        let name = unquoted(&known.name).filter(|name| is_name(name)).ok_or(BadTree::Name)?;
        let kind = match known.kind.as_str() {
            "file" => Kind::File,
            "dir" => Kind::Folder(known.subtree.as_deref().and_then(sum).ok_or(BadTree::NoTree)?),
            _ => Kind::Other,
        };
        Ok(Self { name, kind, text })
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// All that restic says of it, as JSON.
    pub fn text(&self) -> &RawValue {
        &self.text
    }

    /// Whether it is a file.
    pub fn is_file(&self) -> bool {
        self.kind == Kind::File
    }

    /// The id of a folder's tree; nothing where it is none.
    pub fn subtree(&self) -> Option<[u8; 32]> {
        match self.kind {
            Kind::Folder(tree) => Some(tree),
            Kind::File | Kind::Other => None,
        }
    }

    /// A file's size in bytes.
    pub fn size(&self) -> u64 {
        serde_json::from_str(self.text.get()).map_or(0, |content: Content| content.size)
    }

    /// The ids of the pieces that a file consists of, in order; nothing where it is none, or they are not said in a way that is
    /// understood.
    pub fn pieces(&self) -> Option<Vec<[u8; 32]>> {
        let content: Content = serde_json::from_str(self.text.get()).ok().filter(|_| self.is_file())?;
        content.content.unwrap_or_default().iter().map(|piece| sum(piece)).collect()
    }
}

fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
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
        assert_eq!((folder.subtree(), folder.is_file(), folder.pieces()), (Some([0x11; 32]), false, None));
        assert!(folder.text().get().ends_with(r#""future":1}"#));
        assert_eq!((file.size(), file.pieces().unwrap().len(), file.subtree()), (3, 2, None));
        assert!(tree.node(b"c").is_none());
        assert!(Tree::parse(br#"{"nodes":null}"#).unwrap().nodes.is_empty());
    }

    #[test]
    fn names_that_lead_elsewhere_and_entries_out_of_order_are_refused() {
        for name in ["", ".", "..", "a/b", "\\\\x00", "\\\\xg"] {
            let text = format!(r#"{{"nodes":[{{"name":"{name}","type":"file"}}]}}"#);
            assert!(Tree::parse(text.as_bytes()).is_err(), "{name}");
        }
        let others = [
            r#"{"name":"b"},{"name":"a"}"#,
            r#"{"name":"a"},{"name":"a"}"#,
            "1",
            r#"{"type":"file"}"#,
            r#"{"name":"a","type":"dir"}"#,
        ];
        for nodes in others {
            assert!(Tree::parse(format!(r#"{{"nodes":[{nodes}]}}"#).as_bytes()).is_err(), "{nodes}");
        }
        let many = |count| format!(r#"{{"nodes":[{}1]}}"#, "1,".repeat(count));
        assert!(matches!(Tree::parse(many(MOST_NODES).as_bytes()), Err(BadTree::TooMany)));
        assert!(matches!(Tree::parse(many(9).as_bytes()), Err(BadTree::Json(_))));
        assert!(Tree::parse(b"{}").is_ok() && Tree::parse(b"1").is_err());
    }
}
