//! What an object has beside its content, as a store tells of it and is told.

use std::collections::BTreeMap;

use berth_bundle::{Meta, ObjectAbout};
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};

use super::client::header;
use super::error::BucketError;

/// What the names of an object's own metadata begin with.
const OWN: &str = "x-amz-meta-";

/// How long all of it may be, in bytes. Amazon's own metadata have 2 KiB, and all headers of a request some eight.
const MOST: usize = 16 * 1024;

/// What an object has beside its content. Who may read it (Amazon's access control lists) is not in it: a store does not say so with
/// the object, and newer ones do not have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAttributes {
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// How long it may be kept by those in between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Whether it is shown or saved, and as what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// How its content is packed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Which language it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// What whoever put it there noted, without `x-amz-meta-` before the names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl ObjectAttributes {
    /// What a bundle says of an object.
    pub fn carried(meta: &Meta) -> Self {
        let object = meta.object.clone().unwrap_or_default();
        let ObjectAbout { cache_control, content_disposition, content_encoding, content_language, metadata } =
            object;
        let content_type = meta.media_type.clone();
        Self {
            content_type,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            metadata,
        }
    }

    /// The same, as a bundle is to say it.
    #[must_use]
    pub fn carry(self, meta: Meta) -> Meta {
        let Self {
            content_type,
            cache_control,
            content_disposition,
            content_encoding,
            content_language,
            metadata,
        } = self;
        let object =
            ObjectAbout { cache_control, content_disposition, content_encoding, content_language, metadata };
        Meta { media_type: content_type, object: Some(object).filter(|it| !it.is_empty()), ..meta }
    }

    /// Whether a store can be told of it at all: texts without line feeds, and no more of them than stores take.
    pub fn can_be_told(&self) -> bool {
        self.headers().is_ok()
    }

    /// How long everything is together, in bytes.
    fn length(&self) -> usize {
        let known = self.known().into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let known = known.map(|(name, value)| name.len() + value.len());
        let own = self.metadata.iter().map(|(name, value)| OWN.len() + name.len() + value.len());
        known.chain(own).fold(0, usize::saturating_add)
    }

    fn known(&self) -> [(&'static str, &Option<String>); 5] {
        [
            ("content-type", &self.content_type),
            ("cache-control", &self.cache_control),
            ("content-disposition", &self.content_disposition),
            ("content-encoding", &self.content_encoding),
            ("content-language", &self.content_language),
        ]
    }

    /// What a store tells of an object.
    pub(super) fn told(headers: &HeaderMap) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let of = |name: &str| headers.get(name).map(|value| text(value.as_bytes()));
        let own = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix(OWN)?;
            Some((name.to_owned(), text(value.as_bytes())))
        });
        Self {
            content_type: of("content-type"),
            cache_control: of("cache-control"),
            content_disposition: of("content-disposition"),
            content_encoding: of("content-encoding"),
            content_language: of("content-language"),
            metadata: own.collect(),
        }
    }

    /// What a store is told of an object.
    pub(super) fn headers(&self) -> Result<HeaderMap, BucketError> {
        // A map of headers has only so many, and a store takes fewer.
        if self.length() > MOST {
            return Err(BucketError::Record(format!("its attributes have more than {MOST} bytes")));
        }
        // Names of headers are the same whatever their case: one of two would be lost.
        if self.metadata.keys().any(|name| name.bytes().any(|byte| byte.is_ascii_uppercase())) {
            return Err(BucketError::Record("a name of its metadata has capital letters".into()));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in self.known() {
            if let Some(value) = value {
                header(&mut headers, name, value)?;
            }
        }
        for (name, value) in &self.metadata {
            header(&mut headers, &format!("{OWN}{name}"), value)?;
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_as_they_were_and_nothing_else_is_one() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "image/webp"),
            ("cache-control", "max-age=60"),
            ("content-disposition", "inline; filename=\"\u{e4}\""),
            ("content-encoding", "gzip"),
            ("content-language", "de"),
            ("x-amz-meta-origin", "far"),
        ] {
            header(&mut headers, name, value).unwrap();
        }
        let told = ObjectAttributes::told(&headers);
        assert_eq!(told.headers().unwrap(), headers);
        header(&mut headers, "x-amz-request-id", "1").unwrap();
        header(&mut headers, "content-length", "1").unwrap();
        assert_eq!(ObjectAttributes::told(&headers), told);
        let text = serde_json::to_string(&told).unwrap();
        assert_eq!(serde_json::from_str::<ObjectAttributes>(&text).unwrap(), told);
        assert!(told.can_be_told());
        let meta = told.clone().carry(Meta::made(berth_bundle::FileMode::FILE, 0));
        assert_eq!(meta.media_type.as_deref(), Some("image/webp"));
        assert_eq!(ObjectAttributes::carried(&meta), told);
        let plain = ObjectAttributes::default().carry(Meta::made(berth_bundle::FileMode::FILE, 0));
        assert_eq!(plain.object, None);
        let named = |names: Vec<String>| ObjectAttributes {
            metadata: names.into_iter().map(|name| (name, String::new())).collect(),
            ..Default::default()
        };
        assert!(named(vec!["a".into(), "b-c".into()]).can_be_told());
        assert!(!named(vec!["A".into(), "a".into()]).can_be_told(), "a store would keep one of them");
        // A map of headers has room for fewer than a line of a bundle may name.
        assert!(!named((0..50_000).map(|number| format!("n{number}")).collect()).can_be_told());
        let long = ObjectAttributes { content_language: Some("d".repeat(MOST)), ..Default::default() };
        assert!(!long.can_be_told());
        let forged = ObjectAttributes { content_type: Some("a\nb: c".into()), ..Default::default() };
        assert!(matches!(forged.headers(), Err(BucketError::Record(_))) && !forged.can_be_told());
    }
}
