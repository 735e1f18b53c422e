//! Taking an upload: streamed, measured while it comes, and kept only if it is what its name says.

use std::sync::Arc;
use std::time::Duration;

use actix_web::error::PayloadError;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use crate::ledger::{Account, Reservation};
use crate::limits::{Limits, spare};
use crate::name::RepositoryName;
use crate::object::{Key, Sum};
use crate::refused::Refused;
use crate::storage::{Draft, Kept, Part, StorageError};
use crate::vault::{Inner, Vault};

/// An upload.
pub(crate) struct Upload<'a> {
    pub(crate) vault: &'a Vault,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) key: Key,
    /// What the repository may have, in bytes.
    pub(crate) quota: Option<u64>,
    /// How many bytes were announced.
    pub(crate) announced: Option<u64>,
}

impl Upload<'_> {
    /// Takes the upload. Whatever it is refused for, the rest of it is read.
    pub(crate) async fn take<S>(&self, payload: S) -> Result<(), Refused>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let mut body = Body::new(payload, &self.inner().limits);
        let outcome = self.take_body(&mut body).await;
        if outcome.is_err() {
            body.discard(self.inner().limits.object_bytes).await;
        }
        outcome
    }

    async fn take_body<S>(&self, body: &mut Body<S>) -> Result<(), Refused>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let inner = self.inner();
        if self.announced.is_some_and(|bytes| bytes > inner.limits.largest(&self.key)) {
            return Err(Refused::TooLarge);
        }
        let account = inner.ledger.account(&*inner.storage, self.repository).await?;
        let _turns = self.turns(&account).await?;
        match inner.storage.size(self.repository, &self.key).await {
            Ok(_) => self.compare(body).await,
            Err(StorageError::NotFound) => self.add(body, account.clone()).await,
            Err(error) => Err(error.into()),
        }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.vault.inner
    }

    async fn turns<'a>(&'a self, account: &'a Account) -> Result<[SemaphorePermit<'a>; 2], Refused> {
        let patience = self.inner().limits.idle;
        Ok([turn(&account.turns, patience).await?, turn(&self.inner().turns, patience).await?])
    }

    /// There is one of this name. A client that lost our answer sends again what we have, which is no failure; nothing is
    /// ever replaced.
    async fn compare<S>(&self, body: &mut Body<S>) -> Result<(), Refused>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let largest = self.inner().limits.largest(&self.key);
        let mut content = Measured::default();
        while let Some(bytes) = body.next().await? {
            content.add(&bytes);
            if content.size > largest {
                return Err(Refused::TooLarge);
            }
        }
        match self.key {
            Key::Object(_, sum) => content.is(sum),
            Key::Config => {
                let there = self.sum_of_config().await?;
                content.is(there).map_err(|_| Refused::ThereAlready)
            }
        }
    }

    async fn sum_of_config(&self) -> Result<Sum, Refused> {
        let content = self.inner().storage.get(self.repository, &Key::Config, Part::All).await?;
        let mut bytes = content.bytes;
        let mut whole = BytesMut::new();
        while let Some(some) = bytes.next().await {
            let failed = |source| StorageError::Folder { what: "cannot read the config".into(), source };
            whole.extend_from_slice(&some.map_err(failed)?);
        }
        Ok(Sum::new(Sha256::digest(&whole).into()))
    }

    async fn add<S>(&self, body: &mut Body<S>, account: Arc<Account>) -> Result<(), Refused>
    where
        S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    {
        let inner = self.inner();
        let limit = self.quota.map(|quota| quota.saturating_add(spare(&self.key, quota)));
        let mut room = account.reserve(limit);
        if !room.cover(self.announced.unwrap_or(0)) {
            return Err(Refused::QuotaReached);
        }
        let mut draft = inner.storage.begin(self.repository, &self.key).await?;
        let mut content = Measured::default();
        while let Some(bytes) = body.next().await? {
            content.add(&bytes);
            if content.size > inner.limits.largest(&self.key) {
                return Err(Refused::TooLarge);
            }
            if !room.cover(content.size) {
                return Err(Refused::QuotaReached);
            }
            draft.write(bytes).await?;
        }
        let size = content.size;
        if self.announced.is_some_and(|bytes| bytes != size) {
            return Err(Refused::Cut);
        }
        if let Key::Object(_, sum) = self.key {
            content.is(sum)?;
        }
        let finished = Finished { inner: inner.clone(), account, draft, room, size };
        // What is kept is also counted, whoever waits.
        let (repository, key) = (self.repository.clone(), self.key);
        tokio::spawn(finished.keep(repository, key)).await.map_err(|_| StorageError::BrokenOff)?
    }
}

/// Reads an upload that is refused: clients that are still sending would not hear the answer, and try again for long.
pub(crate) async fn discard<S>(payload: S, limits: &Limits)
where
    S: Stream<Item = Result<Bytes, PayloadError>> + Unpin,
{
    Body::new(payload, limits).discard(limits.object_bytes).await;
}

async fn turn(turns: &Semaphore, patience: Duration) -> Result<SemaphorePermit<'_>, Refused> {
    let turn = timeout(patience, turns.acquire()).await.map_err(|_| Refused::Busy)?;
    turn.map_err(|_| Refused::Busy)
}

/// An upload that has come as a whole.
struct Finished {
    inner: Arc<Inner>,
    account: Arc<Account>,
    draft: Box<dyn Draft>,
    room: Reservation,
    size: u64,
}

impl Finished {
    async fn keep(self, repository: RepositoryName, key: Key) -> Result<(), Refused> {
        if key == Key::Config {
            // Not every place refuses a second one by itself, and two configs would make two repositories of one.
            let current = self.account.current.write().await;
            let there = self.inner.storage.size(&repository, &key).await;
            match (*current, there) {
                (false, _) => return Err(Refused::NotFound),
                (true, Ok(_)) => return Err(Refused::ThereAlready),
                (true, Err(StorageError::NotFound)) => {}
                (true, Err(error)) => return Err(error.into()),
            }
            return Self::count(self.draft, self.room, self.size).await;
        }
        let current = self.account.current.read().await;
        if !*current {
            return Err(Refused::NotFound);
        }
        let _turn = self.account.turn(&key).await;
        Self::count(self.draft, self.room, self.size).await
    }

    async fn count(draft: Box<dyn Draft>, room: Reservation, size: u64) -> Result<(), Refused> {
        if draft.keep().await? == Kept::New {
            room.kept(size);
        }
        Ok(())
    }
}

/// How much came, and its sum.
#[derive(Default)]
struct Measured {
    size: u64,
    sum: Sha256,
}

impl Measured {
    fn add(&mut self, bytes: &[u8]) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        self.sum.update(bytes);
    }

    fn is(self, sum: Sum) -> Result<(), Refused> {
        if Sum::new(self.sum.finalize().into()) == sum { Ok(()) } else { Err(Refused::WrongSum) }
    }
}

/// What a client sends, within its time.
struct Body<S> {
    payload: S,
    idle: Duration,
    end: Instant,
    /// Nothing more is worth waiting for.
    over: bool,
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Body<S> {
    fn new(payload: S, limits: &Limits) -> Self {
        Self { payload, idle: limits.idle, end: Instant::now() + limits.upload, over: false }
    }

    /// The next bytes; nothing at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refused> {
        let until = self.end.min(Instant::now() + self.idle);
        let next = timeout_at(until, self.payload.next()).await;
        self.over = !matches!(next, Ok(Some(Ok(_))));
        match next {
            Err(_) => Err(Refused::Slow),
            Ok(Some(Err(error))) => Err(broken(&error)),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(None) => Ok(None),
        }
    }

    /// Reads what is left, up to so many bytes.
    async fn discard(&mut self, mut most: u64) {
        while !self.over
            && let Ok(Some(bytes)) = self.next().await
        {
            most = most.saturating_sub(bytes.len() as u64);
            self.over |= most == 0;
        }
    }
}

fn broken(error: &PayloadError) -> Refused {
    match error {
        PayloadError::Overflow => Refused::TooLarge,
        _ => Refused::Cut,
    }
}
