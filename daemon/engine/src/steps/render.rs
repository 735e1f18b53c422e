//! Spec to flake. The first deployment of a spec keeps its revision; a resumed one uses the revision it began with, and
//! a rollback the one it goes back to.

use std::sync::Arc;

use berth_domain::{Mode, OperationKind, Revision, RevisionId, TenantSpec};
use berth_render::Rendered;

use super::{Context, Outcome};
use crate::error::{HANDED_OVER, StepError};

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    // The first step, so that nothing was changed yet.
    if context.is_a_drill() {
        // So that its time is known from here on.
        context.keep_found(|_| {}).await?;
    }
    context.deployer().await?.check(context).await?;
    context.connect_early().await?;
    let records = Arc::clone(&context.shared.records);
    if let (true, Some(revision)) = (context.kind.deploys(), context.revision.clone()) {
        let revision = records.revision(&context.tenant, &revision).await?;
        check_epoch(context, &revision.spec.mode).await?;
        context.files = revision.files;
        let revision = revision.id;
        return Ok(Outcome::AlreadyThere(described(&revision)));
    }
    // A destroy brings a configuration without any tenant, which is nobody's revision.
    let spec = match context.kind {
        OperationKind::Deploy | OperationKind::Rollback => Some(records.tenant(&context.tenant).await?.spec),
        OperationKind::Drill => Some(context.drilled_spec().await?),
        OperationKind::Preview => Some(records.previewed_spec(context.operation).await?),
        OperationKind::Destroy
        | OperationKind::Reboot
        | OperationKind::Snapshot
        | OperationKind::Prune
        | OperationKind::Restore
        | OperationKind::Export
        | OperationKind::Migrate
        | OperationKind::Import
        | OperationKind::Rehearse
        | OperationKind::TryOut
        | OperationKind::TakeIn => None,
    };
    if let (OperationKind::Deploy, Some(spec)) = (context.kind, &spec) {
        check_epoch(context, &spec.mode).await?;
    }
    let platform = context.tenants_platform().await?;
    let rendered = context.shared.render(&platform, &context.machine, spec.as_ref()).await?;
    context.files = rendered.files.clone();
    context.revision = Some(rendered.id.clone());
    let message = described(&rendered.id);
    if let (OperationKind::Deploy, Some(spec)) = (context.kind, spec) {
        context.keep_rendered(rendered, spec).await?;
    }
    Ok(Outcome::Done(message))
}

impl Context {
    /// Keeps what was rendered as a revision of the tenant.
    pub(super) async fn keep_rendered(&self, rendered: Rendered, spec: TenantSpec) -> Result<(), StepError> {
        let Rendered { id, files, .. } = rendered;
        let (tenant, created_at) = (self.tenant.clone(), self.shared.clock.now());
        let revision = Revision { id, tenant, spec, files, created_at };
        Ok(self.shared.records.keep_revision(self.hold(), &revision).await?)
    }
}

/// Two providers with one tenant's keys would both speak for it: what another one serves, or may serve, is not served here.
async fn check_epoch(context: &Context, mode: &Mode) -> Result<(), StepError> {
    if !matches!(mode, Mode::Active | Mode::Maintenance) {
        return Ok(());
    }
    match context.shared.records.served_elsewhere(&context.tenant).await? {
        None => Ok(()),
        Some(migration) => {
            let message = format!(
                "another provider serves the tenant, or may serve it (migration {migration}); somebody who knows that it \
                 does not has to take the tenant back first"
            );
            Err(StepError::failed(HANDED_OVER, message))
        }
    }
}

fn described(revision: &RevisionId) -> String {
    format!("revision {}", revision.short())
}
