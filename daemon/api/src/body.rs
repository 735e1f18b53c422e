//! Request bodies, read so that a mistake names its field.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, web};
use bytes::Bytes;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;
use crate::shape;

/// The largest request body, in bytes. The largest honest one (a tenant with every service and many keys) has a few
/// kilobytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// A JSON body, and its bytes. Taking it never fails, so that whoever may not do something learns nothing else: a
/// handler first asks who it is, and then what they say.
#[derive(Debug)]
pub struct Body<T> {
    /// What it says, or what is wrong with it.
    pub value: Result<T, Problem>,
    /// As it came; empty where it could not be taken.
    pub bytes: Bytes,
    /// Nothing was sent.
    is_empty: bool,
}

impl<T> Body<T> {
    /// What it says; nothing where nothing was sent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn unless_empty(self) -> Result<Option<T>, Problem> {
        if self.is_empty { Ok(None) } else { self.value.map(Some) }
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            Ok(match bytes.await {
                Err(error) => Self { value: Err(unreadable(&error)), bytes: Bytes::new(), is_empty: false },
                Ok(bytes) => Self { value: value(&bytes, json), is_empty: bytes.is_empty(), bytes },
            })
        })
    }
}

fn value<T: DeserializeOwned>(bytes: &[u8], json: bool) -> Result<T, Problem> {
    if !json && !bytes.is_empty() {
        let detail = "the body must be application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON", detail));
    }
    // A POST that has nothing to say may say nothing.
    read(if bytes.is_empty() { b"{}" } else { bytes })
}

/// A name from a path. One that breaks the rules of names names nothing.
///
/// # Errors
/// A problem of status 404.
pub fn named<T: std::str::FromStr>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(what, text))
}

/// The limit that [`Body`] obeys, to be set once for the application.
pub fn limit() -> web::PayloadConfig {
    web::PayloadConfig::new(BODY_LIMIT)
}

fn is_json(request: &HttpRequest) -> bool {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn unreadable(error: &actix_web::Error) -> Problem {
    let status = error.as_response_error().status_code();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("the body must have at most {BODY_LIMIT} bytes");
        return Problem::new(status, "too-large", "Too large", detail);
    }
    Problem::bad_request(format!("the body could not be read: {error}"))
}

/// Reads a JSON object; a value of the wrong shape becomes a problem with its place, its rule and what was expected.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let object = serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer);
    let Object(value) = object.map_err(|error| {
        let path = error.path().clone();
        let inner = error.into_inner();
        if inner.is_data() {
            // Without “at line 1 column 2”, which points into a text that a person may never have seen.
            let text = inner.to_string();
            Problem::from(shape::mistake(&path, text.split(" at line ").next().unwrap_or_default()))
        } else {
            Problem::bad_request(format!("the body is not JSON: {inner}"))
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::bad_request(format!("the body is not one JSON value: {error}")))?;
    Ok(value)
}

/// A struct from a JSON object and nothing else: serde would also take an array of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::TenantDraft;

    fn refused(text: &str) -> (u16, String, String) {
        let problem = read::<TenantDraft>(text.as_bytes()).unwrap_err();
        let first = problem.errors.first();
        (
            problem.status,
            first.map(|e| e.field.clone()).unwrap_or_default(),
            first.map(|e| e.rule.clone()).unwrap_or_default(),
        )
    }

    #[test]
    fn mistakes_name_their_field_and_rule() {
        let whole = r#""name":"a","domain":"b","contact_email":"c","machine":"d""#;
        assert_eq!(refused("{"), (400, String::new(), String::new()));
        assert_eq!(refused("{} {}").0, 422, "a missing field is found before the second value");
        assert_eq!(refused(&format!("{{{whole}}} x")).0, 400);
        assert_eq!(refused(r#"{"name":1}"#), (422, "/name".into(), "type".into()));
        assert_eq!(
            refused(&format!(r#"{{{whole},"nmae":1}}"#)),
            (422, "/nmae".into(), "unknown-field".into())
        );
        assert_eq!(refused(r#"{"name":"a"}"#), (422, "/domain".into(), "required".into()));
        for other in ["[]", r#"["acme"]"#, "null", "7", "\"x\""] {
            assert_eq!(refused(other), (422, String::new(), "type".into()), "{other}");
        }
        assert_eq!(
            refused(&format!(r#"{{{whole},"services":{{"a/b":3}}}}"#)),
            (422, "/services/a~1b".into(), "type".into())
        );
    }
}
