//! A repository that lies elsewhere: that of a tenant whose provider is gone, in a bucket or in a folder. It is opened with its password,
//! whoever made it, looked into, and what is wanted of it taken over into a repository of ours.
//!
//! All of it comes from a stranger, the password included. What is read was sealed with the repository's keys and has the sum that it is
//! called by; nothing that it says is used as a path of this host; and everything of it that is held in memory has a bound.
//!
//! | module | subject |
//! | --- | --- |
//! | `place` | where it lies |
//! | `unlock` | its keys, by its password |
//! | `walk` | what a snapshot consists of |
//! | `take_over` | into a repository of ours |
//! | `error` | why not |

mod error;
mod place;
mod take_over;
mod unlock;
mod walk;

use std::ops::Deref;

use secrecy::SecretString;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::reader::{Reader, Source};
use walk::Walk;

pub use error::OffsiteError;
pub use place::{Location, Reaching};
pub use take_over::{TakenOver, TakingOver, Wanted};
pub use walk::Extent;

/// A repository that lies elsewhere, opened. It reads as any [`Reader`] does.
pub struct Offsite {
    reader: Reader,
    /// The repository's own id, which it has wherever it is copied to.
    pub id: String,
}

/// How a repository is reached, and until when.
#[derive(Clone)]
pub struct Opening {
    /// Where it lies.
    pub location: Location,
    /// What it is encrypted with.
    pub password: SecretString,
    /// Which places may be reached.
    pub reaching: Reaching,
    /// Ends it.
    pub cancel: CancellationToken,
}

impl Opening {
    /// Opens the repository and has somebody look into it, on a thread for that.
    ///
    /// # Errors
    /// [`OffsiteError`], and whatever `work` says.
    pub async fn look<T, E>(
        self,
        work: impl FnOnce(&Offsite) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<OffsiteError> + Send + 'static,
    {
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || work(&Offsite::open(&self, runtime)?)).await;
        done.unwrap_or_else(|_| Err(OffsiteError::BrokenOff.into()))
    }
}

impl Offsite {
    /// Opens a repository, from a thread that may wait.
    pub(crate) fn open(opening: &Opening, runtime: Handle) -> Result<Self, OffsiteError> {
        let place = opening.location.place(&opening.reaching)?;
        let source = Source { place, runtime, stop: opening.cancel.clone() };
        let (keys, id) = unlock::unlock(&source, &opening.password)?;
        Ok(Self { reader: Reader::new(source, keys), id })
    }

    /// How much there is below trees, whichever of them holds it how often.
    ///
    /// # Errors
    /// [`OffsiteError`]
    pub fn extents(&self, trees: &[[u8; 32]]) -> Result<Vec<Extent>, OffsiteError> {
        let mut walk = Walk::default();
        for tree in trees {
            walk.add(self, *tree, &mut |_, _| Ok(()))?;
        }
        trees.iter().map(|tree| walk.extent(*tree)).collect()
    }
}

impl Deref for Offsite {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}
