//! More of a bundle arrives. What is here stays here when the sender, the connection or the daemon ends, and it goes on there.

use std::sync::Arc;

use berth_domain::{BundleId, BundleStatus};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::spool::{Spool, SpoolError};

/// A bundle whose next bytes come. As long as this lives, nobody else can send it.
pub struct Arriving {
    file: File,
    received: u64,
    size: u64,
}

impl Spool {
    /// Takes what follows the first `from` bytes of a bundle, which must be what is here.
    ///
    /// # Errors
    /// [`SpoolError::NotFound`], [`SpoolError::Offset`], [`SpoolError::Busy`], [`SpoolError::NoSpace`],
    /// [`SpoolError::Folder`]
    pub fn take(self: &Arc<Self>, id: BundleId, from: u64) -> Result<Arriving, SpoolError> {
        let bundle = self.bundle(id)?;
        if bundle.status != BundleStatus::Receiving {
            return Err(SpoolError::Offset { received: bundle.received });
        }
        let file = super::spool::private().append(true).create(true).open(self.content(id))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(SpoolError::Busy),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        // Somebody else may have sent more until a moment ago.
        let received = file.metadata()?.len();
        if received != from {
            return Err(SpoolError::Offset { received });
        }
        self.has_room(bundle.size.saturating_sub(received))?;
        Ok(Arriving { file: File::from_std(file), received, size: bundle.size })
    }
}

impl Arriving {
    /// Keeps the next bytes.
    ///
    /// # Errors
    /// [`SpoolError::TooLong`], [`SpoolError::NoSpace`], [`SpoolError::Folder`]
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let received = self.received.saturating_add(bytes.len() as u64);
        if received > self.size {
            return Err(SpoolError::TooLong { size: self.size });
        }
        self.file.write_all(bytes).await.map_err(|error| self.full(error))?;
        self.received = received;
        Ok(())
    }

    /// What was written is on the disk. Whether all of the bundle is here.
    ///
    /// # Errors
    /// [`SpoolError::NoSpace`], [`SpoolError::Folder`]
    pub async fn end(mut self) -> Result<bool, SpoolError> {
        self.file.flush().await.map_err(|error| self.full(error))?;
        self.file.sync_all().await.map_err(|error| self.full(error))?;
        Ok(self.received == self.size)
    }

    fn full(&self, error: std::io::Error) -> SpoolError {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                SpoolError::NoSpace { needed: self.size.saturating_sub(self.received), free: 0 }
            }
            _ => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::Timestamp;

    #[tokio::test]
    async fn a_bundle_goes_on_where_it_ended_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::of_nobody(folder.path().to_owned()));
        let id = BundleId::from_u128(7);
        let announce = |size| spool.announce(id, size, "panel".into(), Timestamp::UNIX_EPOCH);
        announce(10).unwrap();
        assert_eq!(announce(10).unwrap().id, id, "it may be said again");
        assert!(matches!(announce(11), Err(SpoolError::Exists)));
        let mut first = spool.take(id, 0).unwrap();
        assert!(matches!(spool.take(id, 0), Err(SpoolError::Busy)));
        first.write(b"12345").await.unwrap();
        assert!(!first.end().await.unwrap());
        assert_eq!(spool.bundle(id).unwrap().received, 5);
        for from in [0, 4, 6] {
            assert!(matches!(spool.take(id, from), Err(SpoolError::Offset { received: 5 })));
        }
        let mut second = spool.take(id, 5).unwrap();
        second.write(b"678").await.unwrap();
        assert!(matches!(second.write(b"9ab").await, Err(SpoolError::TooLong { size: 10 })));
        second.write(b"90").await.unwrap();
        assert!(second.end().await.unwrap());
        assert_eq!(spool.bundle(id).unwrap().status, BundleStatus::Verifying);
        assert!(matches!(spool.take(id, 10), Err(SpoolError::Offset { received: 10 })));
        assert_eq!(std::fs::read(spool.content(id)).unwrap(), b"1234567890");
    }
}
