//! An object that is sent in parts; the store shows nothing of it before it is complete.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload, WriteMultipart};

use super::{SMALL, within};
use crate::storage::{Draft, Kept, StorageError};

/// The size of a part in bytes: the least that S3 takes, as each upload holds up to two in memory.
const PART: usize = 5 * 1024 * 1024;

/// How long the store may take for a part, all attempts included.
const FOR_A_PART: Duration = Duration::from_secs(3 * 60);

/// An object that is small so far, or one that is under way already.
pub(super) struct S3Draft {
    store: AmazonS3,
    path: Path,
    sent: Sent,
}

enum Sent {
    Nothing { held: Vec<Bytes>, size: usize },
    Parts(WriteMultipart),
}

impl S3Draft {
    pub(super) fn new(store: AmazonS3, path: Path) -> Self {
        Self { store, path, sent: Sent::nothing() }
    }

    async fn start(&mut self) -> Result<(), StorageError> {
        if let Sent::Nothing { held, size } = &mut self.sent
            && *size > PART
        {
            let upload = within(SMALL, self.store.put_multipart(&self.path)).await?;
            let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
            std::mem::take(held).into_iter().for_each(|bytes| parts.put(bytes));
            self.sent = Sent::Parts(parts);
        }
        Ok(())
    }
}

impl Sent {
    fn nothing() -> Self {
        Self::Nothing { held: Vec::new(), size: 0 }
    }
}

#[async_trait]
impl Draft for S3Draft {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        match &mut self.sent {
            Sent::Nothing { held, size } => {
                *size += bytes.len();
                held.push(bytes);
                self.start().await
            }
            Sent::Parts(parts) => {
                // One part is sent while the next one comes.
                within(FOR_A_PART, parts.wait_for_capacity(1)).await?;
                parts.put(bytes);
                Ok(())
            }
        }
    }

    async fn keep(mut self: Box<Self>) -> Result<Kept, StorageError> {
        match within(SMALL, self.store.head(&self.path)).await {
            Ok(_) => return Ok(Kept::ThereAlready),
            Err(StorageError::NotFound) => {}
            Err(error) => return Err(error),
        }
        match std::mem::replace(&mut self.sent, Sent::nothing()) {
            Sent::Nothing { held, .. } => {
                let payload = held.into_iter().collect::<PutPayload>();
                within(FOR_A_PART, self.store.put(&self.path, payload)).await?;
            }
            Sent::Parts(parts) => {
                within(FOR_A_PART, parts.finish()).await?;
            }
        }
        Ok(Kept::New)
    }
}

impl Drop for S3Draft {
    /// Parts that were sent are told to be thrown away, as the store would keep them.
    fn drop(&mut self) {
        let sent = std::mem::replace(&mut self.sent, Sent::nothing());
        if let (Sent::Parts(parts), Ok(runtime)) = (sent, tokio::runtime::Handle::try_current()) {
            let path = self.path.clone();
            runtime.spawn(async move {
                if let Err(error) = within(SMALL, parts.abort()).await {
                    tracing::warn!(%path, %error, "parts of an upload that was broken off are left in the bucket");
                }
            });
        }
    }
}

impl fmt::Debug for S3Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3Draft({})", self.path)
    }
}
