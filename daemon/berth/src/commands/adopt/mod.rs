//! `berth adopt`: a folder that `berth config --out` wrote and somebody edited goes back into the daemon.
//!
//! All of it, or nothing: what is no specification any more is named, each attribute with why.
//!
//! | module | subject |
//! | --- | --- |
//! | [`folder`] | the folder's files, read by the real Nix as data |
//! | [`place`] | where something is, as people write it |
//! | [`draft`] | from data to the tenant that the API takes |
//! | [`secrets`] | numbers that stand for what was given in confidence |
//! | [`change`] | what would differ |

mod change;
mod draft;
mod folder;
mod place;
mod secrets;

use berth_client::{Client, ClientError};
use berth_contract::Tenant;
use berth_domain::{TenantDraft, TenantName};
use berth_nix::{Nix, NixOptions};
use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::args::preview::Adopt;
use crate::failure::{Failure, Result};
use crate::table::columns;
use change::Change;
use folder::{Folder, Held};

/// What cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Obstacle {
    /// The file.
    file: String,
    /// The attribute in it; empty for the whole file.
    attribute: String,
    /// Why.
    message: String,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// The tenant, as far as the folder says whose it is.
    tenant: Option<TenantName>,
    /// Whether the daemon has it now.
    adopted: bool,
    /// What differs from what the daemon has.
    changes: Vec<Change>,
    /// Why it cannot be taken back.
    obstacles: Vec<Obstacle>,
    /// What was passed over, and does not matter.
    passed_over: Vec<String>,
}

pub(super) async fn run(context: &Context, options: &Adopt) -> Result<()> {
    let Context { client, output } = context;
    let nix = Nix::new(NixOptions::default());
    nix.version().await.map_err(|error| {
        Failure::advised(error.to_string(), "adopting a folder needs Nix on this host (Debian: nix-bin)")
    })?;
    let folder = Folder::read(&options.folder)?;
    let mut report = Report { passed_over: folder.others.clone(), ..Report::default() };
    if let Some(wanted) = compare(client, &nix, &folder, &mut report).await? {
        // The differences are seen before anything is changed.
        output.aside(&changes(&report));
        put(client, &wanted, options.dry_run, &mut report).await?;
    }
    output.result(&report, |report| in_words(report, options.dry_run));
    match report.obstacles.len() {
        0 => Ok(()),
        count => Err(Failure::NotAdopted(count)),
    }
}

/// The tenant as it would be, and the version that this is based on.
struct Wanted {
    name: TenantName,
    draft: TenantDraft,
    version: i64,
}

/// Reads the folder and compares it with what the daemon has; nothing where it cannot be taken back.
async fn compare(client: &Client, nix: &Nix, folder: &Folder, report: &mut Report) -> Result<Option<Wanted>> {
    let edited = folder.data(nix, &mut report.obstacles).await?;
    let Some(name) = draft::name(&edited.tenant, &mut report.obstacles) else { return Ok(None) };
    report.tenant = Some(name.clone());
    let Tenant { version, .. } = client.tenant(&name).await?;
    let files = client.configuration(&name).await?.files;
    let mut unexpected = Vec::new();
    let deployed = Folder::of(&files);
    folder.check_flake(&deployed, &mut report.obstacles);
    let current = deployed.data(nix, &mut unexpected).await?;
    if let Some(obstacle) = unexpected.first() {
        return Err(Failure::local(format!(
            "the daemon’s own {} is no data: {}",
            obstacle.file, obstacle.message
        )));
    }
    let services = client.services().await?;
    let may_be_shown =
        Held { tenant: secrets::hide(&services, edited.tenant.clone()), machine: edited.machine.clone() };
    report.changes = change::between(&current, &may_be_shown);
    draft::check_machine(&current.machine, &edited.machine, &mut report.obstacles);
    let mut tenant = edited.tenant;
    secrets::take_out(&services, &current.tenant, &mut tenant, &mut report.obstacles);
    let draft = draft::of(tenant, &edited.machine, &mut report.obstacles);
    Ok(draft.filter(|_| report.obstacles.is_empty()).map(|draft| Wanted { name, draft, version }))
}

/// Has the daemon take it, or only check it. What it refuses is told as attributes of the files.
async fn put(client: &Client, wanted: &Wanted, dry_run: bool, report: &mut Report) -> Result<()> {
    let put = match dry_run {
        true => client.check_tenant(&wanted.name, &wanted.draft, wanted.version).await.map(drop),
        false => client.put_tenant(&wanted.name, &wanted.draft, Some(wanted.version)).await.map(drop),
    };
    match put {
        Ok(()) => report.adopted = !dry_run,
        Err(ClientError::Refused(problem)) if !problem.errors.is_empty() => {
            report.obstacles.extend(problem.errors.iter().map(|error| Obstacle {
                file: if error.field == "/machine" { folder::MACHINE } else { folder::TENANT }.into(),
                attribute: place::of_pointer(&error.field),
                message: error.message.clone(),
            }));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn changes(report: &Report) -> String {
    let rows: Vec<_> = report.changes.iter().map(Change::row).collect();
    match rows.is_empty() {
        true => "nothing differs from what the daemon has".into(),
        false => columns(&["changed", "the daemon has", "the folder has"], &rows),
    }
}

fn in_words(report: &Report, dry_run: bool) -> String {
    let passed_over = report.passed_over.iter().map(|file| format!("passed over: {file}"));
    let mut lines: Vec<String> = passed_over.collect();
    if !report.obstacles.is_empty() {
        let row = |it: &Obstacle| vec![it.file.clone(), it.attribute.clone(), it.message.clone()];
        let rows: Vec<_> = report.obstacles.iter().map(row).collect();
        lines.push(columns(&["file", "attribute", "why it cannot be taken back"], &rows));
        return lines.join("\n");
    }
    let name = report.tenant.as_ref().map(ToString::to_string).unwrap_or_default();
    lines.push(match (dry_run, report.changes.is_empty()) {
        (_, true) => format!("{name} is as the daemon has it"),
        (true, false) => format!("{name} could be taken back; nothing was changed"),
        (false, false) => {
            format!("{name} is taken back; berth preview {name} shows what a deployment would change")
        }
    });
    lines.join("\n")
}

/// A value for people: as JSON, not too long.
fn shown(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
