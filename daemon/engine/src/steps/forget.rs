//! The daemon forgets the tenant. A machine that still holds its data is remembered as such, so that no other
//! tenant is put on top of it.

use super::{Context, Outcome};
use crate::error::StepError;
use crate::ports::Keep;

pub(super) async fn run(context: &mut Context) -> Result<Outcome, StepError> {
    let store = &context.shared.store;
    let holds = (!context.wipe).then_some(&context.tenant);
    store.set_machine_holds(&context.machine, holds).await?;
    match store.delete_tenant(&context.tenant).await {
        Ok(()) | Err(berth_store::StoreError::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    context.shared.builder.release(Keep::Machine(&context.machine)).await;
    Ok(Outcome::Done(match holds {
        Some(_) => "the machine is vacant and keeps the data".into(),
        None => "the machine is vacant and holds no data".into(),
    }))
}
