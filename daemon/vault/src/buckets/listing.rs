//! What is in a bucket, page by page.

use chrono::{DateTime, Utc};
use form_urlencoded::parse as form_parse;
use serde::Deserialize;

use super::client::{Ask, Bucket, whole};
use super::error::BucketError;

/// How many objects a page has at the most, as S3 has it.
const PAGE: usize = 1_000;

/// How many objects are asked for where any will do.
const ANY: usize = 10;

/// How many objects a bucket may have that is copied: each takes some 200 bytes of memory.
const MOST: usize = 5_000_000;

/// How many bytes all their keys may have together.
const MOST_BYTES: usize = 1024 * 1024 * 1024;

/// How long a key may be as it is escaped, in bytes; Amazon has 1,024 without that.
const LONGEST_KEY: usize = 4 * 1024;

/// How long a page may be, in bytes: keys of 1024 bytes, each of them escaped, and what stands beside them.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// An object, as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// What tells its content from another, as the store writes it.
    pub e_tag: Option<String>,
    /// When it was put there.
    pub last_modified: DateTime<Utc>,
}

impl Listed {
    /// Whether somebody tells of the same content of this key: by what the store calls it; where that is not said, by its time, which HTTP
    /// has to the second.
    pub(super) fn is_told_of(&self, e_tag: Option<&String>, at: Option<DateTime<Utc>>) -> bool {
        if let (Some(_), Some(_)) = (e_tag, &self.e_tag) {
            return same_e_tag(e_tag, self.e_tag.as_ref());
        }
        at.is_none_or(|at| at.timestamp() == self.last_modified.timestamp())
    }
}

/// Whether stores call something by the same; not where one says nothing. Some write quotes in one answer and none in another.
pub(super) fn same_e_tag(one: Option<&String>, other: Option<&String>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return false };
    one.trim_matches('"') == other.trim_matches('"')
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    contents: Vec<Contents>,
    #[serde(default)]
    is_truncated: bool,
    next_continuation_token: Option<String>,
    encoding_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Contents {
    key: String,
    size: u64,
    last_modified: DateTime<Utc>,
    #[serde(rename = "ETag")]
    e_tag: Option<String>,
}

impl Bucket {
    /// Everything in it. It is held in memory: some 200 bytes of each object.
    ///
    /// # Errors
    /// [`BucketError`]
    pub async fn list(&self) -> Result<Vec<Listed>, BucketError> {
        self.list_below("").await
    }

    /// Some objects, if there are any: whether it can be listed at all.
    pub(super) async fn list_any(&self) -> Result<Vec<Listed>, BucketError> {
        let query = vec![
            ("encoding-type", "url".to_owned()),
            ("list-type", "2".to_owned()),
            ("max-keys", ANY.to_string()),
        ];
        let answer = self.send(&Ask { query, ..Ask::default() }).await?;
        Ok(read(&whole(answer, PAGE_BYTES).await?)?.0)
    }

    /// Everything in it whose key begins so.
    ///
    /// # Errors
    /// [`BucketError`]
    pub async fn list_below(&self, prefix: &str) -> Result<Vec<Listed>, BucketError> {
        let (mut all, mut bytes): (Vec<Listed>, usize) = (Vec::new(), 0);
        let mut pages = self.pages(prefix);
        while let Some(listed) = pages.next().await? {
            bytes += listed.iter().map(|listed| listed.key.len()).sum::<usize>();
            all.extend(listed);
            if all.len() > MOST || bytes > MOST_BYTES {
                return Err(BucketError::Answer(format!(
                    "it has more than {MOST} objects, or {MOST_BYTES} bytes of keys"
                )));
            }
        }
        // One that came while it was listed may be told of twice.
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all.dedup_by(|one, other| one.key == other.key);
        Ok(all)
    }

    /// The same page by page, in the order of the store's.
    pub(super) fn pages(&self, prefix: &str) -> Pages<'_> {
        Pages { bucket: self, prefix: prefix.to_owned(), before: None, over: false }
    }
}

/// What a bucket has, page by page.
pub(super) struct Pages<'a> {
    bucket: &'a Bucket,
    prefix: String,
    /// What has led to the page that came last.
    before: Option<String>,
    over: bool,
}

impl Pages<'_> {
    /// The next page; nothing behind the last one.
    ///
    /// # Errors
    /// [`BucketError`]
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Listed>>, BucketError> {
        if self.over {
            return Ok(None);
        }
        let mut query = vec![
            ("encoding-type", "url".to_owned()),
            ("list-type", "2".to_owned()),
            ("max-keys", PAGE.to_string()),
        ];
        query.extend((!self.prefix.is_empty()).then(|| ("prefix", self.prefix.clone())));
        query.extend(self.before.clone().map(|token| ("continuation-token", token)));
        let answer = self.bucket.send(&Ask { query, ..Ask::default() }).await?;
        let (listed, next) = read(&whole(answer, PAGE_BYTES).await?)?;
        match next {
            None => self.over = true,
            // It would never end.
            next if next == self.before => {
                return Err(BucketError::Answer("the list goes in a circle".into()));
            }
            next => self.before = next,
        }
        Ok(Some(listed))
    }
}

/// A page's objects, and what leads to the next one.
fn read(body: &[u8]) -> Result<(Vec<Listed>, Option<String>), BucketError> {
    let unreadable = |error: String| BucketError::Answer(error);
    let text = std::str::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
    // What cannot be read may be anybody's, and is not repeated.
    let page: Page = quick_xml::de::from_str(text).map_err(|_| unreadable("its list is no list".into()))?;
    if page.contents.len() > PAGE || page.contents.iter().any(|object| object.key.len() > LONGEST_KEY) {
        return Err(unreadable("its list is longer than was asked for".into()));
    }
    let escaped = page.encoding_type.as_deref() == Some("url");
    let listed = page.contents.into_iter().map(|object| Listed {
        key: if escaped { unescaped(&object.key) } else { object.key },
        size: object.size,
        e_tag: object.e_tag,
        last_modified: object.last_modified,
    });
    let listed = listed.collect();
    match (page.is_truncated, page.next_continuation_token) {
        (true, None) => Err(unreadable("there is more, and nothing leads to it".into())),
        (true, next) => Ok((listed, next)),
        (false, _) => Ok((listed, None)),
    }
}

/// A key that was escaped as the values of forms are: XML has no room for every character.
fn unescaped(key: &str) -> String {
    // It is one value, whatever is in it.
    let key = key.replace('&', "%26").replace('=', "%3D");
    form_parse(key.as_bytes()).next().map(|(key, _)| key.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_with_keys_of_any_characters() {
        let page = br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name><Prefix></Prefix>
            <EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><KeyCount>2</KeyCount>
            <Contents><Key>a%2Fb%20c+d%2B%C3%A4%0A&amp;=</Key><LastModified>2026-11-26T02:41:07.123Z</LastModified>
            <ETag>&quot;0123&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>
            <Contents><Key>z</Key><LastModified>2026-11-26T02:41:07Z</LastModified><Size>0</Size></Contents>
            <NextContinuationToken>next</NextContinuationToken></ListBucketResult>"#;
        let (listed, next) = read(page).unwrap();
        assert_eq!(next.as_deref(), Some("next"));
        assert_eq!((listed[0].key.as_str(), listed[0].size), ("a/b c d+\u{e4}\n&=", 7));
        assert_eq!(listed[0].e_tag.as_deref(), Some("\"0123\""));
        assert_eq!((listed[1].key.as_str(), &listed[1].e_tag), ("z", &None));
        assert_eq!(listed[0].last_modified.timestamp_subsec_millis(), 123);
        let empty = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(read(empty).unwrap(), (Vec::new(), None));
    }

    #[test]
    fn an_object_is_known_by_what_the_store_calls_it_or_by_its_second() {
        let at = DateTime::from_timestamp(7, 123_000_000).unwrap();
        let named = Listed { key: "a".into(), size: 1, e_tag: Some("\"x\"".into()), last_modified: at };
        let nameless = Listed { e_tag: None, ..named.clone() };
        let (x, y) = ("x".to_owned(), "y".to_owned());
        assert!(named.is_told_of(Some(&x), None) && !named.is_told_of(Some(&y), Some(at)));
        let (same, later) = (DateTime::from_timestamp(7, 0), DateTime::from_timestamp(8, 0));
        for (listed, e_tag) in [(&named, None), (&nameless, Some(&x)), (&nameless, None)] {
            assert!(listed.is_told_of(e_tag, same) && !listed.is_told_of(e_tag, later));
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        let endless = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>";
        for wrong in [&b"<html>"[..], b"\xff", endless] {
            assert!(matches!(read(wrong), Err(BucketError::Answer(_))));
        }
    }
}
