//! How files and packages would differ from what was deployed last.

use berth_domain::Preview;
use berth_domain::preview::{ClosureChange, PreviewPart};
use berth_domain::revision::Files;

use super::{Context, Outcome};
use crate::difference::changed_files;
use crate::error::StepError;

/// The code of a failure where the daemon's own store does not hold what is to be compared.
const NOT_IN_STORE: &str = "not-in-store";

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    let records = &context.shared.records;
    let tenant = records.tenant(&context.tenant).await?;
    let deployed = match &tenant.deployed_revision {
        Some(revision) => records.revision(&context.tenant, revision).await?.files,
        None => Files::new(),
    };
    let (system, revision) = (context.system()?, context.revision()?);
    let closure = changed_packages(context, tenant.deployed_system.as_deref(), &system).await;
    let preview = context.preview.insert(Preview {
        revision,
        deployed_revision: tenant.deployed_revision,
        system,
        deployed_system: tenant.deployed_system,
        files: changed_files(&deployed, &context.files),
        closure: None,
        machine: None,
        missing: Vec::new(),
    });
    let files = preview.files.len();
    match closure {
        Ok(closure) => {
            let packages = closure.packages.len();
            preview.closure = Some(closure);
            Ok(Outcome::Done(format!("files that would change: {files}, packages: {packages}")))
        }
        Err(error) => context.without(PreviewPart::Closure, error),
    }
}

async fn changed_packages(
    context: &Context,
    deployed: Option<&str>,
    system: &str,
) -> Result<ClosureChange, StepError> {
    let builder = &context.shared.builder;
    if let Some(deployed) = deployed
        && !builder.has(deployed).await
    {
        let message = format!("the deployed system {deployed} is not in the daemon's store any more");
        return Err(StepError::failed(NOT_IN_STORE, message));
    }
    let bounds = context.bounds(context.shared.options.timeouts.brief);
    builder.compare(deployed, system, &bounds).await
}
