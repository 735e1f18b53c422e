//! `berth drill` and `berth drills`

use berth_domain::{Drill as Report, DrillOutcome, DrilledService};

use super::{Context, watching};
use crate::args::drill::{Drill, Drills};
use crate::failure::Result;
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, options: &Drill) -> Result<()> {
    let Context { client, output } = context;
    let operation = client.start_drill(&options.tenant, &options.machine, options.snapshot).await?;
    if !options.watch {
        output.result(&operation, |operation| {
            format!("operation {0} is {1}; berth watch {0} follows it", operation.id, operation.status)
        });
        return Ok(());
    }
    output.aside(&format!("operation {}", operation.id));
    let ended = watching::watch(context, &operation, 0).await;
    // What it found is told above all where it failed.
    if !output.is_json()
        && let Ok(found) = client.drill(&options.tenant, operation.id).await
    {
        output.text(&show(&found));
    }
    ended.map(drop)
}

pub(super) async fn list(context: &Context, options: &Drills) -> Result<()> {
    let Context { client, output } = context;
    match options.id {
        Some(id) => output.result(&client.drill(&options.tenant, id).await?, show),
        None => output.result(&client.drills(&options.tenant, options.limit).await?, |drills| table(drills)),
    }
    Ok(())
}

fn table(drills: &[Report]) -> String {
    let row = |drill: &Report| {
        vec![
            drill.id.to_string(),
            words::instant(drill.asked_at),
            drill.machine.to_string(),
            outcome(drill),
            point(drill),
            time(drill),
        ]
    };
    let rows: Vec<_> = drills.iter().map(row).collect();
    columns(&["drill", "began", "machine", "", "state was old", "recovered in"], &rows)
}

fn show(drill: &Report) -> String {
    let error = drill.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    let mut lines = vec![
        ("drill", Some(drill.id.to_string())),
        ("outcome", Some(outcome(drill))),
        ("snapshot", Some(format!("{}, begun {}", drill.snapshot, words::instant(drill.snapshot_at)))),
        ("recovery point", Some(point(drill))),
        ("recovery time", Some(time(drill))),
        ("machine", Some(machine(drill))),
        ("error", error),
    ];
    let services: Vec<_> =
        drill.services.iter().map(|(name, service)| (name.to_string(), described(service))).collect();
    lines.extend(services.iter().map(|(name, text)| (name.as_str(), Some(text.clone()))));
    pairs(&lines)
}

fn outcome(drill: &Report) -> String {
    match drill.outcome {
        DrillOutcome::Failed if !drill.emptied => "failed, and left something".into(),
        outcome => outcome.to_string(),
    }
}

fn point(drill: &Report) -> String {
    drill.recovery_point_seconds.map_or_else(|| "-".into(), |seconds| format!("{seconds} s"))
}

fn time(drill: &Report) -> String {
    drill.recovery_ms.map_or_else(|| "-".into(), |ms| format!("{}.{} s", ms / 1000, ms % 1000 / 100))
}

fn machine(drill: &Report) -> String {
    match (drill.outcome, drill.emptied) {
        (_, true) => format!("{}, empty again", drill.machine),
        (DrillOutcome::Unfinished, false) => format!("{}, lent", drill.machine),
        (_, false) => {
            format!("{}, which could not be emptied and stays lent until the next drill there", drill.machine)
        }
    }
}

fn described(service: &DrilledService) -> String {
    let DrilledService { ok, problem, restore_ms, rows, files, bytes, secrets, left_out } = service;
    let state = match (ok, problem) {
        (true, _) => "ok".into(),
        (false, Some(problem)) => format!("NOT BACK: {problem}"),
        (false, None) => "not known".into(),
    };
    let took = restore_ms.map(|took| format!(", restored in {took} ms")).unwrap_or_default();
    let rows: Vec<String> = rows.iter().map(|(name, rows)| format!(", {rows} rows in {name}")).collect();
    let size = words::bytes(*bytes);
    let secrets = match secrets.len() {
        0 => String::new(),
        1 => ", 1 secret".into(),
        count => format!(", {count} secrets"),
    };
    let missing: Vec<String> = left_out.iter().map(|what| format!("\n  in no snapshot: {what}")).collect();
    format!("{state}{took}{}, {size} in {files} files{secrets}{}", rows.concat(), missing.concat())
}
