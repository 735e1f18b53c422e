//! `/v1/operations/{id}/events`: what an operation reports, as a page or as a stream.

use actix_web::http::header;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use berth_contract::Page;
use berth_domain::Event;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations::readable;
use crate::auth::Caller;
use crate::openapi::Refusals;
use crate::paging;
use crate::problem::Problem;
use crate::query::Query;
use crate::sse::{self, Audience, Cursor};
use crate::state::Api;

/// The largest page of events.
pub(super) const MAX_LIMIT: u32 = 1000;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list);
}

/// Where to begin.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// The number of the last event that is known; from the start when absent. The header `Last-Event-ID` overrides
    /// it.
    #[param(minimum = 0)]
    pub(super) after: Option<i64>,
    /// Of a page: how many events at the most, 1 to 1000, 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<u32>,
}

/// What an operation reports. As JSON, a page of what there is by now. With `Accept: text/event-stream`, everything
/// from the start or after `Last-Event-ID`, then live until the operation ends: the ids are the events' numbers, a
/// `gap` event tells of old events that were trimmed, a last `end` event carries the operation, and a client that
/// comes back after it gets 204.
#[utoipa::path(
    operation_id = "listEvents", tag = "Operations",
    params(
        ("id" = uuid::Uuid, Path), From,
        ("Last-Event-ID" = Option<i64>, Header, description = "The number of the last event that is known")
    ),
    responses(
        (status = 200, content((Page<Event> = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The operation has ended and every event was seen; do not reconnect"),
        Refusals
    ),
    security(("bearer" = ["tenant:read"]))
)]
#[get("/operations/{id}/events")]
async fn list(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    from: Query<From>,
) -> Result<HttpResponse, Problem> {
    let operation = readable(&caller, &api, &id).await?;
    let limit = paging::limit(from.limit, MAX_LIMIT)?;
    let cursor = Cursor::read(&request, from.after, operation.last_seq)?;
    if wants_stream(&request) {
        return Ok(sse::stream(api, &operation, cursor, Audience::INSIDERS));
    }
    let page = api.store().events(operation.id, cursor.after, limit).await?;
    let next = next(page.events.last().map(|last| last.seq), page.last_seq);
    Ok(HttpResponse::Ok().json(Page { items: page.events, next }))
}

/// The cursor of the next page, where the last event of this one is not the newest.
pub(super) fn next(shown: Option<i64>, newest: i64) -> Option<String> {
    shown.filter(|shown| *shown < newest).map(|shown| shown.to_string())
}

pub(super) fn wants_stream(request: &HttpRequest) -> bool {
    let accept =
        request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept
        .split(',')
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream"))
}
