//! The contract (`openapi/openapi.json`), and whether an answer keeps it.

use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const CONTRACT: &str = include_str!("../../openapi/openapi.json");

/// Checks that an answer is one that the contract foresees: its status, its content type, and its body's shape.
/// A path that the contract does not have may be answered by nothing but 404, and a method by 405.
///
/// # Errors
/// What is not foreseen.
pub fn check(method: &Method, path: &str, status: StatusCode, headers: &HeaderMap, body: &str) -> Result<()> {
    let about = || format!("{method} {path}: {status}: {body}");
    let Some(item) = item(path) else {
        // It describes all but itself.
        ensure!(
            path == "/openapi.json" || status == StatusCode::NOT_FOUND,
            "a path without a contract: {}",
            about()
        );
        return Ok(());
    };
    let Some(operation) = item.get(method.as_str().to_ascii_lowercase()) else {
        let foreseen = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND];
        ensure!(foreseen.contains(&status), "a method without a contract: {}", about());
        return Ok(());
    };
    let response = operation["responses"].get(status.as_str());
    let response = response.with_context(|| format!("this status is not foreseen: {}", about()))?;
    let Some(content) = response.get("content").and_then(Value::as_object) else { return Ok(()) };
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let media =
        content.get(kind).with_context(|| format!("the type “{kind}” is not foreseen: {}", about()))?;
    if kind.ends_with("json") {
        check_shape(&media["schema"], body).with_context(about)?;
    }
    Ok(())
}

fn check_shape(schema: &Value, body: &str) -> Result<()> {
    // References lead into the contract, which therefore surrounds the schema.
    let whole = json!({ "allOf": [schema], "components": contract()["components"] });
    let validator = jsonschema::draft202012::new(&whole)?;
    let body: Value = serde_json::from_str(body)?;
    let errors: Vec<_> =
        validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if errors.is_empty() {
        return Ok(());
    }
    bail!("the body breaks its schema: {}", errors.join("; "))
}

/// What the contract says of a path: the entry with the fewest parameters that fits it.
fn item(path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let paths = contract()["paths"].as_object()?;
    let fitting = paths.iter().filter(|(template, _)| fits(template, path));
    fitting.min_by_key(|(template, _)| template.matches('{').count()).map(|(_, item)| item)
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(wanted, found)| wanted.starts_with('{') || *wanted == found)
}

fn contract() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| serde_json::from_str(CONTRACT).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(path: &str, status: u16, kind: &'static str, body: &str) -> bool {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, kind.parse().unwrap())]);
        check(&Method::GET, path, StatusCode::from_u16(status).unwrap(), &headers, body).is_ok()
    }

    #[test]
    fn answers_that_the_contract_does_not_foresee_are_found() {
        let (json, problem) = ("application/json", "application/problem+json");
        assert!(kept("/v1/tenants?limit=1", 200, json, r#"{"items": []}"#));
        assert!(!kept("/v1/tenants", 200, json, r#"{"items": [{"name": 1}]}"#));
        assert!(!kept("/v1/tenants", 200, "text/html", "<p>"));
        assert!(!kept("/v1/tenants", 418, problem, "{}"));
        assert!(!kept("/v1/nonsense", 200, json, "{}") && kept("/v1/nonsense", 404, problem, "{}"));
    }
}
