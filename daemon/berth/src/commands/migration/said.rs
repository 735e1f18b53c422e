//! Migrations in words.

use std::collections::BTreeSet;
use std::fmt::Display;

use berth_domain::{Arrival, Departure, DrillOutcome, MovePhase, Obstacle, Rehearsal, ServiceName};
use berth_transfer::{Manifest, brief};
use chrono::Utc;
use console::style;

use super::verify::Verdict;
use crate::table::{columns, pairs};
use crate::words;

/// What to do about what keeps a tenant from moving.
pub(super) const AFTER_OBSTACLES: &str =
    "once that is different, the customer hands the same ticket in again: berth migrate TENANT";

/// What is said beside a ticket.
pub(super) fn issued(arrival: &Arrival) -> String {
    let (id, machine, until) = (arrival.id, &arrival.machine, words::instant(arrival.expires_at));
    format!(
        "ticket {id}: a tenant may move to {machine} with it until {until}\n\
         it is a secret, and shown this once; the customer hands it in at the old provider:"
    )
}

/// What whoever waits at the target has to be told.
pub(super) fn code(departure: &Departure) -> String {
    let Departure { code, target, .. } = departure;
    format!("code {code}: whoever accepts the tenant at {} asks for it", brief(target))
}

pub(super) fn tickets(arrivals: &[Arrival]) -> String {
    if arrivals.is_empty() {
        return "no tickets; berth ticket issue makes one".to_owned();
    }
    let row = |arrival: &Arrival| {
        let source = arrival.source.as_ref();
        let tenant = arrival.tenant.as_ref().or(source.map(|source| &source.tenant));
        vec![
            arrival.id.to_string(),
            arrival.machine.to_string(),
            tenant.map(ToString::to_string).unwrap_or_default(),
            source.map(|source| brief(&source.provider)).unwrap_or_default(),
            state(arrival).to_owned(),
            words::instant(arrival.expires_at),
        ]
    };
    let headings = ["ticket", "machine", "tenant", "from", "state", "until"];
    columns(&headings, &arrivals.iter().map(row).collect::<Vec<_>>())
}

/// How a ticket stands, in a word.
fn state(arrival: &Arrival) -> &'static str {
    match arrival.phase {
        phase if phase.is_vacant() && arrival.revoked_at.is_some() => "revoked",
        MovePhase::Offered if arrival.expires_at <= Utc::now() => "expired",
        phase => phase.word(),
    }
}

pub(super) fn arrival(arrival: &Arrival) -> String {
    let source = arrival.source.as_ref();
    let issued = format!("{} by {}", words::instant(arrival.created_at), arrival.issued_by);
    // One that was taken back before anybody came is of no tenant.
    let meaning = meaning(if source.is_some() { arrival.phase } else { MovePhase::Offered });
    pairs(&[
        ("ticket", Some(arrival.id.to_string())),
        ("issued", Some(issued)),
        ("until", Some(words::instant(arrival.expires_at))),
        ("revoked", arrival.revoked_at.map(words::instant)),
        ("state", Some(format!("{}: {meaning}", state(arrival)))),
        ("machine", Some(arrival.machine.to_string())),
        ("tenant", arrival.tenant.as_ref().map(ToString::to_string)),
        ("plan", arrival.plan.as_ref().map(ToString::to_string)),
        ("way back", arrival.returns.map(|left| format!("of the tenant that left by the migration {left}"))),
        ("may bring", arrival.services.as_ref().map(listed)),
        ("at most", arrival.max_bytes.map(words::bytes)),
        ("comes from", source.map(|source| format!("{}, key {}", brief(&source.provider), source.key))),
        (
            "brings",
            source.map(|source| {
                format!("{} ({})\n{}", source.tenant, source.domain, listed(source.services.keys()))
            }),
        ),
        ("wants", source.filter(|_| arrival.rehearses).map(|_| "a rehearsal: the tenant stays there".into())),
        ("code", arrival.code.clone()),
        ("obstacles", obstacles(&arrival.obstacles)),
        ("operation", arrival.operation.map(|operation| operation.to_string())),
        ("message", arrival.message.as_deref().map(brief)),
        ("rehearsal", arrival.rehearsal.as_ref().map(found)),
        ("proof", arrival.countersignature.as_ref().map(|_| signed("berth ticket show", arrival.id))),
        ("can go back until", arrival.way_back_until.map(words::instant)),
        ("ended", arrival.ended_at.map(words::instant)),
    ])
}

pub(super) fn departure(departure: &Departure) -> String {
    pairs(&[
        ("migration", Some(departure.id.to_string())),
        ("tenant", Some(departure.tenant.to_string())),
        ("to", Some(format!("{}, key {}", brief(&departure.target), departure.target_key))),
        ("code", Some(departure.code.clone())),
        ("state", Some(format!("{}: {}", departure.phase, meaning(departure.phase)))),
        ("rehearsal", departure.rehearsal.as_ref().map(found)),
        ("obstacles", obstacles(&departure.obstacles)),
        (
            "forwards to",
            departure
                .address
                .as_ref()
                .filter(|_| departure.handed_over_at.is_some())
                .map(ToString::to_string),
        ),
        ("stopped", departure.stopped_at.map(words::instant)),
        ("handed over", departure.handed_over_at.map(words::instant)),
        ("served there", departure.served_at.map(words::instant)),
        ("kept here until", departure.kept_until.filter(|_| departure.is_elsewhere()).map(words::instant)),
        ("came back", departure.returned_at.map(words::instant)),
        ("proof", departure.countersignature.as_ref().map(|_| signed("berth migration", &departure.tenant))),
        ("operation", Some(departure.operation.to_string())),
    ])
}

/// What a rehearsal found.
pub(super) fn rehearsal(rehearsal: &Rehearsal) -> String {
    pairs(&[("rehearsal", Some(found(rehearsal)))])
}

fn found(rehearsal: &Rehearsal) -> String {
    let mut lines = vec![match (rehearsal.outcome, rehearsal.emptied) {
        (DrillOutcome::Failed, false) => "failed, and left something at the target".into(),
        (outcome, _) => outcome.to_string(),
    }];
    lines.extend(rehearsal.problem.as_deref().map(brief));
    lines.extend(rehearsal.told().iter().map(|line| brief(line)));
    lines.join("\n")
}

fn signed(command: &str, name: impl Display) -> String {
    format!("both have signed; {command} {name} --proof FOLDER writes it down")
}

/// What a phase means, or what is waited for.
fn meaning(phase: MovePhase) -> &'static str {
    match phase {
        MovePhase::Offered => "nobody has handed the ticket in",
        MovePhase::Claimed => "somebody at the new provider has to accept",
        MovePhase::Preparing => "the new provider sets the tenant up, its services stopped",
        MovePhase::Receiving => "the state is being brought",
        MovePhase::Restoring => "the state is put in place there, and compared",
        MovePhase::Trying => "a rehearsal: a copy is started there behind a fence, asked, and thrown away",
        MovePhase::Rehearsed => "the rehearsal is over; the same ticket may be handed in again",
        MovePhase::Ready => "all is in place; the old provider has to stop for good",
        MovePhase::GoingLive => "the new provider has the tenant, and starts its services",
        MovePhase::Live => "the new provider serves",
        MovePhase::Failed => "it came to nothing: the tenant is the old provider’s",
    }
}

fn obstacles(obstacles: &[Obstacle]) -> Option<String> {
    (!obstacles.is_empty()).then(|| obstacles.iter().map(words::obstacle).collect::<Vec<_>>().join("\n"))
}

fn listed<'a>(services: impl IntoIterator<Item = &'a ServiceName>) -> String {
    // Each once, in their order.
    let services: BTreeSet<_> = services.into_iter().map(ToString::to_string).collect();
    services.into_iter().collect::<Vec<_>>().join(", ")
}

/// What two providers signed, and whether it holds.
pub(super) fn verdict(verdict: &Verdict) -> String {
    let mut parts = Vec::new();
    if let Some(manifest) = &verdict.manifest {
        parts.push(source(&manifest.said, &manifest.key));
    }
    if let Some(receipt) = &verdict.countersignature {
        parts.push(pairs(&[
            ("signed by", Some(format!("the {}, key {}", brief(&receipt.role), receipt.key))),
            ("at", Some(words::instant(receipt.at))),
        ]));
    }
    let problems = verdict.problems.iter().map(|problem| format!("{} {problem}", style("✘").red().bold()));
    let problems: Vec<_> = problems.collect();
    if verdict.holds {
        let mark = style("✔").green();
        parts.push(format!("{mark} both hold: the target served, and signed for what the source sent"));
    } else {
        parts.push(problems.join("\n"));
    }
    parts.join("\n\n")
}

fn source(manifest: &Manifest, key: &str) -> String {
    let mut lines = vec![
        ("signed by", Some(format!("the source, key {key}"))),
        ("migration", Some(manifest.offer.to_string())),
        ("tenant", Some(manifest.tenant.to_string())),
        ("taken", Some(words::instant(manifest.taken_at))),
        ("revision", manifest.revision.as_ref().map(|revision| revision.short().to_owned())),
    ];
    let services: Vec<_> = manifest
        .services
        .iter()
        .map(|(service, moved)| {
            let version = moved.data_version.as_ref().map(|version| format!(", data {version}"));
            let databases = moved.databases.iter().map(|name| brief(name)).collect::<Vec<_>>().join(", ");
            let databases = (!databases.is_empty()).then(|| format!("; databases {databases}"));
            let left_out = moved.left_out.iter().map(|what| format!("\nleft out: {}", brief(what)));
            let text = format!(
                "{} in {} files{}{}{}",
                words::bytes(moved.bytes),
                moved.files,
                version.unwrap_or_default(),
                databases.unwrap_or_default(),
                left_out.collect::<String>(),
            );
            (service.to_string(), text)
        })
        .collect();
    lines.extend(services.iter().map(|(service, text)| (service.as_str(), Some(text.clone()))));
    let bytes = manifest.services.values().map(|moved| moved.bytes).fold(0, u64::saturating_add);
    lines.push(("altogether", Some(words::bytes(bytes))));
    pairs(&lines)
}
