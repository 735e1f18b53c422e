//! The bucket that objects are moved from. There is nothing here that would write to it.

use super::super::error::BucketError;
use super::super::fetch::Incoming;
use super::super::listing::Pages;
use super::super::{Bucket, BucketConfig, Reach};
use crate::storage::Part;

/// A bucket that is only read.
#[derive(Debug, Clone)]
pub struct Origin(Bucket);

impl Origin {
    /// A bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BucketError::In`] where its address is none, or out of reach.
    pub fn new(config: &BucketConfig, reach: &Reach) -> Result<Self, BucketError> {
        Bucket::new(config, reach).map(Self).map_err(BucketError::in_the_old)
    }

    /// Everything in it, page by page.
    pub(super) fn pages(&self) -> Pages<'_> {
        self.0.pages("")
    }

    /// Whether it has an object of this key.
    pub(super) async fn has(&self, key: &str) -> Result<bool, BucketError> {
        let listed = self.0.list_below(key).await.map_err(BucketError::in_the_old)?;
        Ok(listed.iter().any(|listed| listed.key == key))
    }

    /// Whether it lets itself be listed and read, as far as one of its objects tells that.
    pub(super) async fn can_be_read(&self) -> Result<(), BucketError> {
        let any = self.0.list_any().await.map_err(BucketError::in_the_old)?;
        let Some(object) = any.into_iter().find(|object| object.size > 0) else { return Ok(()) };
        match self.0.bytes(&object.key, Part::Between(0, 0), 1).await {
            // It was removed meanwhile, or may be brought out of its archive until then.
            Err(error) if error.without().is_some() => Ok(()),
            read => read.map(drop).map_err(|error| error.of(&object.key).in_the_old()),
        }
    }

    /// Begins to read an object.
    pub(super) async fn open<'a>(&'a self, key: &'a str) -> Result<Incoming<'a>, BucketError> {
        Incoming::open(&self.0, key).await
    }
}
