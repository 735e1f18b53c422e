//! Request bodies, read so that a mistake names its field.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::{StatusCode, header};
use actix_web::{FromRequest, HttpRequest, web};
use berth_domain::Invalid;
use berth_domain::invalid::pointer_segment;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::problem::Problem;

/// The largest request body, in bytes. The largest honest one (a tenant with every service and many keys) has a few
/// kilobytes.
pub const BODY_LIMIT: usize = 256 * 1024;

/// A JSON body, and its bytes.
#[derive(Debug, Clone)]
pub struct Body<T> {
    /// What it says.
    pub value: T,
    /// As it came.
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let bytes = Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = bytes.await.map_err(|error| unreadable(&error))?;
            if !json && !bytes.is_empty() {
                let detail = "the body must be application/json";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON", detail));
            }
            // A POST that has nothing to say may say nothing.
            let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
            Ok(Self { value: read(text)?, bytes })
        })
    }
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

/// Reads JSON; a value of the wrong shape becomes a problem with its place, its rule and what was expected.
fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        if inner.is_data() {
            Problem::from(Invalid::one(pointer, rule(&inner.to_string()), message(&inner)))
        } else {
            Problem::bad_request(format!("the body is not JSON: {inner}"))
        }
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::bad_request(format!("the body is not one JSON value: {error}")))?;
    Ok(value)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", pointer_segment(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn rule(message: &str) -> &'static str {
    match message {
        m if m.starts_with("unknown field") => "unknown-field",
        m if m.starts_with("missing field") => "required",
        m if m.starts_with("duplicate field") => "duplicate",
        _ => "type",
    }
}

/// serde's words without their “at line 1 column 2”, which point into a text that the client may never have seen.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
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
        assert_eq!(refused(r#"{"name":"a"}"#), (422, String::new(), "required".into()));
        assert_eq!(
            refused(&format!(r#"{{{whole},"services":{{"a/b":3}}}}"#)),
            (422, "/services/a~1b".into(), "type".into())
        );
    }
}
