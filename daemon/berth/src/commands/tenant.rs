//! `berth tenant …`, `berth deploy` and `berth config`

pub(super) mod draft;
mod files;

use berth_client::{Client, DeleteTenant, Deleted, Put};
use berth_contract::{RevisionInfo, Tenant as TenantBody};
use berth_domain::{Condition, Operation, OperationKind};

use super::watching::{self, took};
use super::{Context, again};
use crate::args::tenant::{Data, Delete, Set, Tenant};
use crate::args::{Check, Config, Deploy, Reboot, Revisions, Rollback};
use crate::asking::ask;
use crate::failure::{Failure, Result};
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, command: Tenant) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Tenant::Create(options) => {
            let tenant = client.create_tenant(&draft::create(*options)?).await?;
            output.result(&tenant, |tenant| {
                let name = &tenant.spec.name;
                format!(
                    "{name} is created; berth deploy {name} --watch brings it onto {}",
                    tenant.spec.machine
                )
            });
        }
        Tenant::List => output.result(&client.tenants().await?, |tenants| list(tenants)),
        Tenant::Show { name } => output.result(&client.tenant(&name).await?, show),
        Tenant::Set(options) => {
            let tenant = set(client, &options).await?;
            output.result(&tenant, |tenant| {
                let name = &tenant.spec.name;
                format!("{name} is changed; berth deploy {name} --watch makes it so")
            });
        }
        Tenant::Delete(options) => delete(context, &options).await?,
    }
    Ok(())
}

pub(super) async fn deploy(context: &Context, options: &Deploy) -> Result<()> {
    let operation = context.client.deploy(&options.tenant).await?;
    followed(context, &operation, options.watch).await
}

pub(super) async fn rollback(context: &Context, options: &Rollback) -> Result<()> {
    let operation = context.client.rollback(&options.tenant, options.to.clone()).await?;
    followed(context, &operation, options.watch).await
}

pub(super) async fn reboot(context: &Context, options: &Reboot) -> Result<()> {
    let operation = context.client.reboot(&options.tenant, options.in_window).await?;
    followed(context, &operation, options.watch).await
}

/// Says which operation was begun, or follows it to its end and says where the tenant's services are.
pub(super) async fn followed(context: &Context, operation: &Operation, watch: bool) -> Result<()> {
    let Context { client, output } = context;
    if !watch {
        output.result(operation, |operation| {
            format!("operation {0} is {1}; berth watch {0} follows it", operation.id, operation.status)
        });
        return Ok(());
    }
    output.aside(&format!("operation {}", operation.id));
    let ended = watching::watch(context, operation, 0).await?;
    if !output.is_json() {
        let tenant = client.tenant(&operation.tenant).await?;
        let took = took(&ended).map(|took| format!(" in {took}")).unwrap_or_default();
        let done = match operation.kind {
            OperationKind::Reboot => "was started anew",
            OperationKind::Snapshot => "is in its vault",
            OperationKind::Prune => "has no more snapshots than are kept",
            OperationKind::Restore => "has the snapshot's state",
            OperationKind::Drill => "could be brought back",
            OperationKind::Migrate => "is served by its new provider",
            OperationKind::Rehearse => "could move: a copy of it came up at the new provider",
            OperationKind::TryOut => "came up as a copy, which was thrown away",
            OperationKind::Import => "has moved in, and is served",
            OperationKind::TakeIn if tenant.spec.mode.as_deref() == Some("active") => {
                "is here, and is served"
            }
            OperationKind::TakeIn => "is here, its services stopped",
            _ => "is deployed",
        };
        output.text(&format!("{} {done}{took}", operation.tenant));
        output.text(&urls(&tenant));
    }
    Ok(())
}

pub(super) async fn revisions(context: &Context, options: &Revisions) -> Result<()> {
    let revisions = context.client.revisions(&options.tenant).await?;
    context.output.result(&revisions, |revisions| {
        let row = |revision: &RevisionInfo| {
            let deployed = if revision.deployed { "yes" } else { "" };
            vec![revision.id.to_string(), words::instant(revision.created_at), deployed.to_owned()]
        };
        columns(&["revision", "rendered", "deployed"], &revisions.iter().map(row).collect::<Vec<_>>())
    });
    Ok(())
}

pub(super) async fn check(context: &Context, options: &Check) -> Result<()> {
    let condition = context.client.check(&options.tenant).await?;
    context.output.result(&condition, found);
    if condition.sound { Ok(()) } else { Err(Failure::Unsound { tenant: options.tenant.clone() }) }
}

/// What a check found, a line each.
fn found(condition: &Condition) -> String {
    if condition.sound {
        return format!("everything is as it should be, {}", words::instant(condition.checked_at));
    }
    let lines = condition.findings.iter().map(|finding| format!("{}: {}", finding.kind, finding.message));
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) async fn config(context: &Context, options: &Config) -> Result<()> {
    let configuration = match &options.revision {
        Some(revision) => context.client.configuration_of(&options.tenant, revision).await?,
        None => context.client.configuration(&options.tenant).await?,
    };
    if let Some(folder) = &options.out {
        files::write(folder, &configuration.files)?;
        context.output.aside(&format!(
            "revision {} is in {}",
            configuration.revision.short(),
            folder.display()
        ));
    }
    if context.output.is_json() {
        context.output.document(&configuration);
    } else if options.out.is_none() {
        context.output.text(&files::show(&configuration.files));
    }
    Ok(())
}

/// Changes what is there, based on its version; if somebody else was faster, on theirs.
async fn set(client: &Client, options: &Set) -> Result<TenantBody> {
    again::where_refused(&[412], async || {
        let tenant = client.tenant(&options.name).await?;
        let wanted = draft::change(&tenant.spec, &options.assignments)?;
        let (Put::Created(tenant) | Put::Updated(tenant)) =
            client.put_tenant(&options.name, &wanted, Some(tenant.version)).await?;
        Ok(*tenant)
    })
    .await
}

async fn delete(context: &Context, options: &Delete) -> Result<()> {
    let Context { client, output } = context;
    let name = &options.name;
    if !options.yes {
        let loss = if options.data == Data::Wipe { " and remove its data for good" } else { "" };
        match ask(format!("Delete the tenant {name}{loss}?")).await {
            Some(true) => {}
            Some(false) => return Err(Failure::local("nothing was deleted")),
            None => {
                return Err(Failure::Usage(format!("deleting {name} needs --yes where nobody can be asked")));
            }
        }
    }
    let how = DeleteTenant { wipe: options.data == Data::Wipe, abandon: options.abandon };
    match client.delete_tenant(name, how).await? {
        Deleted::Gone => {
            output.result(&serde_json::json!({"deleted": name}), |_| format!("{name} is deleted"));
        }
        Deleted::Operation(operation) if options.watch => {
            watching::watch(context, &operation, 0).await?;
            if !output.is_json() {
                output.text(&format!("{name} is deleted"));
            }
        }
        Deleted::Operation(operation) => output.result(&operation, |operation| {
            format!("operation {0} takes {name} off its machine; berth watch {0} follows it", operation.id)
        }),
    }
    Ok(())
}

fn list(tenants: &[TenantBody]) -> String {
    if tenants.is_empty() {
        return "no tenants yet; berth tenant create makes one".to_owned();
    }
    let row = |tenant: &TenantBody| {
        let spec = &tenant.spec;
        let services: Vec<_> = tenant.urls.keys().map(ToString::to_string).collect();
        let deployed = tenant.deployed_revision.as_ref().map_or("not yet", |revision| revision.short());
        vec![
            spec.name.clone(),
            spec.domain.clone(),
            spec.machine.clone(),
            spec.mode.clone().unwrap_or_else(|| "active".to_owned()),
            services.join(", "),
            deployed.to_owned(),
        ]
    };
    let headings = ["name", "domain", "machine", "mode", "services", "deployed"];
    columns(&headings, &tenants.iter().map(row).collect::<Vec<_>>())
}

fn show(tenant: &TenantBody) -> String {
    let spec = &tenant.spec;
    let settings = spec.services.iter().map(|(name, settings)| {
        let settings: Vec<_> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        format!("{name}: {}", settings.join(", "))
    });
    pairs(&[
        ("name", Some(spec.name.clone())),
        ("domain", Some(spec.domain.clone())),
        ("contact", Some(spec.contact_email.clone())),
        ("plan", spec.plan.clone()),
        ("labels", (!spec.labels.is_empty()).then(|| spec.labels.join(", "))),
        ("machine", Some(spec.machine.clone())),
        ("mode", Some(spec.mode.clone().unwrap_or_else(|| "active".to_owned()))),
        ("notice", spec.notice.clone()),
        ("moved to", spec.moved_to.clone()),
        ("settings", Some(settings.collect::<Vec<_>>().join("\n"))),
        ("found at", (!tenant.urls.is_empty()).then(|| urls(tenant))),
        ("version", Some(tenant.version.to_string())),
        (
            "deployed",
            Some(
                tenant.deployed_revision.as_ref().map_or("not yet".to_owned(), |id| format!("revision {id}")),
            ),
        ),
        ("platform", tenant.platform.clone()),
        ("condition", tenant.condition.as_ref().map(found)),
        ("created", Some(words::instant(tenant.created_at))),
        ("changed", Some(words::instant(tenant.updated_at))),
    ])
}

fn urls(tenant: &TenantBody) -> String {
    let lines: Vec<_> =
        tenant.urls.iter().map(|(service, url)| format!("{:<10} {url}", service.as_str())).collect();
    lines.join("\n")
}
