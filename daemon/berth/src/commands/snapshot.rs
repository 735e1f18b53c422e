//! `berth snapshot …` and `berth restore`

use berth_domain::{CapturedService, Snapshot as SnapshotBody, SnapshotPart};

use super::Context;
use super::tenant::followed;
use crate::args::snapshot::{Restore, Snapshot};
use crate::asking::ask;
use crate::failure::{Failure, Result};
use crate::table::{columns, pairs};
use crate::words;

pub(super) async fn run(context: &Context, command: Snapshot) -> Result<()> {
    let Context { client, output } = context;
    match command {
        Snapshot::Create { tenant, watch } => {
            let operation = client.start_snapshot(&tenant).await?;
            return followed(context, &operation, watch).await;
        }
        Snapshot::List { tenant, limit } => {
            output.result(&client.snapshots(&tenant, limit).await?, |snapshots| list(snapshots));
        }
        Snapshot::Delete { tenant, id, yes, watch } => {
            if !yes {
                match ask(format!("Remove the snapshot {id} of {tenant} for good?")).await {
                    Some(true) => {}
                    Some(false) => return Err(Failure::local("nothing was removed")),
                    None => {
                        let message = "removing a snapshot needs --yes where nobody can be asked";
                        return Err(Failure::Usage(message.into()));
                    }
                }
            }
            let operation = client.delete_snapshot(&tenant, id).await?;
            return followed(context, &operation, watch).await;
        }
        Snapshot::Show { tenant, id } => output.result(&client.snapshot(&tenant, id).await?, show),
    }
    Ok(())
}

pub(super) async fn restore(context: &Context, options: &Restore) -> Result<()> {
    let target = options.into.as_ref().unwrap_or(&options.tenant);
    if !options.yes {
        match ask(format!("Replace what {target} has now by the snapshot?")).await {
            Some(true) => {}
            Some(false) => return Err(Failure::local("nothing was changed")),
            None => {
                let message = format!("replacing what {target} has needs --yes where nobody can be asked");
                return Err(Failure::Usage(message));
            }
        }
    }
    let operation = context.client.restore(&options.tenant, options.snapshot, options.into.as_ref()).await?;
    followed(context, &operation, options.watch).await
}

fn list(snapshots: &[SnapshotBody]) -> String {
    let row = |snapshot: &SnapshotBody| {
        let held = |captured: &CapturedService| {
            captured.bytes_total + captured.buckets.values().map(|bucket| bucket.bytes).sum::<u64>()
        };
        let bytes: u64 = snapshot.captured().map(|(_, captured)| held(captured)).sum();
        let services: Vec<_> = snapshot.captured().map(|(service, _)| service.to_string()).collect();
        let state = match snapshot {
            SnapshotBody { forgetting: true, .. } => "being removed",
            SnapshotBody { whole: false, .. } => "not whole",
            SnapshotBody { due_at: Some(_), .. } => "by plan",
            _ => "",
        };
        vec![
            snapshot.id.to_string(),
            words::instant(snapshot.created_at),
            words::bytes(bytes),
            services.join(", "),
            state.to_owned(),
        ]
    };
    columns(&["snapshot", "made", "size", "services", ""], &snapshots.iter().map(row).collect::<Vec<_>>())
}

fn show(snapshot: &SnapshotBody) -> String {
    let mut lines = vec![
        ("snapshot", Some(snapshot.id.to_string())),
        ("made", Some(words::instant(snapshot.created_at))),
        ("due", snapshot.due_at.map(words::instant)),
        ("revision", snapshot.revision.as_ref().map(|revision| revision.short().to_owned())),
        ("whole", Some(if snapshot.whole { "yes" } else { "no" }.to_owned())),
        ("secrets", Some(secrets(snapshot))),
    ];
    let parts: Vec<_> =
        snapshot.services.iter().map(|(service, part)| (service.to_string(), described(part))).collect();
    lines.extend(parts.iter().map(|(service, text)| (service.as_str(), Some(text.clone()))));
    pairs(&lines)
}

fn secrets(snapshot: &SnapshotBody) -> String {
    match &snapshot.tenant_part {
        None => "none are in it".into(),
        Some(part) => {
            let count: usize = part.secrets.values().map(Vec::len).sum();
            format!("{count}, with the settings, restic {}", part.restic.get(..8).unwrap_or(&part.restic))
        }
    }
}

fn described(part: &SnapshotPart) -> String {
    match part {
        SnapshotPart::Failed { message } => format!("failed: {message}"),
        SnapshotPart::Captured(captured) => {
            let size = words::bytes(captured.bytes_total);
            let (files, quiet) = (captured.files_total, captured.quiet_ms);
            let restic = |id: &str| id.get(..8).unwrap_or(id).to_owned();
            let buckets = captured.buckets.iter().map(|(name, bucket)| {
                let (size, objects) = (words::bytes(bucket.bytes), bucket.objects);
                format!("\n  bucket {name}: {size} in {objects} objects, restic {}", restic(&bucket.restic))
            });
            let missing = captured.left_out.iter().map(|what| format!("\n  left out: {what}"));
            let more: String = buckets.chain(missing).collect();
            let restic = restic(&captured.restic);
            format!("{size} in {files} files, stopped for {quiet} ms, restic {restic}{more}")
        }
    }
}
