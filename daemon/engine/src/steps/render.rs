//! Spec to flake. The first deployment of a spec keeps its revision; a resumed one uses the revision it began with.

use berth_domain::{OperationKind, Revision, RevisionId};
use chrono::Utc;

use super::{Context, Outcome};
use crate::error::StepError;

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    // The first step, so that nothing was changed yet.
    context.deployer().await?.check(context).await?;
    let store = context.shared.store.clone();
    if let (OperationKind::Deploy, Some(revision)) = (context.kind, context.revision.clone()) {
        context.files = store.revision(&context.tenant, &revision).await?.files;
        return Ok(Outcome::AlreadyThere(described(&revision)));
    }
    // A destroy brings a configuration without any tenant, which is nobody's revision.
    let spec = match context.kind {
        OperationKind::Deploy => Some(store.tenant(&context.tenant).await?.spec),
        OperationKind::Preview => Some(store.previewed_spec(context.operation).await?),
        OperationKind::Destroy => None,
    };
    let platform = context.platform().await?.clone();
    let rendered = context.shared.render(&platform, &context.machine, spec.as_ref()).await?;
    context.files = rendered.files.clone();
    context.revision = Some(rendered.id.clone());
    let message = described(&rendered.id);
    if let (OperationKind::Deploy, Some(spec)) = (context.kind, spec) {
        let tenant = context.tenant.clone();
        let revision =
            Revision { id: rendered.id, tenant, spec, files: rendered.files, created_at: Utc::now() };
        store.keep_revision(&revision).await?;
    }
    Ok(Outcome::Done(message))
}

fn described(revision: &RevisionId) -> String {
    format!("revision {}", revision.short())
}
