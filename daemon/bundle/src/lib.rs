//! The bundle: all of a tenant in one file that they can keep, check and read without Berth, and take elsewhere.
//!
//! The page `docs/src/bundle-format.md` is the format's definition; another program can be written from it alone, and
//! `tests/bundle_reader.py` is one. In short: a pax archive whose first entry says what it is, whose entries come in the
//! order of their paths, and which ends with a manifest of all of them and that manifest's signature. Every byte of the
//! file follows from what is signed.
//!
//! | module | subject |
//! | --- | --- |
//! | [`writer`], [`tree`], [`create`] | writing: a stream, a folder of this machine, a file that appears as a whole |
//! | [`mod@verify`] | [`verify()`]: whether a bundle is whole, by whom it is signed, and else what is wrong with it |
//! | [`mod@inspect`] | what a bundle says of itself and lists |
//! | [`extract`] | [`Verified`], which alone can be extracted |
//! | `contents` | the same, entry by entry, without writing it anywhere |
//! | [`beneath`] | reading in a folder whose content somebody else made |
//! | [`layout`] | where things are in a bundle |
//! | [`about`], [`entry`], [`object`], [`path`] | what is said of a bundle, of each entry, and of those in buckets |
//! | [`header`], `parse` | the archive's own bytes; headers that may be anything |
//! | [`rules`], `manifest`, `locate` | what holds between entries; reading the manifest; finding it |
//!
//! All of it blocks; in an asynchronous program it belongs on a thread for that.

pub mod about;
pub mod beneath;
mod contents;
pub mod create;
pub mod entry;
pub mod error;
pub mod extract;
pub mod header;
pub mod inspect;
pub mod layout;
mod locate;
mod manifest;
pub mod names;
pub mod object;
mod parse;
pub mod path;
pub mod progress;
pub mod rules;
pub mod source;
pub mod tree;
pub mod verify;
pub mod writer;

pub use about::{About, Head, ServiceAbout, Totals};
pub use beneath::Beneath;
pub use create::{FileWriter, create};
pub use entry::{Entry, FileMode, Kind, Meta, Target};
pub use error::{ExtractError, ReadError, WriteError};
pub use extract::{Extracted, Leaving, Ownership, Selection, Verified};
pub use inspect::{Inspection, inspect, inspect_source};
pub use names::Names;
pub use object::{BucketAbout, ObjectAbout};
pub use path::{BadPath, BundlePath};
pub use progress::Progress;
pub use source::ReadAt;
pub use tree::Tree;
pub use verify::report::{Fault, Part, Problem, Report, SignedBy};
pub use verify::{verify, verify_source};
pub use writer::{Finished, Writer};
