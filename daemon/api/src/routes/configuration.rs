//! `/v1/tenants/{name}/configuration`, `/revisions`, `/flake.tar.gz`: what a tenant is deployed from, for sysadmins.

use actix_web::http::header;
use actix_web::web::{Data, Json, Path};
use actix_web::{HttpRequest, HttpResponse, get};
use berth_contract::{Configuration, Page, RevisionInfo};
use berth_domain::{Permission, RevisionId, TenantName};
use berth_store::TenantRecord;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Caller;
use crate::body::named;
use crate::openapi::Refusals;
use crate::paging::{Paging, page};
use crate::problem::Problem;
use crate::query::Query;
use crate::state::Api;
use crate::tarball;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(configuration).service(revisions).service(flake).service(flake_of_revision);
}

/// A gzipped tarball.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
struct Tarball(#[allow(dead_code)] Vec<u8>);

/// Which revision.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Which {
    /// Its id; what would be deployed now, when absent.
    #[param(value_type = Option<RevisionId>)]
    revision: Option<String>,
}

/// A configuration as the files of a Nix flake: of a revision, or as it would be deployed now.
#[utoipa::path(operation_id = "getConfiguration", tag = "Configuration", params(("name" = String, Path), Which), responses((status = 200, body = Configuration), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/configuration")]
async fn configuration(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    which: Query<Which>,
) -> Result<Json<Configuration>, Problem> {
    let tenant = readable(&caller, &api, &name).await?;
    if let Some(id) = &which.revision {
        let id = named("revision", id)?;
        let revision = api.store().revision(&tenant.spec.name, &id).await?;
        return Ok(Json(Configuration { revision: id, files: revision.files }));
    }
    let rendered = api.engine.configuration(&tenant.spec).await?;
    Ok(Json(Configuration { revision: rendered.id, files: rendered.files }))
}

/// The revisions that were deployed or tried, newest first.
#[utoipa::path(operation_id = "listRevisions", tag = "Configuration", params(("name" = String, Path), Paging), responses((status = 200, body = Page<RevisionInfo>), Refusals), security(("bearer" = ["tenant:read"])))]
#[get("/tenants/{name}/revisions")]
async fn revisions(
    caller: Caller,
    api: Data<Api>,
    name: Path<String>,
    paging: Query<Paging>,
) -> Result<Json<Page<RevisionInfo>>, Problem> {
    let tenant = readable(&caller, &api, &name).await?;
    let limit = paging.limit()?;
    let found = api.store().list_revisions(&tenant.spec.name, paging.after.as_deref(), limit).await?;
    let deployed = tenant.deployed_revision;
    Ok(Json(page(found, |summary| RevisionInfo {
        deployed: deployed.as_ref() == Some(&summary.id),
        id: summary.id,
        created_at: summary.created_at,
    })))
}

/// The configuration that is deployed as a tarball flake, which `nix` takes as it is:
/// `nixos-rebuild switch --flake https://…/v1/tenants/acme/flake.tar.gz`. The header `Link` names the address under which
/// this very revision stays (Nix' “Lockable HTTP Tarball Protocol”). A tenant that never was deployed is packed as it would be.
///
/// The token may also come as the password of basic authentication, which is what `nix` sends with a netrc file, or
/// as `?token=`.
#[utoipa::path(
    operation_id = "getFlake", tag = "Configuration", params(("name" = String, Path), ("token" = Option<String>, Query, description = "The token, where no header can be sent")),
    responses((status = 200, body = Tarball, content_type = "application/gzip", headers(("ETag" = String), ("Link" = String))), (status = 304, description = "It is the one that is known"), Refusals),
    security(("bearer" = ["tenant:read"]))
)]
#[get("/tenants/{name}/flake.tar.gz")]
async fn flake(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    name: Path<String>,
) -> Result<HttpResponse, Problem> {
    let tenant = readable(&caller, &api, &name).await?;
    match &tenant.deployed_revision {
        Some(id) => packed(&api, &request, &tenant.spec.name, id, "private, no-cache").await,
        None => {
            let rendered = api.engine.configuration(&tenant.spec).await?;
            answer(
                &request,
                &tenant.spec.name,
                &rendered.id,
                &rendered.files,
                &[(header::CACHE_CONTROL, "private, no-cache")],
            )
        }
    }
}

/// One revision as a tarball flake: the same bytes for ever.
#[utoipa::path(
    operation_id = "getFlakeOfRevision", tag = "Configuration",
    params(("name" = String, Path), ("revision" = RevisionId, Path), ("token" = Option<String>, Query, description = "The token, where no header can be sent")),
    responses((status = 200, body = Tarball, content_type = "application/gzip", headers(("ETag" = String), ("Link" = String))), (status = 304, description = "It is the one that is known"), Refusals),
    security(("bearer" = ["tenant:read"]))
)]
#[get("/tenants/{name}/revisions/{revision}/flake.tar.gz")]
async fn flake_of_revision(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    place: Path<(String, String)>,
) -> Result<HttpResponse, Problem> {
    let tenant = readable(&caller, &api, &place.0).await?;
    let id = named("revision", &place.1)?;
    packed(&api, &request, &tenant.spec.name, &id, "private, max-age=31536000, immutable").await
}

async fn readable(caller: &Caller, api: &Api, name: &str) -> Result<TenantRecord, Problem> {
    let name: TenantName = named("tenant", name)?;
    caller.require(Permission::ReadTenant(&name))?;
    Ok(api.store().tenant(&name).await?)
}

async fn packed(
    api: &Api,
    request: &HttpRequest,
    name: &TenantName,
    id: &RevisionId,
    caching: &str,
) -> Result<HttpResponse, Problem> {
    let revision = api.store().revision(name, id).await?;
    let place = format!("{}/v1/tenants/{name}/revisions/{id}/flake.tar.gz", api.base(request));
    let link = format!("<{place}>; rel=\"immutable\"");
    answer(request, name, id, &revision.files, &[(header::LINK, &link), (header::CACHE_CONTROL, caching)])
}

fn answer(
    request: &HttpRequest,
    name: &TenantName,
    id: &RevisionId,
    files: &berth_domain::revision::Files,
    headers: &[(header::HeaderName, &str)],
) -> Result<HttpResponse, Problem> {
    let tag = format!("\"{id}\"");
    let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((header::ETAG, tag));
    for (name, value) in headers {
        response.insert_header((name.clone(), *value));
    }
    if is_known {
        return Ok(response.finish());
    }
    let tarball = tarball::pack(&format!("{name}-{}", id.short()), files).map_err(Problem::internal)?;
    Ok(response.content_type("application/gzip").body(tarball))
}
