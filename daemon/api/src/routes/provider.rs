//! `/v1/provider`: what this provider tells of itself.

use actix_web::get;
use actix_web::web::{Data, Json};
use berth_contract::Provider;
use berth_domain::Permission;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(show);
}

/// This provider: its SSH key for new machines, its version, its platform.
#[utoipa::path(operation_id = "getProvider", tag = "Provider", responses((status = 200, body = Provider), Refusals), security(("bearer" = ["authenticated"])))]
#[get("/provider")]
async fn show(caller: Caller, api: Data<Api>) -> Result<Json<Provider>, Problem> {
    caller.require(Permission::Authenticated)?;
    Ok(Json(api.provider.clone()))
}
