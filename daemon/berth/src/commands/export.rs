//! `berth export`

use std::path::Path;

use berth_domain::Operation;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::Context;
use super::watching;
use crate::args::snapshot::Export;
use crate::failure::{Failure, Result};
use crate::words;

pub(super) async fn run(context: &Context, options: &Export) -> Result<()> {
    // Before anything is made that then has no place.
    let part = part(&options.out)?;
    let client = &context.client;
    let operation = client.export(&options.tenant, options.snapshot, options.recipient.as_deref()).await?;
    context.output.aside(&format!("operation {}", operation.id));
    let ended = watching::watch(context, &operation, 0).await?;
    let written = download(context, &ended, &part, &options.out).await;
    if written.is_err() {
        // What came of it is of no use.
        let _ = tokio::fs::remove_file(&part).await;
    }
    let bytes = written?;
    let out = options.out.display();
    context.output.text(&format!(
        "{out} has {}; berth bundle verify {out} looks whether it is whole",
        words::bytes(bytes)
    ));
    Ok(())
}

/// The name under which it is written until it is whole.
fn part(out: &Path) -> Result<std::path::PathBuf> {
    if out.exists() {
        return Err(Failure::Usage(format!("{} exists already", out.display())));
    }
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    Ok(out.with_file_name(name))
}

async fn download(context: &Context, export: &Operation, part: &Path, out: &Path) -> Result<u64> {
    let problem = |error: std::io::Error| Failure::local(format!("cannot write {}: {error}", out.display()));
    let mut bundle = context.client.bundle(export.id).await?;
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .await
        .map_err(problem)?;
    let mut bytes = 0;
    while let Some(piece) = bundle.next().await? {
        file.write_all(piece.as_ref()).await.map_err(problem)?;
        bytes += piece.as_ref().len() as u64;
    }
    file.sync_all().await.map_err(problem)?;
    tokio::fs::rename(part, out).await.map_err(problem)?;
    Ok(bytes)
}
