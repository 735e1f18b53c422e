//! `berth preview`

mod show;

use berth_domain::Operation;

use super::Context;
use super::tenant::draft;
use super::watching;
use crate::args::preview::Preview;
use crate::failure::{Failure, Result};

pub(super) async fn run(context: &Context, options: &Preview) -> Result<()> {
    let tenant = options.from.as_deref().map(draft::read).transpose()?;
    let operation = context.client.start_preview(&options.tenant, tenant.as_ref()).await?;
    follow(context, &operation).await?;
    let preview = context.client.preview(operation.id).await?;
    context.output.result(&preview, show::preview);
    Ok(())
}

/// Waits for the end. For programs the preview is the one document, or else the operation that says why there is none.
async fn follow(context: &Context, operation: &Operation) -> Result<()> {
    let ended = watching::watch_aside(context, operation).await;
    if let (true, Err(Failure::Operation(operation))) = (context.output.is_json(), &ended) {
        context.output.document(operation);
    }
    ended.map(drop)
}
