//! `/v1/vaults`: repositories of snapshots that lie elsewhere, as their provider is gone, and tenants that are made of them.

use actix_web::web::{Data, Json};
use actix_web::{HttpRequest, HttpResponse, post};
use berth_contract::{NewVaultImport, NewVaultLook, RepositoryPlace, S3Place};
use berth_domain::{
    Invalid, OffsiteService, OffsiteTenant, OffsiteVault, Operation, OperationKind, Permission, TakenIn,
};
use berth_engine::StepError;
use berth_engine::offsite::{Lies, Place, Told};
use berth_protocol::SecretText;
use berth_store::OffsiteRecord;
use chrono::{SubsecRound as _, Utc};
use secrecy::SecretString;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::arrival::{Wish, examine_vault, make, none, refused, unread, unreadable, unused};
use crate::auth::Caller;
use crate::body::Body;
use crate::idempotency::{IdempotencyKey, Once};
use crate::openapi::Refusals;
use crate::problem::Problem;
use crate::state::Api;

pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(look).service(import);
}

/// Looks into a repository of snapshots that lies elsewhere: which there are, of whom, and with `machine` what keeps the tenant from
/// coming here, all at once. Nothing is changed, and nothing kept.
#[utoipa::path(
    operation_id = "lookAtVault", tag = "Vaults", request_body = NewVaultLook,
    responses((status = 200, body = OffsiteVault), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/vaults/look")]
async fn look(
    caller: Caller,
    api: Data<Api>,
    body: Body<NewVaultLook>,
) -> Result<Json<OffsiteVault>, Problem> {
    caller.require(Permission::Operate)?;
    let wanted = body.value?;
    let place = place(wanted.repository, wanted.password)?;
    let contents = api.engine.look_offsite(&place, wanted.snapshot).await;
    let contents = contents.map_err(|error| problem(&place, error))?;
    let obstacles = match (&wanted.machine, &contents.chosen) {
        (None, _) => None,
        (Some(_), Ok(None)) => Some(vec![none()]),
        (Some(_), Err(error)) => Some(vec![unreadable(error)]),
        (Some(machine), Ok(Some(told))) => {
            let wish = Wish {
                machine,
                name: wanted.name.as_ref(),
                domain: wanted.domain.as_deref(),
                plan: wanted.plan.as_ref(),
                services: &wanted.services,
            };
            let earlier = earlier(&api, &contents.repository).await?;
            let earlier = earlier.map(|it| it.operation);
            Some(examine_vault(&api, earlier, told, &wish).await?.obstacles)
        }
    };
    Ok(Json(OffsiteVault {
        repository: contents.repository,
        snapshots: contents.snapshots,
        older: contents.older,
        tenant: contents.chosen.ok().flatten().map(shown),
        obstacles,
    }))
}

/// Makes a tenant of a repository of snapshots that lies elsewhere. Everything that is in the way is told at once, and then nothing is
/// changed. The answer names the operation to follow. At its end the tenant is in `standby`, or with `go_live` is served: nobody can see
/// from a repository whether the old provider serves the tenant still.
#[utoipa::path(
    operation_id = "importVault", tag = "Vaults", request_body = NewVaultImport, params(IdempotencyKey),
    responses((status = 202, body = Operation, headers(("Location" = String))), Refusals),
    security(("bearer" = ["operator"]))
)]
#[post("/vaults/import")]
async fn import(
    caller: Caller,
    api: Data<Api>,
    request: HttpRequest,
    body: Body<NewVaultImport>,
) -> Result<HttpResponse, Problem> {
    caller.require(Permission::Operate)?;
    let once = Once::read(&caller, &request, &body.bytes)?;
    if let Some(earlier) = once.earlier(&api).await? {
        return Ok(earlier);
    }
    let wanted = body.value?;
    let place = place(wanted.repository, wanted.password)?;
    let contents = api.engine.look_offsite(&place, wanted.snapshot).await;
    let contents = contents.map_err(|error| problem(&place, error))?;
    let earlier = earlier(&api, &contents.repository).await?;
    if let Some(earlier) = &earlier {
        unused(&api, earlier, "repository-used", "repository").await?;
    }
    let told = contents.chosen.map_err(|error| problem(&place, unread(error)))?;
    let told = told.ok_or_else(|| refused(&[none()]))?;
    let wish = Wish {
        machine: &wanted.machine,
        name: wanted.name.as_ref(),
        domain: wanted.domain.as_deref(),
        plan: wanted.plan.as_ref(),
        services: &wanted.services,
    };
    let brought = examine_vault(&api, earlier.map(|it| it.operation), &told, &wish).await?;
    let spec = brought.spec.filter(|_| brought.obstacles.is_empty());
    let spec = spec.ok_or_else(|| refused(&brought.obstacles))?;
    let now = Utc::now().trunc_subsecs(3);
    let (name, machine, by) = (spec.name.clone(), spec.machine.clone(), caller.token.name.clone());
    let operation = Operation::queued(name.clone(), machine, OperationKind::TakeIn, false, by, now);
    let record = OffsiteRecord {
        operation: operation.id,
        repository: contents.repository,
        tenant: name,
        snapshot: told.id,
        go_live: wanted.go_live,
        sealed: Some(place.seal(operation.id, api.engine.keys())?),
    };
    // Before there is a tenant, so that one whose import is interrupted here is known by it.
    api.store().keep_offsite(&record, now).await?;
    let made = make(&api, &once, &operation, &spec, brought.own).await;
    // Whatever became of it: what opens the repository is kept for an operation that is there. Where this fails, it expires.
    let settled = api.store().settle_unsubmitted_offsite(operation.id).await;
    if let Err(error) = settled {
        tracing::warn!(operation = %operation.id, %error, "what opens a repository is kept until it expires");
    }
    made
}

/// The tenant that was made last of a repository.
async fn earlier(api: &Api, repository: &str) -> Result<Option<TakenIn>, Problem> {
    let record = api.store().newest_offsite(repository).await?;
    Ok(record.map(|record| TakenIn { tenant: record.tenant, operation: record.operation }))
}

/// Where the repository lies, as the engine takes it.
fn place(lies: RepositoryPlace, password: String) -> Result<Place, Problem> {
    if password.is_empty() {
        return Err(Invalid::one("/password", "required", "must not be empty").into());
    }
    let lies = match lies {
        RepositoryPlace::Folder(path) => Lies::Folder(path.into()),
        RepositoryPlace::S3(S3Place { endpoint, region, bucket, prefix, access_key, secret_key }) => {
            for (field, text) in [
                ("region", &region),
                ("bucket", &bucket),
                ("access_key", &access_key),
                ("secret_key", &secret_key),
            ] {
                if text.is_empty() {
                    let field = format!("/repository/s3/{field}");
                    return Err(Invalid::one(field, "required", "must not be empty").into());
                }
            }
            if prefix.split('/').any(|part| matches!(part, "." | "..")) {
                let rule = "no part of it may be . or ..";
                return Err(Invalid::one("/repository/s3/prefix", "location", rule).into());
            }
            Lies::S3 { endpoint, region, bucket, prefix, access_key, secret_key: secret(secret_key) }
        }
    };
    Ok(Place { lies, password: secret(password) })
}

fn secret(text: String) -> SecretText {
    SecretString::from(text).into()
}

/// The tenant as it is shown: without what is secret.
fn shown(told: Told) -> OffsiteTenant {
    let services = told.services.into_iter().map(|(name, service)| {
        let databases = service.databases.into_keys().collect();
        (name, OffsiteService { data_version: service.data_version, databases })
    });
    let secrets = told.file.secrets.iter().map(|secret| format!("{}/{}", secret.service, secret.name));
    let given = told.file.given.iter().map(|given| format!("{}{}", given.service, given.setting));
    OffsiteTenant {
        snapshot: told.id,
        daemon_version: told.file.daemon_version.clone(),
        platform: told.file.platform.clone(),
        services: services.collect(),
        secrets: secrets.collect(),
        given: given.collect(),
        specification: told.file.specification.clone(),
    }
}

/// Why a repository cannot be used: each sort of trouble has a name of its own.
fn problem(place: &Place, error: StepError) -> Problem {
    match error {
        StepError::Failed(failure) if failure.code == "repository-location" => {
            let field = match place.lies {
                Lies::S3 { .. } => "/repository/s3/endpoint",
                Lies::Folder(_) => "/repository/folder",
            };
            Invalid::one(field, "location", failure.message).into()
        }
        StepError::Failed(failure) if failure.code == "internal" => Problem::internal(failure.message),
        StepError::Failed(failure) => Problem::conflict(failure.code, failure.message),
        StepError::Cancelled | StepError::Stopping | StepError::LeaseLost => Problem::stopping(),
    }
}
