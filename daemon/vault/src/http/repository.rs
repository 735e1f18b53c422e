//! A repository as a whole, and lists of its objects.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::admitted::Admitted;
use crate::access::Mode;
use crate::object::Kind;
use crate::refused::Refused;
use crate::storage::Entry;

const VERSION_1: &str = "application/vnd.x.restic.rest.v1";
const VERSION_2: &str = "application/vnd.x.restic.rest.v2";

#[derive(Deserialize)]
pub(super) struct Create {
    #[serde(default)]
    create: String,
}

/// An object in a list of version 2.
#[derive(Serialize)]
struct Listed {
    name: String,
    size: u64,
}

pub(super) async fn create(admitted: Admitted, query: web::Query<Create>) -> Result<HttpResponse, Refused> {
    if query.create != "true" {
        return Err(Refused::NotCreate);
    }
    if admitted.access.mode == Mode::ReadOnly {
        return Err(Refused::ReadOnly);
    }
    admitted.vault.create(&admitted.repository).await?;
    Ok(HttpResponse::Ok().finish())
}

/// A repository is removed by whoever runs the vault.
pub(super) async fn refuse_removal(_: Admitted) -> Result<HttpResponse, Refused> {
    Err(Refused::NotRemovable)
}

/// What is listed.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    kind: String,
}

/// In a repository that is not there, there are no objects.
pub(super) async fn list(
    admitted: Admitted,
    path: web::Path<Listing>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let kind: Kind = path.kind.parse().map_err(|_| Refused::NotFound)?;
    let entries = admitted.vault.inner.storage.list(&admitted.repository, kind).await?;
    let (version, body) = if wants_sizes(&request) {
        (VERSION_2, serde_json::to_vec(&entries.iter().map(listed).collect::<Vec<_>>()))
    } else {
        (
            VERSION_1,
            serde_json::to_vec(&entries.iter().map(|entry| entry.name.to_string()).collect::<Vec<_>>()),
        )
    };
    // Strings and numbers always become JSON.
    let body = body.map_err(|_| Refused::NotFound)?;
    Ok(HttpResponse::Ok().content_type(version).body(body))
}

fn wants_sizes(request: &HttpRequest) -> bool {
    request.headers().get(header::ACCEPT).is_some_and(|accepted| accepted.as_bytes() == VERSION_2.as_bytes())
}

fn listed(entry: &Entry) -> Listed {
    Listed { name: entry.name.to_string(), size: entry.size }
}

pub(super) async fn nothing(_: Admitted) -> Result<HttpResponse, Refused> {
    Err(Refused::NotFound)
}

pub(super) async fn no_such_method(_: Admitted) -> Result<HttpResponse, Refused> {
    Err(Refused::NoSuchMethod)
}
