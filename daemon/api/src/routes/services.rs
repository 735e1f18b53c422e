//! `/v1/services`: the catalogue.

use actix_web::get;
use actix_web::web::{Data, Json, Path};
use berth_contract::{Page, Service};
use berth_domain::Permission;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(list).service(show);
}

/// The services on offer, all on one page, each with the JSON Schema of its settings.
#[utoipa::path(operation_id = "listServices", tag = "Services", responses((status = 200, body = Page<Service>), Refusals), security(("bearer" = ["authenticated"])))]
#[get("/services")]
async fn list(caller: Caller, api: Data<Api>) -> Result<Json<Page<Service>>, Problem> {
    caller.require(Permission::Authenticated)?;
    Ok(Json(Page { items: api.offer.services().collect(), next: None }))
}

/// One service on offer.
#[utoipa::path(operation_id = "getService", tag = "Services", params(("name" = String, Path)), responses((status = 200, body = Service), Refusals), security(("bearer" = ["authenticated"])))]
#[get("/services/{name}")]
async fn show(caller: Caller, api: Data<Api>, name: Path<String>) -> Result<Json<Service>, Problem> {
    caller.require(Permission::Authenticated)?;
    api.offer.service(&name).map(Json).ok_or_else(|| Problem::not_found("service", name))
}
