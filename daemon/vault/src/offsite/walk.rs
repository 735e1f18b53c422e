//! What snapshots consist of: their folders, each read once, and the pieces of their files.
//!
//! A folder stands in as many places as somebody likes, so that a few of them may come to more than any disk holds. Each is gone through
//! once, and what it comes to is multiplied.

use std::collections::{HashMap, HashSet};

use super::OffsiteError;
use crate::object::Blob;
use crate::reader::{ReadError, Reader, tree_of};

/// How deep folders may be: a path of a Linux machine has 4096 bytes.
const DEEPEST: usize = 2048;

/// How many folders there may be, each counted wherever it stands in another.
const MOST_FOLDERS: usize = 5_000_000;

/// How many entries a snapshot may come to, folders among them: each is gone through where it is restored.
const MOST_ENTRIES: u64 = 100_000_000;

/// How much a snapshot comes to where it is restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    /// How many files.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// The folders that were gone through.
#[derive(Default)]
pub(super) struct Walk {
    folders: HashMap<[u8; 32], Folder>,
    pieces: HashSet<[u8; 32]>,
    stands: usize,
}

/// What is in folders.
#[derive(Debug, Clone, Copy, Default)]
struct Below {
    extent: Extent,
    /// How many there are, folders among them.
    entries: u64,
}

impl Below {
    fn and(self, other: &Self) -> Self {
        let extent = Extent {
            files: self.extent.files.saturating_add(other.extent.files),
            bytes: self.extent.bytes.saturating_add(other.extent.bytes),
        };
        Self { extent, entries: self.entries.saturating_add(other.entries) }
    }
}

/// One folder: what is in it itself, and the folders in it.
#[derive(Default)]
struct Folder {
    own: Below,
    folders: Vec<[u8; 32]>,
}

/// Is given a folder's id, and the folder as it is stored.
pub(super) type Heard<'a> = dyn FnMut([u8; 32], &[u8]) -> Result<(), OffsiteError> + 'a;

/// What the other repository says is told from what ours does.
pub(super) struct Far(pub(super) OffsiteError);

impl From<ReadError> for Far {
    fn from(error: ReadError) -> Self {
        Self(OffsiteError::far(error))
    }
}

impl Walk {
    /// Goes through all folders below a tree that were not gone through yet; `hear` is given each as it is stored. Gives the pieces of
    /// files that were not met before.
    pub(super) fn add(
        &mut self,
        far: &Reader,
        root: [u8; 32],
        hear: &mut Heard<'_>,
    ) -> Result<Vec<[u8; 32]>, OffsiteError> {
        let (mut pieces, mut level) = (Vec::new(), vec![root]);
        for _ in 0..DEEPEST {
            level.retain(|tree| !self.folders.contains_key(tree));
            level.sort_unstable();
            level.dedup();
            if level.is_empty() {
                return Ok(pieces);
            }
            let mut next = Vec::new();
            far.each::<Far>(Blob::Tree, level, &mut |id, plain| {
                hear(id, &plain).map_err(Far)?;
                let folder = self.folder(far, id, &plain, &mut pieces)?;
                next.extend_from_slice(&folder.folders);
                self.folders.insert(id, folder);
                Ok(())
            })
            .map_err(|Far(error)| error)?;
            level = next;
        }
        Err(OffsiteError::TooMuch("folders are deeper than any that a machine has"))
    }

    fn folder(
        &mut self,
        far: &Reader,
        id: [u8; 32],
        plain: &[u8],
        pieces: &mut Vec<[u8; 32]>,
    ) -> Result<Folder, Far> {
        let mut folder = Folder::default();
        for node in tree_of(id, plain)?.nodes {
            folder.own.entries += 1;
            if let Some(inner) = node.subtree() {
                folder.folders.push(inner);
            } else if node.is_file() {
                let unread = || ReadError::Unknown { what: "a file".into(), why: "it has no pieces".into() };
                let own = node.pieces().ok_or_else(unread)?;
                folder.own.extent.files += 1;
                for piece in own {
                    // Not what the folder says of the file: that is nowhere compared.
                    let bytes = &mut folder.own.extent.bytes;
                    *bytes = bytes.saturating_add(far.length(piece)?);
                    if self.pieces.insert(piece) {
                        pieces.push(piece);
                    }
                }
            }
        }
        self.stands += folder.folders.len();
        if self.stands > MOST_FOLDERS {
            return Err(Far(OffsiteError::TooMuch("it has more folders than are gone through")));
        }
        Ok(folder)
    }

    /// What is below a tree that was gone through.
    pub(super) fn extent(&self, root: [u8; 32]) -> Result<Extent, OffsiteError> {
        let mut known: HashMap<[u8; 32], Below> = HashMap::new();
        // An own stack, as folders may be deeper than a thread's.
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if known.contains_key(&id) {
                continue;
            }
            let empty = Folder::default();
            let folder = self.folders.get(&id).unwrap_or(&empty);
            let unknown: HashSet<[u8; 32]> =
                folder.folders.iter().copied().filter(|inner| !known.contains_key(inner)).collect();
            if unknown.is_empty() {
                let inner = folder.folders.iter().filter_map(|inner| known.get(inner));
                known.insert(id, inner.fold(folder.own, Below::and));
            } else {
                open.push(id);
                open.extend(unknown);
            }
        }
        let Below { extent, entries } = known.get(&root).copied().unwrap_or_default();
        match entries > MOST_ENTRIES {
            true => Err(OffsiteError::TooMuch("a snapshot has more entries than any machine keeps")),
            false => Ok(extent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(folders: &[(u8, Extent, &[u8])]) -> Walk {
        let folder = |(id, own, inner): &(u8, Extent, &[u8])| {
            let own = Below { extent: *own, entries: own.files + inner.len() as u64 };
            ([*id; 32], Folder { own, folders: inner.iter().map(|id| [*id; 32]).collect() })
        };
        Walk { folders: folders.iter().map(folder).collect(), ..Walk::default() }
    }

    #[test]
    fn a_folder_counts_wherever_it_stands_and_more_than_any_machine_keeps_is_refused() {
        let one = Extent { files: 1, bytes: 10 };
        let none = Extent::default();
        let twice = walk(&[(1, none, &[2, 2, 3]), (2, one, &[3]), (3, one, &[])]);
        assert_eq!(twice.extent([1; 32]).unwrap(), Extent { files: 5, bytes: 50 });
        // Forty folders that each hold the next one twice.
        let bomb: Vec<(u8, Extent, Vec<u8>)> =
            (0..40).map(|id| (id, one, if id < 39 { vec![id + 1; 2] } else { Vec::new() })).collect();
        let bomb: Vec<_> = bomb.iter().map(|(id, own, inner)| (*id, *own, inner.as_slice())).collect();
        assert!(matches!(walk(&bomb).extent([0; 32]), Err(OffsiteError::TooMuch(_))));
        assert_eq!(walk(&bomb).extent([38; 32]).unwrap().files, 3);
        // The same without a file, and two that hold another very often.
        let hollow: Vec<_> = bomb.iter().map(|(id, _, inner)| (*id, none, *inner)).collect();
        assert!(matches!(walk(&hollow).extent([0; 32]), Err(OffsiteError::TooMuch(_))));
        let often = walk(&[(1, none, &[2; 100_000]), (2, none, &[3; 100_000]), (3, one, &[])]);
        assert!(matches!(often.extent([1; 32]), Err(OffsiteError::TooMuch(_))));
    }
}
