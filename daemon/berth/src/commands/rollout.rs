//! `berth rollout …`

use berth_client::Update;
use berth_domain::rollout::spec::SelectorDraft;
use berth_domain::rollout::{RolloutEventKind, RolloutWave};
use berth_domain::{
    Rollout as RolloutBody, RolloutDraft, RolloutEvent, RolloutId, RolloutStatus, RolloutTenant,
};
use serde_json::json;

use super::Context;
use crate::args::rollout::{Rollout, Select, Start};
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, command: Rollout) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Rollout::Start(options) => return start(context, options).await,
        Rollout::List { limit } => {
            output.result(&client.rollouts(limit).await?, |rollouts| list(rollouts));
        }
        Rollout::Show { id } => output.result(&client.rollout(id).await?, show),
        Rollout::Pause { id } => output.result(&client.pause_rollout(id).await?, stands),
        Rollout::Resume { id } => output.result(&client.resume_rollout(id).await?, stands),
        Rollout::Abort { id, cancel } => output.result(&client.abort_rollout(id, cancel).await?, stands),
        Rollout::Watch { id, after } => return watch(context, id, after).await,
    }
    Ok(())
}

async fn start(context: &Context, options: Start) -> Result<()> {
    let watched = options.watch;
    let rollout = context.client.start_rollout(&draft(options)).await?;
    if watched {
        return watch(context, rollout.id, 0).await;
    }
    context.output.result(&rollout, |rollout| {
        let (tenants, waves) = (rollout.tenants.len(), rollout.waves.len());
        format!(
            "{}  {tenants} tenants in {waves} waves; follow it: berth rollout watch {}",
            rollout.id, rollout.id
        )
    });
    Ok(())
}

fn draft(options: Start) -> RolloutDraft {
    let Select { all, service, label, tenants } = options.select;
    let select = SelectorDraft {
        all: all.then_some(true),
        service: service.map(Into::into),
        label: label.map(Into::into),
        tenants: (!tenants.is_empty()).then(|| tenants.into_iter().map(Into::into).collect()),
    };
    let waves: Vec<_> = options.waves.into_iter().map(Into::into).collect();
    RolloutDraft {
        select,
        waves: (!waves.is_empty()).then_some(waves),
        max_failures: options.max_failures.map(Into::into),
        parallel: options.parallel,
        platform: options.platform,
    }
}

/// Follows a rollout and says how it ended. Ctrl-C leaves it running.
async fn watch(context: &Context, id: RolloutId, after: i64) -> Result<()> {
    let ended = tokio::select! {
        ended = follow(context, id, after) => ended?,
        _ = tokio::signal::ctrl_c() => return Err(Failure::DetachedRollout(id)),
    };
    if ended.status != RolloutStatus::Succeeded {
        return Err(Failure::Rollout(Box::new(ended)));
    }
    if !context.output.is_json() {
        context.output.text(&summary(&ended));
    }
    Ok(())
}

async fn follow(context: &Context, id: RolloutId, after: i64) -> Result<RolloutBody> {
    let mut watch = context.client.watch_rollout(id, after);
    while let Some(update) = watch.next().await? {
        tell(context.output, &update);
        if let Update::Ended(rollout) = update {
            return Ok(*rollout);
        }
    }
    Err(Failure::local("the stream of events ended without the rollout’s end"))
}

fn tell(output: Output, update: &Update<RolloutBody>) {
    match update {
        Update::Event(event) if output.is_json() => output.json_line(event),
        Update::Event(event) => output.aside(&line(event)),
        Update::Gap { oldest } if output.is_json() => output.json_line(&json!({"gap": {"oldest": oldest}})),
        Update::Gap { .. } => output.aside("earlier events are no longer kept"),
        Update::Lost { reason, .. } => output.aside(reason),
        Update::Ended(rollout) if output.is_json() => output.json_line(rollout),
        Update::Ended(_) => {}
    }
}

fn line(event: &RolloutEvent) -> String {
    let operation = match (event.kind, event.operation) {
        (RolloutEventKind::TenantStarted, Some(id)) => format!("  (berth watch {id})"),
        _ => String::new(),
    };
    format!("{}  {}{operation}", words::clock(event.at), event.message)
}

fn stands(rollout: &RolloutBody) -> String {
    format!("it is {} now", rollout.status)
}

/// How many tenants came out how.
pub(crate) fn summary(rollout: &RolloutBody) -> String {
    let count = |of: fn(&RolloutWave) -> u32| rollout.waves.iter().map(of).sum::<u32>();
    format!(
        "the rollout {}: {} deployed, {} failed, {} not touched",
        rollout.status,
        count(|wave| wave.succeeded),
        count(|wave| wave.failed),
        count(|wave| wave.passed_over)
    )
}

fn list(rollouts: &[RolloutBody]) -> String {
    if rollouts.is_empty() {
        return "no rollouts; berth rollout start begins one".to_owned();
    }
    let row = |rollout: &RolloutBody| {
        let count = |of: fn(&RolloutWave) -> u32| rollout.waves.iter().map(of).sum::<u32>();
        vec![
            rollout.id.to_string(),
            rollout.status.to_string(),
            format!("{} of {}", rollout.wave, rollout.waves.len()),
            format!("{} of {}", count(|wave| wave.succeeded), count(|wave| wave.tenants)),
            count(|wave| wave.failed).to_string(),
            words::instant(rollout.created_at),
        ]
    };
    let headings = ["id", "status", "wave", "deployed", "failed", "asked for"];
    columns(&headings, &rollouts.iter().map(row).collect::<Vec<_>>())
}

fn show(rollout: &RolloutBody) -> String {
    let asked = format!("{} by {}", words::instant(rollout.created_at), rollout.requested_by);
    let error = rollout.error.as_ref().map(|error| format!("{} ({})", error.message, error.code));
    let head = pairs(&[
        ("id", Some(rollout.id.to_string())),
        ("status", Some(rollout.status.to_string())),
        ("asked for", Some(asked)),
        ("platform", rollout.platform.clone()),
        ("wave", Some(format!("{} of {}", rollout.wave, rollout.waves.len()))),
        ("error", error),
    ]);
    let row = |tenant: &RolloutTenant| {
        vec![
            tenant.wave.to_string(),
            tenant.tenant.to_string(),
            tenant.state.to_string(),
            tenant.operation.map(|id| id.to_string()).unwrap_or_default(),
            tenant.problem.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<_> = rollout.tenants.iter().map(row).collect();
    format!("{head}\n\n{}", columns(&["wave", "tenant", "state", "operation", "problem"], &rows))
}
