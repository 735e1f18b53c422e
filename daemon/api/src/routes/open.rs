//! What needs no token: health, metrics. (`/openapi.json` and `/docs` are made of the routes; see
//! [`openapi`](crate::openapi).)

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use utoipa_actix_web::service_config::ServiceConfig;

use crate::metrics::CONTENT_TYPE;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(alive).service(ready).service(metrics);
}

/// The daemon runs.
#[utoipa::path(operation_id = "isAlive", tag = "Health", responses((status = 200, body = String, content_type = "text/plain")), security(()))]
#[get("/healthz")]
async fn alive() -> &'static str {
    "ok\n"
}

/// The daemon serves: its database answers, and it is not about to stop.
#[utoipa::path(
    operation_id = "isReady", tag = "Health",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = berth_contract::Problem, content_type = "application/problem+json")
    ),
    security(())
)]
#[get("/readyz")]
async fn ready(api: Data<Api>) -> Result<&'static str, Problem> {
    if !api.is_ready() {
        return Err(Problem::stopping());
    }
    api.store().ping().await?;
    Ok("ready\n")
}

/// Counters for Prometheus.
#[utoipa::path(operation_id = "getMetrics", tag = "Health", responses((status = 200, body = String, content_type = "application/openmetrics-text")), security(()))]
#[get("/metrics")]
async fn metrics(api: Data<Api>) -> Result<HttpResponse, Problem> {
    api.metrics.running_operations.set(api.engine.running() as i64);
    let troubles = api.store().count_backup_troubles(chrono::Utc::now()).await?;
    api.metrics.backups_overdue.set(troubles.overdue);
    api.metrics.backups_failed.set(troubles.failed);
    api.metrics.drills_overdue.set(troubles.drills_overdue);
    api.metrics.drills_failed.set(troubles.drills_failed);
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(api.metrics.text()))
}
