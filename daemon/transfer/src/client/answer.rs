//! Reading what came back: bounded, and with nothing of the token in what is told of it.

use std::error::Error;

use berth_sign::JwsError;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::brief::brief;
use crate::error::TransferError;
use crate::statement::StatementError;

/// The longest answer that is read, in bytes; as a JWS.
const LONGEST: usize = berth_sign::jws::MAX_JWS;

/// A problem (RFC 9457). The target may be of any version, so that nothing in it is counted on.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    r#type: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

type Result<T> = std::result::Result<T, TransferError>;

/// The text of an answer that is a success.
pub(super) async fn read(response: reqwest::Result<Response>, token: &SecretString) -> Result<String> {
    let mut response = response.map_err(|error| lost(&error))?;
    let status = response.status();
    let is_problem = media_type(&response).is_some_and(|kind| kind == "application/problem+json");
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
        if body.len() + chunk.len() > LONGEST {
            return Err(TransferError::Answer(format!("it is longer than {LONGEST} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status != StatusCode::OK {
        let problem = is_problem.then(|| serde_json::from_slice(&body).ok()).flatten();
        return Err(refusal(status, problem, token));
    }
    String::from_utf8(body).map_err(|_| TransferError::Answer("it is no text".to_owned()))
}

/// What a view that cannot be used means. Only what is a JWS can have been forged; all else was never meant to be one.
pub(super) fn unusable(error: StatementError, token: &SecretString) -> TransferError {
    match error {
        StatementError::Signature(malformed @ JwsError::Malformed(_)) => {
            TransferError::Answer(malformed.to_string())
        }
        content @ StatementError::Content { .. } => TransferError::Answer(told(&content.to_string(), token)),
        forged => TransferError::Forged(forged),
    }
}

fn refusal(status: StatusCode, problem: Option<Problem>, token: &SecretString) -> TransferError {
    let is_problem = problem.is_some();
    let Problem { r#type, title, detail } = problem.unwrap_or_default();
    let detail = told(&detail.or(title).unwrap_or_else(|| status.to_string()), token);
    if matches!(status.as_u16(), 429 | 502..=504) {
        TransferError::Unreachable { message: format!("{} ({detail})", status.as_u16()) }
    } else if is_problem {
        // RFC 9457, section 4.2.1: what has no type is about:blank.
        let kind = told(r#type.as_deref().unwrap_or("about:blank"), token);
        TransferError::Refused { status: status.as_u16(), kind, detail }
    } else if status.is_redirection() {
        TransferError::Answer(format!("it points elsewhere ({status}), where a ticket’s token is not sent"))
    } else {
        TransferError::Answer(format!("{status}, without saying why"))
    }
}

/// A stranger's words, without the token, should they repeat it.
fn told(text: &str, token: &SecretString) -> String {
    brief(&text.replace(token.expose_secret(), "(not shown)"))
}

fn media_type(response: &Response) -> Option<String> {
    let kind = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    Some(kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn lost(error: &reqwest::Error) -> TransferError {
    let message = match (error.is_timeout(), error.is_connect()) {
        (true, true) => "no connection came about in time".to_owned(),
        (true, false) => "no answer came in time".to_owned(),
        (false, _) => brief(&root_cause(error)),
    };
    TransferError::Unreachable { message }
}

/// The innermost reason: the outer ones only say that a request failed.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
