//! What is said of buckets and of the objects in them, beside what is said of every entry.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What an object has beside its content and its media type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectAbout {
    /// How long it may be kept by those in between (`Cache-Control`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// Whether it is shown or saved, and as what (`Content-Disposition`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// How its content is packed (`Content-Encoding`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Which language it is in (`Content-Language`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// What whoever put it there noted, without `x-amz-meta-` before the names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "once")]
    pub metadata: BTreeMap<String, String>,
}

impl ObjectAbout {
    /// Whether there is nothing to be said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where a bucket was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketAbout {
    /// The store's address.
    pub endpoint: String,
    /// The store's region.
    pub region: String,
}

/// A map in which no member is there twice.
fn once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    struct Once;

    impl<'de> Visitor<'de> for Once {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = members.next_entry::<String, String>()? {
                if map.insert(name, value).is_some() {
                    return Err(A::Error::custom("a member is there twice"));
                }
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Once)
}

#[cfg(test)]
mod tests {
    use crate::entry::Entry;

    #[test]
    fn what_an_object_has_is_a_member_of_its_entry_and_is_there_once() {
        let line = |object: &str| {
            format!(
                r#"{{"path":"services/a/buckets/b/c","kind":"directory","mode":"0755","uid":0,"gid":0,"mtime":0,"object":{object}}}"#
            )
        };
        let text = line(r#"{"cache_control":"no-store","metadata":{"from":"far away"}}"#);
        let entry: Entry = serde_json::from_str(&text).unwrap();
        let object = entry.meta.object.as_ref().unwrap();
        assert_eq!(
            (object.cache_control.as_deref(), object.metadata["from"].as_str()),
            (Some("no-store"), "far away")
        );
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        assert!(serde_json::from_str::<Entry>(&line(r#"{"later":[1],"metadata":{}}"#)).is_ok());
        for wrong in [
            r#"{"metadata":{"a":"1","a":"2"}}"#,
            r#"{"metadata":{"a":1}}"#,
            r#"{"cache_control":"a","cache_control":"b"}"#,
            "1",
        ] {
            assert!(serde_json::from_str::<Entry>(&line(wrong)).is_err(), "{wrong}");
        }
    }
}
