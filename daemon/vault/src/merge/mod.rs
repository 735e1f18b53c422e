//! Snapshots of everything, made of earlier ones and of what has changed since: without the machine, and in as much time as there
//! is changed.
//!
//! A pass of a migration sends what has changed of a service's files, and its last pass also what is no file of the service. What it
//! comes to has to be a snapshot as any other in the end, but nobody has to go through all files for that: here the folders in
//! which something has changed are written anew, and all others are those of the snapshot before. See [`berth_delta`].
//!
//! What a delta says comes from another provider. It says it of the snapshot alone: whatever its paths, nothing else is reached.

mod folders;
mod found;
mod node;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_delta::changes::Reader as Changes;
use berth_delta::{
    CHANGES, Chain, Fate, MERGED, REST, STAGING, Snapshot, at_tag, delta_tag, is_plain, newest, rest_tag,
    whole_tag,
};

use crate::author::{Author, AuthorError, Title};
use crate::reader::{Pieces, Read, ReadError, Reader};
use crate::storage::StorageError;
use folders::Folders;
use found::Found;

/// Why a snapshot of everything cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Something cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// What a delta says that it changes is not understood.
    #[error("what the delta {delta} changes is not understood: {why}")]
    Changes {
        /// Its snapshot.
        delta: String,
        /// Why.
        why: std::io::Error,
    },
    /// A snapshot does not hold what it says that it holds.
    #[error("the snapshot {snapshot} does not hold {path}")]
    Lacks {
        /// Its id.
        snapshot: String,
        /// What it should hold.
        path: String,
    },
    /// There is more of it than can be gone through: whoever made it has to send everything.
    #[error("there is too much to be merged: {0}")]
    TooMuch(&'static str),
    /// No snapshot of everything leads to a state.
    #[error("no snapshot of everything leads to what {0} goes on from")]
    NoWay(String),
}

impl From<StorageError> for MergeError {
    fn from(error: StorageError) -> Self {
        Self::Read(error.into())
    }
}

/// How many snapshots are looked through, and how many paths and tags they may have together: whoever sends them may send what they
/// like, and each is in memory.
const MOST_SNAPSHOTS: usize = 5_000;
const MOST_WORDS: usize = 500_000;

/// Of how many services, and for how many snapshots of everything one after the other.
const MOST_SERVICES: usize = 200;
pub(crate) const MOST_STEPS: usize = 32;

/// How many bytes of trees one snapshot of everything may come to: those of some million files.
const MOST_BYTES: u64 = 512 * 1024 * 1024;

/// How long one may take.
const LONGEST: Duration = Duration::from_secs(300);

/// The snapshots of a repository.
struct All {
    read: Vec<Read>,
    listed: Vec<Snapshot>,
}

impl All {
    fn of(reader: &Reader) -> Result<Self, MergeError> {
        let ids = reader.snapshots()?;
        if ids.len() > MOST_SNAPSHOTS {
            return Err(MergeError::TooMuch("snapshots"));
        }
        let (mut read, mut words) = (Vec::new(), 0);
        for id in &ids {
            let one = reader.snapshot(id)?;
            words += one.paths.len() + one.tags.len();
            if words > MOST_WORDS {
                return Err(MergeError::TooMuch("paths and tags of snapshots"));
            }
            read.push(one);
        }
        let listed = read.iter().map(|read| Snapshot {
            id: read.id.clone(),
            time: read.at,
            paths: read.paths.clone(),
            tags: read.tags.clone(),
        });
        let listed = listed.collect();
        Ok(Self { read, listed })
    }

    fn get(&self, snapshot: &Snapshot) -> Result<&Read, MergeError> {
        let found = self.read.iter().find(|read| read.id == snapshot.id);
        found.ok_or_else(|| MergeError::NoWay(snapshot.id.clone()))
    }

    /// The names of services with deltas.
    fn services(&self) -> BTreeSet<&str> {
        let prefix = delta_tag("");
        let tags = self.listed.iter().flat_map(|snapshot| &snapshot.tags);
        tags.filter_map(|tag| tag.strip_prefix(&prefix)).collect()
    }
}

/// Makes the next snapshot of everything on the way to each service's newest state; whether there was one to be made.
pub(crate) fn go_on(reader: &Reader, author: &mut Author) -> Result<bool, MergeError> {
    let all = All::of(reader)?;
    let services = all.services();
    if services.len() > MOST_SERVICES {
        return Err(MergeError::TooMuch("services"));
    }
    for service in services {
        let chain = Chain::of(service, &all.listed);
        let tag = delta_tag(service);
        let newest = newest(all.listed.iter().filter(|one| one.tags.contains(&tag)));
        if let Some(newest) = newest
            && go_towards(service, newest, &chain, &all, reader, author)?
        {
            return Ok(true);
        }
    }
    // What cannot be read could not be gone on from either, once something has changed.
    let last = all.read.iter().max_by_key(|read| read.at);
    last.map(|last| reader.tree(last.tree)).transpose()?;
    Ok(false)
}

/// What has become of what the rest of a snapshot was to be made of.
pub(crate) enum Completed {
    /// It is whole: the snapshot's id.
    Whole(String),
    /// A step towards it was made.
    Closer,
}

/// Goes towards a snapshot of everything of one that may be just the rest of it.
pub(crate) fn complete(id: &str, reader: &Reader, author: &mut Author) -> Result<Completed, MergeError> {
    let rest = reader.snapshot(id).map_err(|error| match error {
        ReadError::Storage(StorageError::NotFound) => ReadError::Missing(format!("the snapshot {id}")),
        error => error,
    })?;
    let Some(service) = rest.tags.iter().find_map(|tag| tag.strip_prefix(REST)) else {
        return Ok(Completed::Whole(id.to_owned()));
    };
    let all = All::of(reader)?;
    let there = all.listed.iter().find(|one| one.id == id);
    let there = there.ok_or_else(|| ReadError::Missing(format!("the snapshot {id}")))?;
    let chain = Chain::of(service, &all.listed);
    if go_towards(service, there, &chain, &all, reader, author)? {
        return Ok(Completed::Closer);
    }
    let whole = there.state().and_then(|state| whole_at(&chain, state));
    let whole = all.get(whole.ok_or_else(|| MergeError::NoWay(id.to_owned()))?)?;
    let rest = &rest;
    let tags = instead(&rest.tags, &rest_tag(service), whole_tag(service));
    // Whoever asks once more is told the same. Another try of the same pass may have the same tags and paths, and other dumps; it is of
    // another time.
    let is_of_it = |one: &&Read| (one.at, &one.host, &one.tags) == (rest.at, &rest.host, &tags);
    let same = all.read.iter().find(|one| is_of_it(one) && one.paths.ends_with(&rest.paths));
    if let Some(same) = same {
        return Ok(Completed::Whole(same.id.clone()));
    }
    let mut folders = Folders::of(reader, author, whole.tree, Vec::new())?;
    folders.remove(Path::new(STAGING))?;
    let mut found = Found::of(reader, rest)?;
    for path in &rest.paths {
        let path = Path::new(path);
        if !path.starts_with(STAGING) || !is_plain(path) {
            return Err(found.lacks(path));
        }
        folders.put(path, found.node(path)?)?;
    }
    let tree = folders.finish()?;
    let paths = files_of(whole).chain(&rest.paths).cloned().collect();
    let title = Title { at: rest.at, host: rest.host.clone(), paths, tags };
    Ok(Completed::Whole(author.snapshot_of(tree, &title)?))
}

/// Makes the next snapshot of everything on the way to where a snapshot leads.
fn go_towards(
    service: &str,
    wanted: &Snapshot,
    chain: &Chain<'_>,
    all: &All,
    reader: &Reader,
    author: &mut Author,
) -> Result<bool, MergeError> {
    let no_way = || MergeError::NoWay(wanted.id.clone());
    let state = wanted.state().ok_or_else(no_way)?;
    let way = chain.to(state, None).ok_or_else(no_way)?;
    let (Some(whole), Some(delta)) = (way.whole, way.deltas.first()) else { return Ok(false) };
    let (whole, read, state) = (all.get(whole)?, all.get(delta)?, delta.state().ok_or_else(no_way)?);
    let tree = follow(reader, author, whole, read)?;
    let of_a_delta = |tag: &&String| !tag.starts_with("delta:") && !tag.starts_with("from:");
    let mut tags: Vec<String> = read.tags.iter().filter(of_a_delta).cloned().collect();
    tags.extend([whole_tag(service), MERGED.to_owned()]);
    debug_assert!(tags.contains(&at_tag(state)));
    // It is as new as the delta by the same clock, so that it is not taken for newer than the next.
    let title =
        Title { at: read.at, host: read.host.clone(), paths: files_of(whole).cloned().collect(), tags };
    author.snapshot_of(tree, &title)?;
    Ok(true)
}

/// The tree that a delta leads to.
fn follow(reader: &Reader, author: &mut Author, whole: &Read, delta: &Read) -> Result<[u8; 32], MergeError> {
    let mut found = Found::of(reader, delta)?;
    let is_it = |path: &&Path| path.starts_with(STAGING) && path.ends_with(CHANGES) && is_plain(path);
    let changes = delta.paths.iter().map(Path::new).find(is_it);
    let changes = found.node(changes.ok_or_else(|| found.lacks(Path::new(CHANGES)))?)?;
    let pieces = changes.pieces().ok_or_else(|| found.lacks(Path::new(CHANGES)))?;
    let failed = |why: std::io::Error| match why.downcast::<ReadError>() {
        Ok(error) => error.into(),
        Err(why) => MergeError::Changes { delta: delta.id.clone(), why },
    };
    let mut changes = Changes::new(Pieces::new(reader, pieces)).map_err(failed)?;
    let mut directories: Vec<&Path> = files_of(whole).map(Path::new).collect();
    directories.sort();
    let exact = if changes.complete { directories.clone() } else { Vec::new() };
    // Each is gone to, also where nothing in it is named.
    let mut ahead = exact.iter().copied().peekable();
    let mut folders =
        Folders::of(reader, author, whole.tree, exact.iter().map(|path| (*path).into()).collect())?;
    let until = Instant::now() + LONGEST;
    while let Some((path, fate)) = changes.entry().map_err(failed)? {
        if Instant::now() > until {
            return Err(MergeError::TooMuch("what a delta changes"));
        }
        let is_inside = |directory: &&Path| path.starts_with(directory);
        if !is_plain(&path) || !directories.iter().any(is_inside) {
            return Err(failed(berth_delta::changes::invalid("a path is of none of the directories")));
        }
        while let Some(directory) = ahead.next_if(|directory| *directory <= path) {
            folders.enter(directory)?;
        }
        match fate {
            // What the snapshot before has missed is in none that is made of it.
            Fate::Stays if !folders.stays(&path)? => {
                let path = path.display().to_string();
                return Err(MergeError::Lacks { snapshot: whole.id.clone(), path });
            }
            Fate::Stays => {}
            Fate::Gone => folders.remove(&path)?,
            Fate::Brought => folders.put(&path, found.node(&path)?)?,
            Fate::Folder(folder) => folders.dress(&path, &folder)?,
        }
    }
    ahead.try_for_each(|directory| folders.enter(directory))?;
    folders.finish()
}

/// The paths of a snapshot of everything that are no staging folder's.
fn files_of(whole: &Read) -> impl Iterator<Item = &String> {
    whole.paths.iter().filter(|path| !Path::new(path).starts_with(STAGING))
}

fn whole_at<'a>(chain: &Chain<'a>, state: uuid::Uuid) -> Option<&'a Snapshot> {
    chain.at(state).find(|snapshot| !snapshot.is_delta())
}

fn instead(tags: &[String], of: &str, tag: String) -> Vec<String> {
    tags.iter().map(|one| if one == of { tag.clone() } else { one.clone() }).collect()
}

/// The names on the way from the root.
fn names(path: &Path) -> impl Iterator<Item = &[u8]> {
    path.components().skip(1).map(|part| part.as_os_str().as_bytes())
}
