//! What can go wrong. Each message names the entry that it is about.

use std::io;
use std::path::PathBuf;

use crate::path::{BadPath, BundlePath};
use crate::rules::Misplaced;
use crate::verify::report::Report;

/// A bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The bundle's file or stream does not take it.
    #[error("the bundle cannot be written: {0}")]
    Write(io::Error),
    /// What should go into it cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The entry.
        path: BundlePath,
        /// Why.
        source: io::Error,
    },
    /// A name that no entry can have.
    #[error("{name} cannot be carried: {reason}")]
    BadPath {
        /// The name, encoded.
        name: String,
        /// Why.
        reason: BadPath,
    },
    /// An entry in the wrong place.
    #[error("{path} cannot be carried: {reason}")]
    Misplaced {
        /// The entry.
        path: BundlePath,
        /// Why.
        reason: Misplaced,
    },
    /// A file that became shorter while it was read.
    #[error("{path} became shorter while it was read: {read} of {expected} bytes")]
    Short {
        /// The entry.
        path: BundlePath,
        /// How many bytes it had.
        expected: u64,
        /// How many there were.
        read: u64,
    },
    /// A secret that is not sealed.
    #[error("{0} is not sealed with age")]
    Unsealed(BundlePath),
    /// Something that is neither file, folder nor symbolic link.
    #[error("{path} is {what}, which cannot be carried")]
    Unfit {
        /// The entry.
        path: BundlePath,
        /// What it is.
        what: &'static str,
    },
    /// The services are not in the order of their names, or one has a name that is no folder's.
    #[error("the services must have folders’ names and be in their order")]
    Services,
    /// An earlier entry broke off; there is nothing whole to add to.
    #[error("an earlier entry of this bundle broke off")]
    Broken,
    /// Something of Berth's own cannot be written as JSON.
    #[error("the manifest cannot be written: {0}")]
    Json(#[from] serde_json::Error),
}

/// A bundle cannot be read at all. What is wrong with one that can be is in the [`Report`].
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The source cannot be read.
    #[error("the bundle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It changed between being verified and being read.
    #[error("the bundle changes while it is read")]
    Changing,
    /// It has no manifest that can be read.
    #[error("{0}")]
    NoManifest(String),
}

/// A bundle was not extracted.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The bundle cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not whole; nothing was written.
    #[error("the bundle is not whole; nothing was extracted")]
    Unsound(Box<Report>),
    /// The folder has something in it already; nothing was written.
    #[error("the folder {0} is not empty; nothing was extracted")]
    NotEmpty(PathBuf),
    /// Symbolic links that would lead out of the folder; nothing was written.
    #[error("{count} symbolic links lead out of the folder, the first is {first}; nothing was extracted")]
    Leaving {
        /// The first.
        first: BundlePath,
        /// How many there are.
        count: u64,
    },
    /// The folder cannot be had.
    #[error("the folder {path} cannot be used: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An entry cannot be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// Which.
        path: BundlePath,
        /// Why.
        source: io::Error,
    },
}
