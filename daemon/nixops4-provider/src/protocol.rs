//! Version 0 of NixOps4's resource provider protocol, as its JSON Schema tells it
//! (<https://github.com/nixops4/nixops4>, rust/nixops4-resource/resource-schema-v0.json): a line is an object with one
//! member, whose name says what is asked or answered. One request is answered before the next is sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Properties of a resource.
pub type Properties = Map<String, Value>;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Request {
    /// Bring a resource about. NixOps4 asks it at every apply for a resource that has no state.
    CreateResourceRequest(Create),
    /// Make a resource what its new inputs say.
    UpdateResourceRequest(Update),
    /// Read the state that a resource keeps.
    StateResourceReadRequest(Read),
    /// Change the state that a resource keeps.
    StateResourceEvent(Event),
}

/// A resource to be brought about.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Create {
    /// Its type.
    pub r#type: String,
    /// What it is to be.
    pub input_properties: Properties,
    /// Whether NixOps4 will remember it.
    pub is_stateful: bool,
}

/// A resource that is to change.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Update {
    /// As it was.
    pub resource: Extant,
    /// What it is to be.
    pub input_properties: Properties,
}

/// A resource that is there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extant {
    /// Its type.
    pub r#type: String,
    /// What it was made of.
    pub input_properties: Properties,
    /// What came of it; absent where NixOps4 only looks, and applies nothing.
    #[serde(default)]
    pub output_properties: Option<Properties>,
}

/// Which state to read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The resource that keeps it.
    pub resource: Extant,
}

/// A change of a state.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// The resource that keeps the state.
    pub resource: Extant,
    /// What happened: `create` or `update`, after it succeeded.
    pub event: String,
    /// The version of NixOps4.
    pub nixops_version: String,
    /// What that changes, as an array of RFC 6902 operations. NixOps4 writes the names of properties in snake_case here.
    pub patch: Value,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Response {
    /// To [`Request::CreateResourceRequest`].
    CreateResourceResponse(Outputs),
    /// To [`Request::UpdateResourceRequest`].
    UpdateResourceResponse(Outputs),
    /// To [`Request::StateResourceReadRequest`].
    StateResourceReadResponse(State),
    /// To [`Request::StateResourceEvent`].
    StateResourceEventResponse(Nothing),
    /// To whatever could not be done, or not be understood.
    ErrorResponse(Refusal),
}

/// What came of a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outputs {
    /// The properties.
    pub output_properties: Properties,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct State {
    /// The document.
    pub state: Value,
}

/// An answer that says nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nothing {}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// For a person.
    pub message: String,
}

impl Response {
    /// A refusal.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::ErrorResponse(Refusal { message: message.into() })
    }
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it, without any of its values: they may be secrets.
pub fn read(line: &[u8]) -> Result<Request, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        format!("this is no JSON, as told at column {}: {:?}", error.column(), error.classify())
    })?;
    let Value::Object(members) = &value else { return Err("a request is an object".into()) };
    if members.len() != 1 {
        return Err(format!("a request is an object with one member, not with {}", members.len()));
    }
    let name = members.keys().next().cloned().unwrap_or_default();
    Request::deserialize(value).map_err(|error| match name.as_str() {
        "createResourceRequest"
        | "updateResourceRequest"
        | "stateResourceReadRequest"
        | "stateResourceEvent" => {
            let error = error.to_string();
            // serde's words for what is missing or too much name fields; those for wrong types repeat values.
            let harmless = ["missing field", "unknown field"].iter().any(|words| error.starts_with(words));
            let what = if harmless {
                error
            } else {
                "one of its fields is not of the type that the protocol says".into()
            };
            format!("{name}: {what}")
        }
        _ => "a kind of request that version 0 of the protocol does not have".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        read(line.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_is_no_request_is_refused_without_repeating_it() {
        for line in [
            "",
            "{",
            "[]",
            "7",
            "null",
            "\"hunter2\"",
            "{}",
            "\u{0}",
            "{\"a\":1,\"b\":2}",
            "{\"deleteResourceRequest\":{}}",
            "{\"createResourceRequest\":\"hunter2\"}",
            "{\"createResourceRequest\":{\"type\":\"x\",\"inputProperties\":\"hunter2\",\"isStateful\":false}}",
            "{\"createResourceRequest\":{\"type\":\"x\",\"inputProperties\":{}}}",
            "{\"createResourceRequest\":{\"type\":\"x\",\"inputProperties\":{},\"isStateful\":false,\"more\":1}}",
        ] {
            let message = refusal(line);
            assert!(!message.is_empty() && !message.contains("hunter2"), "{line}: {message}");
        }
        assert!(refusal("{\"createResourceRequest\":{}}").contains("missing field `type`"));
        assert!(read(b"\xff\xfe").is_err());
    }

    #[test]
    fn names_are_in_camel_case_on_the_line() {
        let line = r#"{"stateResourceEvent":{"resource":{"type":"state","inputProperties":{}},"event":"create","nixopsVersion":"0.1.0","patch":[]}}"#;
        let Ok(Request::StateResourceEvent(event)) = read(line.as_bytes()) else { panic!() };
        assert_eq!((event.nixops_version.as_str(), event.resource.output_properties), ("0.1.0", None));
        let answer = Response::CreateResourceResponse(Outputs { output_properties: Properties::new() });
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"createResourceResponse":{"outputProperties":{}}}"#
        );
        let answer = Response::StateResourceEventResponse(Nothing {});
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"stateResourceEventResponse":{}}"#);
    }
}
