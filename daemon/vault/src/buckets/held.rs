//! What a vault holds of a bucket: the record of its objects, and the pieces that each consists of.

use std::cell::RefCell;
use std::collections::HashMap;

use super::error::BucketError;
use super::place::path_by_key;
use super::record::{self, BucketRecord, ObjectRecord};
use crate::reader::{Pieces, Read, ReadError, Reader, Tree};

/// The ids of the pieces that a content consists of, in order.
pub(super) type Content = Vec<[u8; 32]>;

/// A bucket's snapshot.
pub(super) struct Held<'a> {
    reader: &'a Reader,
    snapshot: Read,
    pub(super) bucket: BucketRecord,
    pub(super) objects: HashMap<String, ObjectRecord>,
    folders: Folders<'a>,
}

/// The folders of a snapshot.
struct Folders<'a> {
    reader: &'a Reader,
    /// Those that were looked into last, from the root on.
    open: RefCell<Vec<(Vec<u8>, Tree)>>,
}

/// The newest snapshot that has all of these tags.
pub(super) fn newest(reader: &Reader, tags: &[String]) -> Result<Option<Read>, BucketError> {
    let mut found: Option<Read> = None;
    for id in reader.snapshots()? {
        let read = reader.snapshot(&id)?;
        let fits = tags.iter().all(|tag| read.tags.contains(tag));
        if fits && found.as_ref().is_none_or(|found| found.at < read.at) {
            found = Some(read);
        }
    }
    Ok(found)
}

impl<'a> Held<'a> {
    pub(super) fn of(reader: &'a Reader, snapshot: Read) -> Result<Self, BucketError> {
        let folders = Folders::new(reader, snapshot.tree)?;
        let (_, pieces) = folders
            .file(relative(record::PATH))?
            .ok_or_else(|| BucketError::Record("it does not say what is in it".into()))?;
        let (bucket, objects) = record::read(Pieces::new(reader, &pieces))?;
        Ok(Self { reader, snapshot, bucket, objects, folders })
    }

    /// Whether the snapshot has a tag.
    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.snapshot.tags.iter().any(|known| known == tag)
    }

    /// The pieces that an object consists of; nothing where the repository does not have all of them. What is asked for in the order of
    /// paths is found without looking into a folder twice.
    pub(super) fn pieces(&self, object: &ObjectRecord) -> Result<Option<Content>, BucketError> {
        if object.size == 0 {
            return Ok(Some(Vec::new()));
        }
        let found = match &object.path {
            Some(path) => self.folders.file(relative(path))?,
            None => match path_by_key(&self.bucket.bucket, &object.key) {
                Some(path) => self.folders.file(path.as_bytes())?,
                None => None,
            },
        };
        let found = found.filter(|(size, _)| *size == object.size).map(|(_, pieces)| pieces);
        let Some(pieces) = found else { return Ok(None) };
        for piece in &pieces {
            if !self.reader.has_data(*piece)? {
                return Ok(None);
            }
        }
        Ok(Some(pieces))
    }
}

impl<'a> Folders<'a> {
    fn new(reader: &'a Reader, root: [u8; 32]) -> Result<Self, ReadError> {
        Ok(Self { reader, open: RefCell::new(vec![(Vec::new(), reader.tree(root)?)]) })
    }

    /// A file's size and pieces.
    fn file(&self, path: &[u8]) -> Result<Option<(u64, Content)>, ReadError> {
        let mut names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some(name) = names.pop() else { return Ok(None) };
        let mut open = self.open.borrow_mut();
        let inner = open.iter().skip(1);
        let common = inner.zip(&names).take_while(|((known, _), name)| known == *name).count();
        open.truncate(common + 1);
        for folder in &names[common..] {
            let Some((_, around)) = open.last() else { return Ok(None) };
            let Some(subtree) = around.node(folder).and_then(|node| node.subtree()) else { return Ok(None) };
            let tree = self.reader.tree(subtree)?;
            open.push((folder.to_vec(), tree));
        }
        let node = open.last().and_then(|(_, tree)| tree.node(name)).filter(|node| node.is_file());
        Ok(node.and_then(|node| Some((node.size(), node.pieces()?))))
    }
}

/// A path as it is from the root of a snapshot.
pub(super) fn relative(path: &str) -> &[u8] {
    path.trim_start_matches('/').as_bytes()
}
