//! Whether objects could be moved from one bucket into another: asked before anything is changed.

use uuid::Uuid;

use super::super::Bucket;
use super::super::error::BucketError;
use super::Origin;

/// What the key begins with of an object that is put into a new bucket and removed again.
const PROBE: &str = "berth-probe-";

/// Looks whether the old bucket can be read and the new one be written to; an object of no content is put there and removed again. Tells
/// whether both are the same, whatever they are called by: then the object is seen in the old one.
///
/// # Errors
/// [`BucketError`], which says of which of the two.
pub async fn can_move(from: &Origin, into: &Bucket) -> Result<bool, BucketError> {
    from.can_be_read().await?;
    let key = format!("{PROBE}{}", Uuid::now_v7());
    let put = into.put(&key, reqwest::header::HeaderMap::new(), bytes::Bytes::new()).await;
    put.map_err(BucketError::in_the_new)?;
    let seen = seen(from, into, &key).await;
    into.remove(&key).await.map_err(BucketError::in_the_new)?;
    seen
}

async fn seen(from: &Origin, into: &Bucket, key: &str) -> Result<bool, BucketError> {
    into.list_below(key).await.map_err(BucketError::in_the_new)?;
    from.has(key).await
}
