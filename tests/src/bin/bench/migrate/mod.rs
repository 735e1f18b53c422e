//! Migrations between two providers: how fast, how long nobody serves, and what faults make of them.

mod data;
mod peer;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_domain::{EventKind, MovePhase, OperationId, OperationStatus, StepName};
use berth_tests::moving::{self, Followed, Neighbours, ticket_for};
use berth_tests::stage::name;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::Tell;
use data::Data;

/// How many faults.
const FAULTS: usize = 60;

/// Measures a first copy against a plain one, what a change of a hundredth takes, and how long nobody serves; then disturbs
/// migrations of little data.
pub async fn measure(seed: Option<u64>, faults: Option<usize>, tell: &Tell) -> Result<Value> {
    let seed = seed.filter(|seed| *seed != 0).unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1 | 1);
    tell.say(&format!("seed {seed}"));
    let faults = faults.unwrap_or(FAULTS);
    let mut figures = speed(seed, tell).await?;
    let tally = moving::wreak(faults, seed, |line| tell.say(line)).await?;
    let tally = tally.context("machines cannot be booted here")?;
    tell.say(&format!("{:<16} {:>6} {:>6} {:>6}", "fault", "faults", "moved", "wrong"));
    for (fault, count) in &tally {
        let (faults, wrong) = (count.faults, count.wrong.len());
        tell.say(&format!("{:<16} {faults:>6} {:>6} {wrong:>6}", format!("{fault:?}"), count.moved));
        count.wrong.iter().for_each(|wrong| tell.say(&format!("  wrong: {wrong}")));
    }
    let sum = |of: fn(&moving::Count) -> usize| tally.values().map(of).sum::<usize>();
    figures["faults"] = sum(|count| count.faults).into();
    figures["wrong"] = sum(|count| count.wrong.len()).into();
    figures["seed"] = seed.into();
    Ok(figures)
}

/// The same data, on the same machines, one after the other: by `tar`, by a migration that is cancelled once everything is
/// copied, by one after a hundredth was changed.
async fn speed(seed: u64, tell: &Tell) -> Result<Value> {
    let neighbours = Neighbours::settle(seed, Followed::Large).await?;
    let neighbours = neighbours.context("machines cannot be booted here")?;
    let (source, target) = neighbours.sides();
    let data = Data::write(&source.machine, seed)?;
    tell.say(&format!("{} bytes in {} files", data.bytes, data.files));
    let plain = peer::copy(source, target)?;
    tell.say(&format!("tar | zstd -1 | ssh: {:.1} s", plain.as_secs_f64()));

    let issued = target.stage.client.issue_ticket(&ticket_for(&target.machine)?).await?;
    let ticket = SecretString::from(issued.ticket);
    let first = source.stage.client.migrate(&name(moving::TENANT), &ticket).await?.id;
    moving::accept(&source.stage.client, &target.stage.client, issued.info.id).await?;
    after_step(source, first, StepName::Precopy).await?;
    source.stage.client.cancel(first).await?;
    moving::ended(&source.stage.client, first, moving::patience()).await?;
    let first_copy = first_pass(source, first).await?;
    tell.say(&format!("first copy: {:.1} s", first_copy.as_secs_f64()));

    data.is_settled().await;
    data.change_a_hundredth(&source.machine)?;
    let arrival = target.stage.client.ticket(issued.info.id).await?;
    ensure!(arrival.phase == MovePhase::Failed, "it was to be given up: {arrival:?}");
    if let Some(operation) = arrival.operation {
        moving::ended(&target.stage.client, operation, moving::patience()).await?;
    }
    let second = source.stage.client.migrate(&name(moving::TENANT), &ticket).await?.id;
    moving::accept(&source.stage.client, &target.stage.client, issued.info.id).await?;
    let left = moving::ended(&source.stage.client, second, moving::patience()).await?;
    ensure!(left.status == OperationStatus::Succeeded, "the migration failed: {:?}", left.error);
    let delta = first_pass(source, second).await?;
    tell.say(&format!("after a hundredth was changed: {:.1} s", delta.as_secs_f64()));
    let arrival = target.stage.client.ticket(issued.info.id).await?;
    let arriving = arrival.operation.context("the target has an operation")?;
    let departure = source.stage.client.migration(&name(moving::TENANT)).await?;
    let stopped = departure.stopped_at.context("it was stopped")?;
    for line in moments(source, target, (second, arriving), (left.created_at, stopped)).await? {
        tell.say(&line);
    }
    let (from, to) = departure.stopped_at.zip(departure.served_at).context("it was stopped and served")?;
    let downtime = (to - from).to_std().unwrap_or_default();
    for step in &left.steps {
        if let (Some(from), Some(to)) = (step.started_at, step.finished_at) {
            tell.say(&format!("  {:<10} {:.1} s", step.name.word(), (to - from).as_seconds_f64()));
        }
    }
    tell.say(&format!("nobody served for {:.1} s:", downtime.as_secs_f64()));
    for line in moments(source, target, (second, arriving), (from, to)).await? {
        tell.say(&line);
    }
    Ok(json!({
        "throughput_ratio": plain.as_secs_f64() / first_copy.as_secs_f64(),
        "delta_ratio": delta.as_secs_f64() / first_copy.as_secs_f64(),
        "downtime_s": downtime.as_secs_f64(),
        "bytes": data.bytes,
        "files": data.files,
    }))
}

/// What both sides told in a while: when, by whom, and what.
async fn moments(
    source: &moving::House,
    target: &moving::House,
    (leaving, arriving): (OperationId, OperationId),
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (side, house, id) in [("source", source, leaving), ("target", target, arriving)] {
        for event in berth_tests::told::Told::follow(&house.stage.client, id).await?.events {
            if !(from..=to).contains(&event.at) {
                continue;
            }
            match event.progress {
                None => told.push((event.at, side, event.step, event.message)),
                // How far something is, is told without words.
                Some(progress) => {
                    let of = progress.expected.map_or(String::new(), |expected| format!(" of {expected}"));
                    let message = format!("{}{of} {:?}", progress.done, progress.unit);
                    told.push((event.at, side, event.step, message));
                }
            }
        }
    }
    told.sort_by_key(|(at, ..)| *at);
    let line = |(at, side, step, message): (DateTime<Utc>, _, Option<StepName>, String)| {
        let step = step.map_or("", |step| step.word());
        format!("  {:>6.2} s  {side}  {step:<12} {message}", (at - from).as_seconds_f64())
    };
    Ok(told.into_iter().map(line).collect())
}

/// Waits until a step of an operation has ended.
async fn after_step(house: &moving::House, id: OperationId, name: StepName) -> Result<()> {
    loop {
        let operation = house.stage.client.operation(id).await?;
        ensure!(!operation.status.is_final(), "it ended early: {:?}", operation.error);
        if operation.step(name).is_some_and(|step| step.finished_at.is_some()) {
            return Ok(());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// How long the first pass took, from the step's begin to the line that tells of it.
async fn first_pass(house: &moving::House, id: OperationId) -> Result<Duration> {
    let told = berth_tests::told::Told::follow(&house.stage.client, id).await?;
    let of_step = || told.events.iter().filter(|event| event.step == Some(StepName::Precopy));
    let begun = of_step().find(|event| event.kind == EventKind::StepStarted).context("it began")?.at;
    let ended = of_step().find(|event| event.message.starts_with("pass 1:")).context("it had a pass")?.at;
    Ok((ended - begun).to_std()?)
}
