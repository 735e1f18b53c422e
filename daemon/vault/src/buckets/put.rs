//! Objects that are put into a bucket: at once, or in parts where they are large.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use reqwest::{Method, Response};
use serde::Deserialize;

use super::client::{Ask, Bucket, whole};
use super::error::{BucketError, code_of};

/// How long a part is at the least, in bytes; what is no longer is sent at once. Each part is in memory while it is sent.
pub(super) const PART: u64 = 16 * 1024 * 1024;

/// How many parts an object has at the most, as S3 has it.
const PARTS: u64 = 10_000;

/// How long an answer about parts may be, in bytes.
const ANSWER: usize = 64 * 1024;

/// An object that is sent in parts. The store shows nothing of it before it is complete.
pub(super) struct Parts<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    upload: String,
    /// What the store calls each part by.
    e_tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Begun {
    upload_id: String,
}

#[derive(Deserialize)]
struct Completed {
    #[serde(rename = "ETag")]
    e_tag: Option<String>,
}

/// How long the parts of an object are, in bytes. Nothing bounds what a foreign store says of a size: see [`largest_of`].
pub(super) fn part_of(size: u64) -> u64 {
    PART.max(size.div_ceil(PARTS))
}

/// How long an object may be, in bytes, so that none of its parts is longer than so many.
pub(super) const fn largest_of(part: u64) -> u64 {
    part.saturating_mul(PARTS)
}

impl Bucket {
    /// Puts a whole object there, in place of what had its key; gives what the store calls it by, where it says so.
    pub(super) async fn put(
        &self,
        key: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Option<String>, BucketError> {
        let ask = Ask { method: Method::PUT, key: Some(key), headers, body, ..Ask::default() };
        Ok(e_tag(&self.send(&ask).await?))
    }

    /// Removes an object, if it is there.
    pub(super) async fn remove(&self, key: &str) -> Result<(), BucketError> {
        match self.send(&Ask { method: Method::DELETE, key: Some(key), ..Ask::default() }).await {
            Ok(_) | Err(BucketError::NoObject) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins to send an object in parts.
    pub(super) async fn begin<'a>(
        &'a self,
        key: &'a str,
        headers: HeaderMap,
    ) -> Result<Parts<'a>, BucketError> {
        let query = vec![("uploads", String::new())];
        let ask = Ask { method: Method::POST, key: Some(key), query, headers, ..Ask::default() };
        let body = text(self.send(&ask).await?).await?;
        let begun: Begun =
            quick_xml::de::from_str(&body).map_err(|error| BucketError::Answer(error.to_string()))?;
        Ok(Parts { bucket: self, key, upload: begun.upload_id, e_tags: Vec::new() })
    }
}

impl Parts<'_> {
    /// Sends the next part.
    pub(super) async fn send(&mut self, body: Bytes) -> Result<(), BucketError> {
        let number = (self.e_tags.len() + 1).to_string();
        let query = vec![("partNumber", number), ("uploadId", self.upload.clone())];
        let ask = Ask { method: Method::PUT, key: Some(self.key), query, body, ..Ask::default() };
        let answer = self.bucket.send(&ask).await?;
        let unnamed = || BucketError::Answer("a part has no name".into());
        self.e_tags.push(e_tag(&answer).ok_or_else(unnamed)?);
        Ok(())
    }

    /// Has the store make an object of them; gives what it calls that by, where it says so.
    pub(super) async fn complete(&self) -> Result<Option<String>, BucketError> {
        let part = |(number, e_tag): (usize, &String)| {
            let e_tag = quick_xml::escape::escape(e_tag.as_str());
            format!("<Part><PartNumber>{}</PartNumber><ETag>{e_tag}</ETag></Part>", number + 1)
        };
        let parts: String = self.e_tags.iter().enumerate().map(part).collect();
        let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>").into();
        let query = vec![("uploadId", self.upload.clone())];
        let ask = Ask { method: Method::POST, key: Some(self.key), query, body, ..Ask::default() };
        let body = text(self.bucket.send(&ask).await?).await?;
        // It begins to answer before it knows how that ends.
        match code_of(body.as_bytes()) {
            code if code.is_empty() => {
                Ok(quick_xml::de::from_str::<Completed>(&body).ok().and_then(|completed| completed.e_tag))
            }
            code => Err(BucketError::Status { status: 200, code }),
        }
    }

    /// Has the store throw away what was sent.
    pub(super) async fn abort(&self) {
        let query = vec![("uploadId", self.upload.clone())];
        let ask = Ask { method: Method::DELETE, key: Some(self.key), query, ..Ask::default() };
        if let Err(error) = self.bucket.send(&ask).await {
            tracing::warn!(bucket = self.bucket.name(), %error, "parts of an object are left in a bucket");
        }
    }
}

/// What a store calls by an answer what it was sent.
fn e_tag(answer: &Response) -> Option<String> {
    answer.headers().get("etag").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

async fn text(answer: Response) -> Result<String, BucketError> {
    let body = whole(answer, ANSWER).await?;
    String::from_utf8(body).map_err(|error| BucketError::Answer(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_any_size_has_no_more_parts_than_a_store_takes() {
        for size in [0, 1, PART, PART + 1, 5 << 40] {
            assert!(size.div_ceil(part_of(size)) <= PARTS, "{size}");
        }
        assert_eq!(part_of(5 << 40) / (1 << 20), 524);
        assert_eq!((part_of(largest_of(PART)), part_of(largest_of(PART) + 1)), (PART, PART + 1));
    }
}
