//! `/v1/tokens`: who may call the API.

use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use berth_contract::{IssuedToken, NewToken, Page, TokenInfo};
use berth_domain::{Invalid, Permission, Scope, TokenId};
use berth_store::{StoreError, TokenRecord};
use chrono::{SubsecRound, TimeDelta, Utc};
use secrecy::ExposeSecret;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::{Caller, TokenSecret};
use crate::body::Body;
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::reply::Reply;
use crate::state::Api;

/// The longest name of a token, in characters.
const MAX_NAME: usize = 100;

/// The longest life of a token that has an end, in seconds: ten years.
const MAX_LIFE: u64 = 10 * 366 * 24 * 60 * 60;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(create).service(list).service(delete);
}

/// Issues a token. It is shown this once; only its hash is stored.
#[utoipa::path(
    operation_id = "createToken", tag = "Tokens", request_body = NewToken,
    params(IdempotencyKey),
    responses((status = 201, body = IssuedToken, headers(("Location" = String))), Refusals),
    security(("bearer" = ["admin"]))
)]
#[post("/tokens")]
async fn create(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<NewToken>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Administer)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let (record, secret) = issue(body.value?)?;
    if let Some(tenant) = record.scope.tenant() {
        existing(&api, tenant).await?;
    }
    let issued =
        IssuedToken { info: view(record.clone()), token: secret.reveal().expose_secret().to_owned() };
    let reply = Reply::created(format!("/v1/tokens/{}", record.id), &issued)?;
    let kept = once.record(&reply)?;
    let outcome = api.store().create_token(&record, kept.as_ref()).await;
    once.answer(&api, &reply, outcome).await
}

/// The tokens, without their secrets.
#[utoipa::path(operation_id = "listTokens", tag = "Tokens", params(Paging), responses((status = 200, body = Page<TokenInfo>), Refusals), security(("bearer" = ["admin"])))]
#[get("/tokens")]
async fn list(
    caller: Caller,
    api: Data<Api>,
    paging: Query<Paging>,
) -> Result<Json<Page<TokenInfo>>, Problem> {
    caller.require(Permission::Administer)?;
    let found = api.store().list_tokens(paging.after.as_deref(), paging.limit()?).await?;
    Ok(Json(page(found, view)))
}

/// Revokes a token at once. The one that asks cannot revoke itself, so that nobody locks everybody out.
#[utoipa::path(operation_id = "deleteToken", tag = "Tokens", params(("id" = uuid::Uuid, Path)), responses((status = 204), Refusals), security(("bearer" = ["admin"])))]
#[delete("/tokens/{id}")]
async fn delete(caller: Caller, api: Data<Api>, id: Path<String>) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Administer)?;
    let id = TokenId::try_parse(&id).map_err(|_| Problem::not_found("token", &id))?;
    if id == caller.token.id {
        return Err(Problem::conflict(
            "own-token",
            "this is the token that asks; revoke it with another one",
        ));
    }
    api.store().delete_token(id).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn issue(wanted: NewToken) -> Result<(TokenRecord, TokenSecret), Problem> {
    let mut invalid = Invalid::default();
    let name = wanted.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        invalid.push(
            "/name",
            "name",
            format!("must be 1 to {MAX_NAME} characters, without control characters"),
        );
    }
    let scope = invalid.take("/scope", wanted.scope.parse::<Scope>());
    if wanted.expires_in_seconds.is_some_and(|seconds| !(1..=MAX_LIFE).contains(&seconds)) {
        invalid.push("/expires_in_seconds", "range", format!("must be between 1 and {MAX_LIFE}"));
    }
    let scope = match scope {
        Some(scope) if invalid.is_empty() => scope,
        _ => return Err(invalid.into()),
    };
    let secret = TokenSecret::generate().map_err(Problem::internal)?;
    let created_at = Utc::now().trunc_subsecs(3);
    // Within MAX_LIFE, so it fits.
    let life = wanted.expires_in_seconds.map(|seconds| TimeDelta::seconds(seconds as i64));
    let record = TokenRecord {
        id: secret.id,
        name,
        scope,
        hash: secret.hash(),
        created_at,
        expires_at: life.map(|life| created_at + life),
    };
    Ok((record, secret))
}

/// A token for a tenant that does not exist would open whichever gets that name one day.
async fn existing(api: &Api, tenant: &berth_domain::TenantName) -> Result<(), Problem> {
    match api.store().tenant(tenant).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { .. }) => {
            Err(Invalid::one("/scope", "exists", "names a tenant that does not exist").into())
        }
        Err(error) => Err(error.into()),
    }
}

fn view(record: TokenRecord) -> TokenInfo {
    TokenInfo {
        id: record.id,
        name: record.name,
        scope: record.scope,
        created_at: record.created_at,
        expires_at: record.expires_at,
    }
}
