//! Following an operation until it ends, or until the user has seen enough.

use berth_domain::{Operation, OperationStatus};

use super::Context;
use crate::failure::{Failure, Result};
use crate::progress::{Shown, follow};
use crate::words;

/// Follows an operation and says how it ended. Ctrl-C leaves it running.
///
/// # Errors
/// [`Failure::Operation`] if it did not succeed, [`Failure::Detached`] after Ctrl-C.
pub async fn watch(context: &Context, operation: &Operation, after: i64) -> Result<Operation> {
    watch_on(context, operation, after, Shown::new(context.output)).await
}

/// The same for an operation that is only on the way to a result: programs see nothing of it.
///
/// # Errors
/// As [`watch`].
pub async fn watch_aside(context: &Context, operation: &Operation) -> Result<Operation> {
    watch_on(context, operation, 0, Shown::aside(context.output)).await
}

async fn watch_on(
    context: &Context,
    operation: &Operation,
    after: i64,
    mut shown: Shown,
) -> Result<Operation> {
    let ended = tokio::select! {
        ended = follow(&context.client, operation, after, &mut shown) => ended?,
        _ = tokio::signal::ctrl_c() => return Err(Failure::Detached(operation.id)),
    };
    drop(shown);
    if ended.status != OperationStatus::Succeeded {
        show_error(context, &ended);
        return Err(Failure::Operation(Box::new(ended)));
    }
    Ok(ended)
}

/// The log that belongs to the failure; its message is said as the command's failure.
fn show_error(context: &Context, operation: &Operation) {
    let Some(error) = &operation.error else { return };
    if context.output.is_json() {
        return;
    }
    if let Some(derivation) = &error.derivation {
        context.output.aside(derivation);
    }
    for line in &error.log {
        context.output.aside(&format!("  {line}"));
    }
}

/// How long an operation took, as far as it has come.
pub fn took(operation: &Operation) -> Option<String> {
    let (started, finished) = (operation.started_at?, operation.finished_at?);
    Some(words::duration(words::between(started, finished)))
}
