//! Objects as they come from a bucket: the small ones several at once, through memory; the others piece by piece.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes, BytesMut};
use chrono::{DateTime, Utc};
use md5::{Digest as _, Md5};
use reqwest::Response;
use reqwest::header::HeaderMap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::attributes::ObjectAttributes;
use super::client::{Ask, Bucket, RETRIES, header, next_bytes, whole};
use super::error::BucketError;
use super::listing::Listed;
use crate::storage::Part;

/// Up to how many bytes an object is small.
pub(super) const SMALL: u64 = 1024 * 1024;

/// What a store tells of an object that it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) e_tag: Option<String>,
    pub(super) last_modified: Option<DateTime<Utc>>,
    pub(super) attributes: ObjectAttributes,
}

/// What became of an object that was asked for.
#[derive(Debug)]
pub(super) enum Fetched {
    /// All of it.
    Small(Box<Told>, Bytes),
    /// It is too large for that.
    Large,
    /// Nobody can have it, and why.
    Not(&'static str),
}

impl BucketError {
    /// Why nobody can have an object, although the store is well.
    pub(super) fn without(&self) -> Option<&'static str> {
        match self {
            Self::NoObject => Some("it was removed while the bucket was read"),
            Self::Archived => {
                Some("the store has put it into an archive, from which it would have to be brought first")
            }
            _ => None,
        }
    }
}

impl Bucket {
    /// An object from one of its bytes on; only as long as it is the one that is meant.
    async fn open(&self, key: &str, from: u64, e_tag: Option<&str>) -> Result<(Told, Response), BucketError> {
        let mut headers = HeaderMap::new();
        if from > 0 {
            header(&mut headers, "range", &format!("bytes={from}-"))?;
            let e_tag = e_tag.ok_or(BucketError::Changed)?;
            header(&mut headers, "if-match", e_tag)?;
        }
        let response = self.send(&Ask { key: Some(key), headers, ..Ask::default() }).await?;
        let expected = if from > 0 { 206 } else { 200 };
        if response.status().as_u16() != expected {
            return Err(BucketError::Answer("it is not the part that was asked for".into()));
        }
        let of = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let told = Told {
            e_tag: of("etag").map(str::to_owned),
            last_modified: of("last-modified").and_then(instant),
            attributes: ObjectAttributes::told(response.headers()),
        };
        Ok((told, response))
    }

    /// An object, or a part of it, of so many bytes at the most. It is read anew where the connection breaks.
    ///
    /// # Errors
    /// [`BucketError`]
    pub(crate) async fn bytes(&self, key: &str, part: Part, most: usize) -> Result<Bytes, BucketError> {
        let mut tries = 0;
        loop {
            match self.bytes_once(key, part, most).await {
                Err(error) if error.may_pass() && tries < RETRIES => tries += 1,
                bytes => return bytes,
            }
        }
    }

    async fn bytes_once(&self, key: &str, part: Part, most: usize) -> Result<Bytes, BucketError> {
        let range = match part {
            Part::All => None,
            Part::From(first) => Some(format!("bytes={first}-")),
            Part::Between(first, last) => Some(format!("bytes={first}-{last}")),
            Part::Last(count) => Some(format!("bytes=-{count}")),
        };
        let mut headers = HeaderMap::new();
        if let Some(range) = &range {
            header(&mut headers, "range", range)?;
        }
        let response = self.send(&Ask { key: Some(key), headers, ..Ask::default() }).await?;
        if range.is_some() && response.status().as_u16() != 206 {
            return Err(BucketError::Answer("it is not the part that was asked for".into()));
        }
        Ok(whole(response, most).await?.into())
    }

    /// All of an object that is small. One that changes while it is read is read anew.
    pub(super) async fn fetch(&self, listed: &Listed) -> Result<Fetched, BucketError> {
        if listed.size > SMALL {
            return Ok(Fetched::Large);
        }
        let mut tries = 0;
        loop {
            match self.fetch_once(&listed.key).await {
                Err(error) if error.may_pass() && tries < RETRIES => tries += 1,
                Err(error) => {
                    return error.without().map(Fetched::Not).ok_or_else(|| error.of(&listed.key));
                }
                fetched => return fetched,
            }
        }
    }

    async fn fetch_once(&self, key: &str) -> Result<Fetched, BucketError> {
        let (told, mut response) = self.open(key, 0, None).await?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = next_bytes(&mut response).await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > SMALL {
                return Ok(Fetched::Large);
            }
        }
        Ok(Fetched::Small(Box::new(told), bytes.freeze()))
    }
}

/// An object's content as it comes. Where the connection breaks, it goes on behind the last byte, as long as the object is the same.
pub(super) struct Incoming<'a> {
    bucket: &'a Bucket,
    key: &'a str,
    pub(super) told: Told,
    response: Response,
    /// How many bytes came so far.
    pub(super) received: u64,
    /// How often it broke since something came.
    broke: u32,
}

impl<'a> Incoming<'a> {
    /// Begins to read an object.
    pub(super) async fn open(bucket: &'a Bucket, key: &'a str) -> Result<Self, BucketError> {
        let (told, response) = bucket.open(key, 0, None).await?;
        Ok(Self { bucket, key, told, response, received: 0, broke: 0 })
    }

    /// The next bytes; nothing at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, BucketError> {
        loop {
            match next_bytes(&mut self.response).await {
                Err(error) if error.may_pass() && self.broke < RETRIES => self.go_on().await?,
                Ok(Some(chunk)) => {
                    self.received += chunk.len() as u64;
                    self.broke = 0;
                    return Ok(Some(chunk));
                }
                ended => return ended,
            }
        }
    }

    async fn go_on(&mut self) -> Result<(), BucketError> {
        self.broke += 1;
        let again = self.bucket.open(self.key, self.received, self.told.e_tag.as_deref()).await;
        let (told, response) = match again {
            // The one that was begun is gone.
            Err(BucketError::NoObject) => return Err(BucketError::Changed),
            opened => opened?,
        };
        if told.e_tag != self.told.e_tag {
            return Err(BucketError::Changed);
        }
        self.response = response;
        Ok(())
    }
}

/// An object's content, read on a thread of its own while the runtime brings it.
pub(super) struct Content<'a> {
    incoming: Incoming<'a>,
    runtime: &'a Handle,
    cancel: &'a CancellationToken,
    chunk: Bytes,
    /// How many bytes were read so far.
    pub(super) read: u64,
    sum: Md5,
}

impl<'a> Content<'a> {
    /// Begins to read an object.
    pub(super) fn open(
        bucket: &'a Bucket,
        key: &'a str,
        runtime: &'a Handle,
        cancel: &'a CancellationToken,
    ) -> Result<Self, BucketError> {
        let opened = runtime.block_on(cancel.run_until_cancelled(Incoming::open(bucket, key)));
        let incoming = opened.ok_or(BucketError::Cancelled)??;
        Ok(Self { incoming, runtime, cancel, chunk: Bytes::new(), read: 0, sum: Md5::new() })
    }

    /// What the store tells of it.
    pub(super) fn told(&self) -> Told {
        self.incoming.told.clone()
    }

    /// The MD5 of what came, which most stores call an object by.
    pub(super) fn md5(self) -> String {
        digits(&self.sum.finalize())
    }

    fn next(&mut self) -> Result<Option<Bytes>, BucketError> {
        let next = self.cancel.run_until_cancelled(self.incoming.next());
        self.runtime.block_on(next).ok_or(BucketError::Cancelled)?
    }
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.chunk.is_empty() {
            match self.next().map_err(io::Error::other)? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..length]);
        self.sum.update(&buffer[..length]);
        self.read += length as u64;
        Ok(length)
    }
}

/// An instant as HTTP writes it.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text).ok().map(|instant| instant.to_utc())
}

/// The MD5 of what is in memory.
pub(super) fn md5_of(bytes: &[u8]) -> String {
    digits(&Md5::digest(bytes))
}

/// A sum in hexadecimal digits.
pub(super) fn digits(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}
