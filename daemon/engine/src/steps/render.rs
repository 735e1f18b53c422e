//! Spec to flake. The first deployment of a spec keeps its revision; a resumed one uses the revision it began with.

use berth_domain::{Driver, OperationKind, Revision, RevisionId};
use chrono::Utc;

use super::{Context, Outcome};
use crate::error::StepError;

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    let store = context.shared.store.clone();
    refuse_absent_driver(store.machine(&context.machine).await?.spec.driver)?;
    if let (OperationKind::Deploy, Some(revision)) = (context.kind, context.revision.clone()) {
        context.files = store.revision(&context.tenant, &revision).await?.files;
        return Ok(Outcome::AlreadyThere(described(&revision)));
    }
    // A destroy brings a configuration without any tenant, which is nobody's revision.
    let spec = match context.kind {
        OperationKind::Deploy => Some(store.tenant(&context.tenant).await?.spec),
        OperationKind::Destroy => None,
    };
    let platform = context.platform().await?.clone();
    let rendered = context.shared.render(&platform, &context.machine, spec.as_ref()).await?;
    context.files = rendered.files.clone();
    context.revision = Some(rendered.id.clone());
    let message = described(&rendered.id);
    if let Some(spec) = spec {
        let tenant = context.tenant.clone();
        let revision =
            Revision { id: rendered.id, tenant, spec, files: rendered.files, created_at: Utc::now() };
        store.keep_revision(&revision).await?;
    }
    Ok(Outcome::Done(message))
}

/// Before anything is changed.
fn refuse_absent_driver(driver: Driver) -> Result<(), StepError> {
    match driver {
        Driver::Berth => Ok(()),
        Driver::NixosRebuild | Driver::Nixops4 => {
            let message = format!("this daemon cannot deploy with the driver {driver}");
            Err(StepError::failed("driver-missing", message))
        }
    }
}

fn described(revision: &RevisionId) -> String {
    format!("revision {}", revision.short())
}
