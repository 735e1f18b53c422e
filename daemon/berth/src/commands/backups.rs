//! `berth backups …`

use berth_contract::TenantBackups;
use berth_domain::backup::{DrillDraft, KeepDraft};
use berth_domain::{BackupDraft, BackupFailure, Pause};

use super::{Context, again};
use crate::args::backups::{Backups, Set};
use crate::failure::{Failure, Result};
use crate::table::pairs;
use crate::words;

pub(super) async fn run(context: &Context, command: Backups) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Backups::Show { tenant } => {
            let backups = client.backups(&tenant).await?;
            output.result(&backups, show);
            if !backups.findings.is_empty() {
                return Err(Failure::Unsound { tenant });
            }
        }
        Backups::Set(options) => output.result(&set(context, &options).await?, show),
        Backups::Off { tenant } => {
            client.delete_backups(&tenant).await?;
            output.result(&serde_json::json!({"off": tenant}), |_| {
                format!("no snapshots of {tenant} are made by themselves any more; those that are there stay")
            });
        }
    }
    Ok(())
}

/// Changes what is there, based on its version; if somebody else was faster, on theirs.
async fn set(context: &Context, options: &Set) -> Result<TenantBackups> {
    // 409: somebody else gave the tenant its first plan.
    again::where_refused(&[409, 412], async || {
        let stored = match context.client.backups(&options.tenant).await {
            Ok(stored) => Some(stored),
            Err(error) if error.is_refusal("not-found") => None,
            Err(error) => return Err(error.into()),
        };
        let wanted = changed(stored.as_ref().map(|stored| &stored.plan), options)?;
        let version = stored.map(|stored| stored.version);
        Ok(context.client.put_backups(&options.tenant, &wanted, version).await?)
    })
    .await
}

/// The plan with what the options name.
fn changed(stored: Option<&BackupDraft>, options: &Set) -> Result<BackupDraft> {
    let schedule = options.schedule.clone().or_else(|| stored.map(|plan| plan.schedule.clone()));
    let missing = || Failure::Usage("the tenant has no plan yet; --schedule says when".into());
    let stored_keep = stored.and_then(|plan| plan.keep);
    Ok(BackupDraft {
        schedule: schedule.ok_or_else(missing)?,
        timezone: options.timezone.clone().or_else(|| stored.and_then(|plan| plan.timezone.clone())),
        jitter_minutes: options.jitter.or_else(|| stored.and_then(|plan| plan.jitter_minutes)),
        grace_minutes: options.grace.or_else(|| stored.and_then(|plan| plan.grace_minutes)),
        keep: if options.keep_all { None } else { kept(stored_keep, options) },
        drill: drilled(stored.and_then(|plan| plan.drill.clone()), options)?,
    })
}

fn drilled(stored: Option<DrillDraft>, options: &Set) -> Result<Option<DrillDraft>> {
    let Set { drill_schedule, drill_machine, drill_grace, no_drills, .. } = options;
    let named = drill_schedule.is_some() || drill_machine.is_some() || drill_grace.is_some();
    match (stored, named) {
        _ if *no_drills => Ok(None),
        (stored, false) => Ok(stored),
        (stored, true) => {
            let (schedule, machine, grace) = match stored {
                Some(stored) => (Some(stored.schedule), Some(stored.machine), stored.grace_minutes),
                None => (None, None, None),
            };
            let missing = || Failure::Usage("drills need both --drill-schedule and --drill-machine".into());
            Ok(Some(DrillDraft {
                schedule: drill_schedule.clone().or(schedule).ok_or_else(missing)?,
                machine: drill_machine.clone().or(machine).ok_or_else(missing)?,
                grace_minutes: drill_grace.or(grace),
            }))
        }
    }
}

fn kept(stored: Option<KeepDraft>, options: &Set) -> Option<KeepDraft> {
    let numbers = [options.keep_last, options.keep_daily, options.keep_weekly, options.keep_monthly];
    let nothing_named = numbers.iter().all(Option::is_none) && options.also_by_hand.is_none();
    if nothing_named && stored.is_none() {
        return None;
    }
    let before = stored.unwrap_or_default();
    Some(KeepDraft {
        last: options.keep_last.unwrap_or(before.last),
        daily: options.keep_daily.unwrap_or(before.daily),
        weekly: options.keep_weekly.unwrap_or(before.weekly),
        monthly: options.keep_monthly.unwrap_or(before.monthly),
        also_by_hand: options.also_by_hand.unwrap_or(before.also_by_hand),
    })
}

fn show(backups: &TenantBackups) -> String {
    let plan = &backups.plan;
    let zone = plan.timezone.as_deref().unwrap_or("UTC");
    let schedule =
        format!("{} {zone}, spread over {} min", plan.schedule, plan.jitter_minutes.unwrap_or_default());
    let findings: Vec<String> =
        backups.findings.iter().map(|finding| format!("{}: {}", finding.kind, finding.message)).collect();
    pairs(&[
        ("schedule", Some(schedule)),
        ("kept", Some(plan.keep.map_or_else(|| "all".into(), keeping))),
        ("missed after", plan.grace_minutes.map(|minutes| format!("{minutes} min"))),
        ("rests", backups.paused.map(resting)),
        ("next", backups.next_due_at.map(words::instant)),
        (
            "last whole",
            Some(backups.last_whole.map_or_else(
                || "none".into(),
                |last| format!("{}, snapshot {}", words::instant(last.at), last.snapshot),
            )),
        ),
        ("overdue since", backups.overdue_since.map(words::instant)),
        ("failed", backups.failure.as_ref().map(failed)),
        ("not tidied", backups.prune_failure.as_ref().map(failed)),
        ("drills", Some(plan.drill.as_ref().map_or_else(|| "none".into(), drilling))),
        ("next drill", backups.next_drill_at.map(words::instant)),
        (
            "last passed",
            backups.last_drill.as_ref().map(|drill| {
                let seconds = drill.recovery_ms.unwrap_or_default() / 1000;
                let age = drill.recovery_point_seconds.unwrap_or_default();
                format!("{}, recovered in {seconds} s to a state {age} s old", words::instant(drill.asked_at))
            }),
        ),
        ("drill overdue", backups.drill_overdue_since.map(words::instant)),
        ("drill failed", backups.drill_failure.as_ref().map(failed)),
        ("condition", Some(if findings.is_empty() { "as it should be".into() } else { findings.join("\n") })),
    ])
}

fn drilling(drill: &DrillDraft) -> String {
    let grace =
        drill.grace_minutes.map(|minutes| format!(", missed after {minutes} min")).unwrap_or_default();
    format!("{} on {}{grace}", drill.schedule, drill.machine)
}

fn keeping(keep: KeepDraft) -> String {
    let KeepDraft { last, daily, weekly, monthly, also_by_hand } = keep;
    let kinds = [(last, "last"), (daily, "daily"), (weekly, "weekly"), (monthly, "monthly")];
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let kinds: Vec<String> = kinds.map(|(number, kind)| format!("{number} {kind}")).collect();
    let others = if also_by_hand {
        "those made by hand counted like the others"
    } else {
        "those made by hand for good"
    };
    format!("{}; {others}", kinds.join(", "))
}

fn resting(pause: Pause) -> String {
    match pause {
        Pause::NotDeployed => "until the tenant is deployed".into(),
        Pause::Moved => "as another provider serves the tenant".into(),
    }
}

fn failed(failure: &BackupFailure) -> String {
    let BackupFailure { operation, at, code, message, .. } = failure;
    format!("{}, operation {operation}, {code}: {message}", words::instant(*at))
}
