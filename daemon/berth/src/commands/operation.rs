//! `berth operation …`, `berth watch` and `berth link`

use berth_client::OperationFilter;
use berth_contract::NewWatchLink;
use berth_domain::{Operation as OperationBody, Step};

use super::Context;
use super::watching::{self, took};
use crate::args::operation::Operation;
use crate::args::{Link, Watch};
use crate::failure::Result;
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, command: Operation) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Operation::List { tenant, status, limit } => {
            let operations = client.operations(&OperationFilter { tenant, status }, limit).await?;
            output.result(&operations, |operations| list(operations));
        }
        Operation::Show { id } => output.result(&client.operation(id).await?, show),
        Operation::Cancel { id } => {
            let operation = client.cancel(id).await?;
            output.result(&operation, |operation| format!("asked to end; it is {} now", operation.status));
        }
    }
    Ok(())
}

pub(super) async fn watch(context: &Context, options: &Watch) -> Result<()> {
    let operation = context.client.operation(options.operation).await?;
    let ended = watching::watch(context, &operation, options.after).await?;
    if !context.output.is_json() {
        let took = took(&ended).map(|took| format!(" in {took}")).unwrap_or_default();
        context.output.text(&format!("the {} of {} succeeded{took}", ended.kind, ended.tenant));
    }
    Ok(())
}

pub(super) async fn link(context: &Context, options: &Link) -> Result<()> {
    let new = NewWatchLink { expires_in_seconds: options.expires_in };
    let link = context.client.watch_link(options.operation, &new).await?;
    context.output.aside(&format!("until {}:", words::instant(link.expires_at)));
    context.output.result(&link, |link| link.url.clone());
    Ok(())
}

fn list(operations: &[OperationBody]) -> String {
    if operations.is_empty() {
        return "no operations; berth deploy starts one".to_owned();
    }
    let row = |operation: &OperationBody| {
        vec![
            operation.id.to_string(),
            operation.tenant.to_string(),
            operation.kind.to_string(),
            operation.status.to_string(),
            words::instant(operation.created_at),
            took(operation).unwrap_or_default(),
        ]
    };
    let headings = ["id", "tenant", "what", "status", "asked for", "took"];
    columns(&headings, &operations.iter().map(row).collect::<Vec<_>>())
}

fn show(operation: &OperationBody) -> String {
    let error = operation.error.as_ref();
    let head = pairs(&[
        ("id", Some(operation.id.to_string())),
        ("what", Some(format!("{} of {} on {}", operation.kind, operation.tenant, operation.machine))),
        ("status", Some(operation.status.to_string())),
        (
            "asked for",
            Some(format!("{} by {}", words::instant(operation.created_at), operation.requested_by)),
        ),
        ("took", took(operation)),
        ("revision", operation.revision.as_ref().map(ToString::to_string)),
        ("system", operation.system.clone()),
        ("error", error.map(|error| format!("{} ({})", error.message, error.code))),
        ("derivation", error.and_then(|error| error.derivation.clone())),
        ("log", error.filter(|error| !error.log.is_empty()).map(|error| error.log.join("\n"))),
    ]);
    let rows: Vec<_> = operation.steps.iter().map(step).collect();
    format!("{head}\n\n{}", columns(&["step", "status", "took", "progress"], &rows))
}

fn step(step: &Step) -> Vec<String> {
    let took = step.started_at.zip(step.finished_at).map(|(start, end)| words::between(start, end));
    vec![
        step.name.to_string(),
        step.status.to_string(),
        took.map(words::duration).unwrap_or_default(),
        step.progress.as_ref().map(words::progress).unwrap_or_default(),
    ]
}
