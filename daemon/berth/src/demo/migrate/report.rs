//! What came of it.

use berth_domain::Departure;
use serde::Serialize;

use super::super::report::indent;
use super::notes::Kept;
use super::probe::Seen;
use crate::failure::{Failure, Result};
use crate::table::{columns, pairs};

/// With `--json`, this is what the demo prints.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether the new provider has exactly what the old one had, and the old address leads there.
    pub(super) everything_arrived: bool,
    /// How long no service was served, as the source measured it, in milliseconds.
    downtime_ms: i64,
    /// What a visitor saw who asked all the time.
    visitor: Seen,
    /// What each service kept before, and keeps at its new provider.
    services: Vec<Moved>,
    /// The keys that signed the manifest, and for it.
    source_key: String,
    target_key: String,
    /// The migration, with both signatures.
    migration: Departure,
}

#[derive(Debug, Serialize)]
struct Moved {
    host: String,
    before: u64,
    after: u64,
    intact: bool,
    forwarded: bool,
}

impl Report {
    pub(super) fn of(
        departure: &Departure,
        seen: &Seen,
        before: &[Kept],
        after: &[Kept],
        forwarded: &[Kept],
    ) -> Result<Self> {
        let services = before.iter().zip(after).zip(forwarded);
        let services = services.map(|((before, after), forwarded)| Moved {
            host: before.host.clone(),
            before: before.count,
            after: after.count,
            intact: after.intact && after.head == before.head,
            forwarded: forwarded == after,
        });
        let services: Vec<_> = services.collect();
        let away = departure.stopped_at.zip(departure.served_at).map(|(from, to)| to - from);
        let signer = |jws: &Option<String>, typ: &str| {
            let jws = jws.as_deref().unwrap_or_default();
            berth_sign::verify_embedded(jws, typ).map(|signed| signed.key.id().to_string())
        };
        let unsigned =
            |error: berth_sign::JwsError| Failure::local(format!("a signature does not hold: {error}"));
        let typ = <berth_transfer::Manifest as berth_transfer::Statement>::TYP;
        Ok(Self {
            everything_arrived: services.iter().all(|moved| moved.intact && moved.forwarded),
            downtime_ms: away.map_or(0, |away| away.num_milliseconds()),
            visitor: seen.clone(),
            services,
            source_key: signer(&departure.manifest, typ).map_err(unsigned)?,
            target_key: signer(&departure.countersignature, berth_sign::countersign::COUNTERSIGNATURE)
                .map_err(unsigned)?,
            migration: departure.clone(),
        })
    }
}

/// The same for people.
pub(super) fn text(report: &Report) -> String {
    let yes = |yes: bool| if yes { "yes" } else { "NO" }.to_owned();
    let row = |moved: &Moved| {
        let (before, after) = (moved.before.to_string(), moved.after.to_string());
        vec![moved.host.clone(), before, after, yes(moved.intact), yes(moved.forwarded)]
    };
    let rows: Vec<_> = report.services.iter().map(row).collect();
    let table = columns(&["service", "notes before", "after", "intact", "old address leads there"], &rows);
    let visitor = &report.visitor;
    let facts = pairs(&[
        ("not served", Some(format!("{:.1} s", report.downtime_ms as f64 / 1000.0))),
        (
            "a visitor",
            Some(format!(
                "asked {} times, {} without an answer, at most {:.1} s in a row",
                visitor.asked,
                visitor.refused,
                visitor.longest_gap_ms as f64 / 1000.0
            )),
        ),
        ("signed by", Some(report.source_key.clone())),
        ("and for it by", Some(report.target_key.clone())),
    ]);
    indent(&format!("\n{table}\n\n{facts}"))
}
