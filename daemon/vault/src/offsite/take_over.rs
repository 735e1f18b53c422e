//! From a repository that lies elsewhere into one of ours: as `restic copy` does it, piece by piece, each compared with its sum and sealed
//! with keys of our own, so that who knew the former password opens nothing of it.
//!
//! Pieces are content, whatever the keys: folders and files stay the ones that they were. What an earlier try has brought is not brought
//! again.

use secrecy::SecretString;
use tokio::runtime::Handle;

use super::walk::{Far, Walk};
use super::{Extent, Offsite, OffsiteError, Opening};
use crate::author::{Author, Title};
use crate::buckets::{News, Tell};
use crate::name::RepositoryName;
use crate::object::Blob;
use crate::reader::{Read, Reader, SEAL};
use crate::storage::StorageError;
use crate::vault::Vault;

/// After how many bytes it is written down what came so far, for whoever goes on after a daemon that was killed.
const WORD: u64 = 512 * 1024 * 1024;

/// How many bytes of the vault's room are left to others.
const ROOM: u64 = 1024 * 1024 * 1024;

/// What is taken over, and from where.
pub struct TakingOver {
    /// The other repository.
    pub opening: Opening,
    /// The restic snapshots of it that are wanted.
    pub wanted: Vec<Wanted>,
}

/// A restic snapshot, and what its copy is to be called.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its id there.
    pub restic: String,
    /// Whose it is here.
    pub host: String,
    /// The words by which it is found here.
    pub tags: Vec<String>,
}

/// A restic snapshot that was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenOver {
    /// Its id here.
    pub restic: String,
    /// How much it comes to.
    pub extent: Extent,
    /// How many bytes it had written that were not there.
    pub bytes_added: u64,
}

impl Vault {
    /// Takes snapshots over into a repository that [`Vault::init`] made, in the order in which they are wanted. None is seen before
    /// everything that they consist of is there.
    ///
    /// # Errors
    /// [`OffsiteError`]
    pub async fn take_over(
        &self,
        repository: &RepositoryName,
        password: &SecretString,
        what: TakingOver,
        tell: Tell,
    ) -> Result<Vec<TakenOver>, OffsiteError> {
        let runtime = Handle::current();
        let room = self.inner.storage.room().await?;
        self.rewrite(repository, password, move |own, author| {
            let far = Offsite::open(&what.opening, runtime)?;
            let walk = Walk::default();
            TakeOver { far: &far, author, opening: &what.opening, room, tell, walk }.run(own, &what.wanted)
        })
        .await
    }
}

struct TakeOver<'a> {
    far: &'a Offsite,
    author: &'a mut Author,
    opening: &'a Opening,
    room: Option<u64>,
    tell: Tell,
    walk: Walk,
}

/// A snapshot on its way.
struct Part {
    read: Read,
    /// The pieces of its files that are not here, and in none of the parts before.
    missing: Vec<[u8; 32]>,
    bytes_added: u64,
}

/// How far it is.
#[derive(Default)]
struct Count {
    done: u64,
    expected: u64,
    /// How much was done when it was last written down.
    word: u64,
}

impl TakeOver<'_> {
    fn run(mut self, own: &Reader, wanted: &[Wanted]) -> Result<Vec<TakenOver>, OffsiteError> {
        self.author.knows(own.all()?);
        let mut count = Count::default();
        let mut parts = Vec::new();
        for wanted in wanted {
            parts.push(self.folders(wanted, &mut count)?);
        }
        // They are stored as they are, whatever they were compressed to.
        let mut needed = ROOM;
        for piece in parts.iter().flat_map(|part| &part.missing) {
            needed = needed.saturating_add(self.far.length(*piece).map_err(OffsiteError::far)?);
        }
        if self.room.is_some_and(|room| room < needed) {
            return Err(StorageError::NoSpace.into());
        }
        count.word = count.done;
        self.tell(&count);
        for part in &mut parts {
            if let Err(error) = self.files(part, &mut count) {
                // Whatever ended it: the next try goes on from here. Where that fails as well, it brings a little more.
                let _ = self.author.leave_word();
                return Err(error);
            }
        }
        let done = parts.into_iter().zip(wanted).map(|(part, wanted)| self.snapshot(part, wanted));
        done.collect()
    }

    /// Brings a snapshot's folders.
    fn folders(&mut self, wanted: &Wanted, count: &mut Count) -> Result<Part, OffsiteError> {
        let read = self.far.snapshot(&wanted.restic).map_err(OffsiteError::far)?;
        let (author, cancel) = (&mut *self.author, &self.opening.cancel);
        let mut bytes_added = 0;
        let pieces = self.walk.add(self.far, read.tree, &mut |id, plain| {
            if cancel.is_cancelled() {
                return Err(OffsiteError::Cancelled);
            }
            if !author.has(Blob::Tree, id) {
                author.piece(Blob::Tree, plain)?;
                bytes_added += plain.len() as u64 + u64::from(SEAL);
            }
            Ok(())
        })?;
        let mut missing = Vec::new();
        for piece in pieces {
            let length = self.far.stored(piece).map_err(OffsiteError::far)?;
            count.expected += length;
            match self.author.has(Blob::Data, piece) {
                true => count.done += length,
                false => missing.push(piece),
            }
        }
        Ok(Part { read, missing, bytes_added })
    }

    /// Brings what its files consist of.
    fn files(&mut self, part: &mut Part, count: &mut Count) -> Result<(), OffsiteError> {
        let (far, missing) = (self.far, std::mem::take(&mut part.missing));
        let brought = far.each::<Far>(Blob::Data, missing, &mut |id, plain| {
            part.bytes_added += plain.len() as u64 + u64::from(SEAL);
            self.piece(id, &plain, count).map_err(Far)
        });
        brought.map_err(|Far(error)| error)
    }

    fn piece(&mut self, id: [u8; 32], plain: &[u8], count: &mut Count) -> Result<(), OffsiteError> {
        if self.opening.cancel.is_cancelled() {
            return Err(OffsiteError::Cancelled);
        }
        self.author.piece(Blob::Data, plain)?;
        count.done += self.far.stored(id).map_err(OffsiteError::far)?;
        if count.done - count.word >= WORD {
            count.word = count.done;
            self.author.leave_word()?;
        }
        self.tell(count);
        Ok(())
    }

    fn tell(&mut self, count: &Count) {
        (self.tell)(News::Progress { done: count.done, expected: count.expected });
    }

    fn snapshot(&mut self, part: Part, wanted: &Wanted) -> Result<TakenOver, OffsiteError> {
        let Part { read, bytes_added, .. } = part;
        let Wanted { host, tags, .. } = wanted.clone();
        let title = Title { at: read.at, host, paths: read.paths, tags };
        let extent = self.walk.extent(read.tree)?;
        Ok(TakenOver { restic: self.author.snapshot_of(read.tree, &title)?, extent, bytes_added })
    }
}
