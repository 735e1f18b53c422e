//! What is said of a bundle to people.

use std::path::Path;

use berth_bundle::{About, Entry, Extracted, Inspection, Kind, Report, ServiceAbout, SignedBy, Totals, path};
use console::style;

use crate::args::bundle::Which;
use crate::table::{columns, pairs};
use crate::words;

/// A report: what it is of, and what is wrong.
pub(super) fn report(report: &Report, asked: bool) -> String {
    let mut parts = Vec::new();
    if let (Some(about), Some(totals), Some(signer)) = (&report.about, report.totals, &report.signer) {
        parts.push(facts(about, totals, signer, &report.services, report.size, asked));
    }
    let problems = report.problems.iter().map(|problem| format!("{} {problem}", style("✘").red().bold()));
    let problems: Vec<_> = problems.collect();
    if !problems.is_empty() {
        parts.push(problems.join("\n"));
    }
    if report.more_problems > 0 {
        parts.push(format!("and {} more", report.more_problems));
    }
    if report.is_intact() {
        parts.push(format!("{} whole: every byte is as it was signed", style("✔").green()));
    }
    parts.join("\n\n")
}

/// What a bundle says of itself.
pub(super) fn inspection(inspection: &Inspection, entries: &[Entry], asked: bool) -> String {
    let Inspection { about, totals, signer, services, size, problems } = inspection;
    let mut parts = vec![facts(about, *totals, signer, services, *size, asked)];
    parts.extend(problems.iter().map(|problem| format!("{} {problem}", style("✘").red().bold())));
    if !entries.is_empty() {
        let rows: Vec<_> = entries.iter().map(row).collect();
        parts.push(columns(&["mode", "owner", "size", "changed", "path"], &rows));
    }
    parts.push(style("the contents were not verified").dim().to_string());
    parts.join("\n\n")
}

/// What was extracted.
pub(super) fn extracted(extracted: &Extracted, into: &Path, report: &Report, which: &Which) -> String {
    let signer = report.signer.as_ref().map(|signer| signed_by(signer, !which.trust.is_empty()));
    let mut lines = vec![format!(
        "{} entries, {} into {}",
        extracted.entries,
        words::bytes(extracted.bytes),
        into.display()
    )];
    lines.extend(signer.map(|signer| format!("signed by {signer}")));
    for encoded in &extracted.left_out {
        lines.push(format!("left out, as it leads out of the folder: {}", shown(encoded)));
    }
    let named = extracted.left_out.len() as u64;
    if extracted.left_out_count > named {
        lines.push(format!("and {} more", extracted.left_out_count - named));
    }
    lines.join("\n")
}

fn facts(
    about: &About,
    totals: Totals,
    signer: &SignedBy,
    services: &[ServiceAbout],
    size: u64,
    asked: bool,
) -> String {
    let services: Vec<_> = services
        .iter()
        .map(|service| match &service.data_version {
            Some(version) => format!("{} (data {version})", words::line(&service.name)),
            None => words::line(&service.name),
        })
        .collect();
    let Totals { files, directories, symlinks, bytes, .. } = totals;
    let content = format!("{files} files, {directories} folders, {symlinks} links; {}", words::bytes(bytes));
    pairs(&[
        ("tenant", Some(words::line(&about.tenant))),
        ("created", Some(words::instant(about.created))),
        ("signed by", Some(signed_by(signer, asked))),
        ("services", (!services.is_empty()).then(|| services.join(", "))),
        ("content", Some(content)),
        ("size", Some(words::bytes(size))),
    ])
}

/// A provider is only what the key makes it.
fn signed_by(signer: &SignedBy, asked: bool) -> String {
    let trust = match (signer.trusted, asked) {
        (true, _) => "which is trusted",
        (false, true) => "which is none of the trusted keys",
        (false, false) => "compare it with what the provider publishes, or name its key with --trust",
    };
    format!("{}, key {}\n{trust}", words::line(&signer.provider), signer.key_id)
}

fn row(entry: &Entry) -> Vec<String> {
    let (sign, size) = match &entry.kind {
        Kind::Directory => ('d', String::new()),
        Kind::File { size, .. } => ('-', words::bytes(*size)),
        Kind::Symlink { .. } => ('l', String::new()),
    };
    let owner = |name: &Option<String>, id: u32| name.as_deref().map_or_else(|| id.to_string(), words::line);
    let target = match &entry.kind {
        Kind::Symlink { target } => format!(" → {}", path::encode(target.as_bytes())),
        _ => String::new(),
    };
    let changed =
        chrono::DateTime::from_timestamp(entry.meta.mtime, 0).map(words::instant).unwrap_or_default();
    vec![
        format!("{sign}{:04o}", entry.meta.mode.bits()),
        format!("{}:{}", owner(&entry.meta.owner, entry.meta.uid), owner(&entry.meta.group, entry.meta.gid)),
        size,
        changed,
        // As --only takes it.
        format!("{}{target}", entry.path.encoded()),
    ]
}

fn shown(encoded: &str) -> String {
    let bytes = path::decode(encoded).unwrap_or_else(|_| encoded.as_bytes().to_vec());
    path::for_people(&bytes).into_owned()
}
