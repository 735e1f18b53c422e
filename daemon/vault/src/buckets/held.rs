//! What a vault holds of a bucket: the record of its objects, and the pieces that each consists of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read;

use super::error::BucketError;
use super::place::path_by_key;
use super::record::{self, BucketRecord, ObjectRecord};
use crate::reader::{Paths, Pieces, ReadError, Reader};

/// The ids of the pieces that a content consists of, in order.
pub(super) type Content = Vec<[u8; 32]>;

/// A bucket's snapshot, from a thread that may wait.
pub struct Held<'a> {
    reader: &'a Reader,
    /// What it says of the bucket.
    pub bucket: BucketRecord,
    /// What it says of the objects, by their keys.
    pub objects: HashMap<String, ObjectRecord>,
    paths: RefCell<Paths<'a>>,
}

impl<'a> Held<'a> {
    /// A snapshot by its id.
    ///
    /// # Errors
    /// [`BucketError::Record`] where it is not a bucket's; [`BucketError::Read`]
    pub fn of(reader: &'a Reader, restic: &str) -> Result<Self, BucketError> {
        let mut paths = Paths::of(reader, reader.snapshot(restic)?.tree)?;
        let (_, pieces) = file(&mut paths, relative(record::PATH))?
            .ok_or_else(|| BucketError::Record("it does not say what is in it".into()))?;
        let (bucket, objects) = record::read(Pieces::new(reader, pieces))?;
        Ok(Self { reader, bucket, objects, paths: RefCell::new(paths) })
    }

    /// What an object holds, as it comes out of the repository; each piece is compared with its sum.
    ///
    /// # Errors
    /// [`BucketError::Record`] where the repository does not have all of it; [`BucketError::Read`]
    pub fn content(&self, object: &ObjectRecord) -> Result<impl Read + use<'a>, BucketError> {
        let lost = || BucketError::Record("the vault does not have its content any more".into());
        Ok(Pieces::new(self.reader, self.pieces(object)?.ok_or_else(lost)?))
    }

    /// The pieces that an object consists of; nothing where the repository does not have all of them. What is asked for in the order of
    /// paths is found without looking into a folder twice.
    pub(super) fn pieces(&self, object: &ObjectRecord) -> Result<Option<Content>, BucketError> {
        if object.size == 0 {
            return Ok(Some(Vec::new()));
        }
        let paths = &mut *self.paths.borrow_mut();
        let found = match &object.path {
            Some(path) => file(paths, relative(path))?,
            None => match path_by_key(&self.bucket.bucket, &object.key) {
                Some(path) => file(paths, path.as_bytes())?,
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

/// A file's size and pieces.
fn file(paths: &mut Paths<'_>, path: &[u8]) -> Result<Option<(u64, Content)>, ReadError> {
    let node = paths.node(path)?.filter(|node| node.is_file());
    Ok(node.and_then(|node| Some((node.size(), node.pieces()?))))
}

/// A path as it is from the root of a snapshot.
pub(super) fn relative(path: &str) -> &[u8] {
    path.trim_start_matches('/').as_bytes()
}
