//! `/v1/operations/{id}/watch` and `/watch/{token}`: the customer's page.

use actix_web::http::header;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use berth_contract::resources::REHEARSAL;
use berth_contract::{NewWatchLink, WatchLink as Issued};
use berth_domain::{Invalid, Operation, Permission};
use berth_store::{StoreError, WatchLink};
use chrono::{SubsecRound, TimeDelta, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa_actix_web::service_config::ServiceConfig;

use super::operations::readable;
use crate::auth::Caller;
use crate::body::Body;
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::sse::{self, Audience, Cursor};
use crate::state::Api;
use crate::watch::{self, Link, Nonce, View};

/// How long a link works unless told otherwise.
const USUAL_LIFE: u64 = 24 * 60 * 60;

/// How long a link may work at the least and at the most, in seconds.
const LIFE: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 60 * 60;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create);
}

pub(super) fn pages(config: &mut ServiceConfig<'_>) {
    config.service(page).service(events);
}

/// Makes a link that shows this one operation, in plain words, to whoever has it: for the customer.
#[utoipa::path(
    operation_id = "createWatchLink", tag = "Operations", request_body = NewWatchLink,
    params(
        ("id" = uuid::Uuid, Path),
        IdempotencyKey
    ),
    responses((status = 201, body = Issued, headers(("Location" = String))), Refusals),
    security(("bearer" = ["tenant:write"]))
)]
#[post("/operations/{id}/watch")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    id: Path<String>,
    body: Body<NewWatchLink>,
) -> Result<HttpResponse, Problem> {
    let operation = readable(&caller, &api, &id).await?;
    caller.require(Permission::WriteTenant(&operation.tenant))?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let seconds = body.value?.expires_in_seconds.unwrap_or(USUAL_LIFE);
    if !LIFE.contains(&seconds) {
        let rule = format!("must be between {} and {}", LIFE.start(), LIFE.end());
        return Err(Invalid::one("/expires_in_seconds", "range", rule).into());
    }
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(Problem::internal)?;
    let token = BASE64_URL_SAFE_NO_PAD.encode(secret);
    // Within LIFE, so it fits.
    let expires_at = Utc::now().trunc_subsecs(3) + TimeDelta::seconds(seconds as i64);
    let link = WatchLink { hash: hash(&token), operation: operation.id, expires_at };
    let path = format!("/watch/{token}");
    let issued = Issued { url: format!("{}{path}", api.base(&request)), expires_at };
    let reply = Reply::created(path, &issued)?;
    let kept = once.record(&reply)?;
    let outcome = api.store().create_watch_link(&link, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// The page behind a link.
#[utoipa::path(
    operation_id = "showWatchPage", tag = "Customers", params(("token" = String, Path)),
    responses((status = 200, body = String, content_type = "text/html"), (status = 404, body = String, content_type = "text/html")),
    security(())
)]
#[get("/watch/{token}")]
async fn page(api: Data<Api>, token: Path<String>) -> Result<HttpResponse, Problem> {
    let nonce = Nonce::generate().map_err(Problem::internal)?;
    let Some((link, operation)) = behind(&api, &token).await? else {
        let text = watch::expired_page(&api.provider.name, &nonce);
        return Ok(html(HttpResponse::NotFound(), &nonce, text));
    };
    let links = links(&api, &operation).await?;
    let now = Utc::now();
    let view = View {
        operation: &operation,
        provider: &api.provider.name,
        rehearsal: api.provider.platform.kind == REHEARSAL,
        links: &links,
        events_path: &format!("/watch/{token}/events"),
        expires_at: link.expires_at,
        eta: api.engine.eta(&operation, now).await,
        now,
    };
    Ok(html(HttpResponse::Ok(), &nonce, watch::page(&view, &nonce)))
}

/// Where to begin.
#[derive(Debug, Default, Deserialize)]
struct From {
    after: Option<i64>,
}

/// The stream behind a link: what a customer may see of the operation's events.
#[utoipa::path(
    operation_id = "watchEvents", tag = "Customers", params(("token" = String, Path), ("after" = Option<i64>, Query)),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 204, description = "The operation has ended and every event was seen"),
        Refusals
    ),
    security(())
)]
#[get("/watch/{token}/events")]
async fn events(
    api: Data<Api>,
    request: HttpRequest,
    token: Path<String>,
    from: Query<From>,
) -> Result<HttpResponse, Problem> {
    let Some((_, operation)) = behind(&api, &token).await? else {
        return Err(Problem::not_found("page", "behind this link"));
    };
    let cursor = Cursor::read(&request, from.after, operation.last_seq)?;
    Ok(sse::stream(api, &operation, cursor, CUSTOMERS))
}

/// A customer learns how it ended, and nothing of how it was done.
const CUSTOMERS: Audience = Audience {
    form: 1,
    event: watch::for_customer,
    ending: |operation| serde_json::json!({ "status": operation.status, "finished_at": operation.finished_at }),
};

async fn behind(api: &Api, token: &str) -> Result<Option<(WatchLink, Operation)>, Problem> {
    let Some(link) = api.store().watch_link(&hash(token), Utc::now()).await? else { return Ok(None) };
    match api.store().operation(link.operation).await {
        Ok(operation) => Ok(Some((link, operation))),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Where the services are to be found, if the operation brings them there; nowhere once the tenant is gone.
async fn links(api: &Api, operation: &Operation) -> Result<Vec<Link>, Problem> {
    if !operation.kind.deploys() {
        return Ok(Vec::new());
    }
    let spec = match api.store().tenant(&operation.tenant).await {
        Ok(record) => record.spec,
        Err(StoreError::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let urls = api.offer.urls(&spec, api.scheme());
    let title = |name: &str| api.offer.service(name).map(|service| service.entry.title);
    Ok(urls
        .into_iter()
        .map(|(name, url)| Link { title: title(name.as_str()).unwrap_or_default(), url })
        .collect())
}

fn html(mut response: actix_web::HttpResponseBuilder, nonce: &Nonce, text: String) -> HttpResponse {
    response
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, watch::content_security_policy(nonce)))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // The link is the secret: it must not travel to the services that the page links to.
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header(("X-Robots-Tag", "noindex"))
        .body(text)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
