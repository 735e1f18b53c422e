//! The daemon forgets the tenant. A machine that still holds its data is remembered as such, so that no other
//! tenant is put on top of it.

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Keep;

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    let (records, keeps_data) = (&context.shared.records, !context.wipe);
    if let (false, Some(vault)) = (keeps_data, records.vault(&context.tenant).await?) {
        context.shared.vaults.destroy(vault.id).await?;
        records.forget_vault(context.hold(), vault.id).await?;
    }
    match records.forget_tenant(context.hold(), &context.tenant, &context.machine, keeps_data).await {
        Ok(()) | Err(berth_store::StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    context.shared.builder.release(Keep::Machine(&context.machine)).await;
    let data = if keeps_data { "keeps the data" } else { "holds no data" };
    Ok(Outcome::Done(format!("the machine is vacant and {data}")))
}
