//! `berth demo`: everything that a deployment needs, on this host, and a deployment.
//!
//! It starts a daemon (a process of its own, this very program), boots a machine, registers it, creates the tenant
//! `acme`, deploys it through the API, and asks its services what a visitor would. Nothing of it is left afterwards,
//! however it ends, unless it is to be kept: whatever is being done is dropped, and with it put away, and what a
//! killed demo left is put away by the next one.
//!
//! | module | subject |
//! | --- | --- |
//! | `host` | what this host lacks, and installing it |
//! | `folder` | a demo's folder, and what killed ones left |
//! | `migrate` | a second provider, to which the tenant moves |
//! | [`record`] | what is written down of a demo that runs |
//! | `daemon` | the daemon's process |
//! | `process` | processes, found by what they are |
//! | `stage` | daemon, machine and folder together |
//! | `stages` | what is shown of it all |
//! | `tenant` | the tenant that is deployed |
//! | `visit` | asking the services |
//! | `report` | what is said in the end |
//! | `reduced` | what can be done without machines |
//! | `stop` | ending one that was kept |

mod daemon;
mod folder;
mod host;
mod migrate;
mod process;
pub mod record;
mod reduced;
mod report;
mod stage;
mod stages;
mod stop;
mod tenant;
mod visit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::args::demo::Demo;
use crate::failure::{Failure, Result};
use crate::output::Output;
use crate::progress::{Board, Shown};
use folder::KeepLock;
use record::{Record, Visited};
use stage::Stage;
use stages::Stages;

/// Runs the demo, or ends one that was kept.
///
/// # Errors
/// [`Failure::NoMachines`] where machines cannot be had, [`Failure::Operation`] if the deployment does not succeed, and
/// whatever else goes wrong.
pub async fn run(options: Demo, output: Output) -> Result<()> {
    if options.stop {
        return stop::run(output).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut work = Box::pin(demo(options, output, Arc::clone(&done)));
    let outcome = tokio::select! {
        outcome = &mut work => return outcome,
        interrupted = interrupted() => interrupted,
    };
    let done = done.load(Ordering::Acquire);
    if done {
        output.aside("\n  putting everything away …");
    }
    // Whatever was being done is put away here.
    drop(work);
    outcome?;
    if done { Ok(()) } else { Err(Failure::Interrupted) }
}

/// `done` is set when all there is left to do is to wait for the user.
async fn demo(options: Demo, output: Output, done: Arc<AtomicBool>) -> Result<()> {
    let _keeping = if options.keep { Some(KeepLock::take()?) } else { None };
    if let Some(kept) = Record::kept() {
        if !options.exit {
            return already_there(&kept, options, output);
        }
        output.aside(&format!("a demo is kept at {}; this is another one", kept.url));
    }
    folder::sweep().await;
    let mut stages = Stages::new();
    let mut missing = host::missing(&stages).await?;
    if !missing.is_empty() {
        drop(stages);
        missing = host::install(missing, options.yes).await?;
        stages = Stages::new();
    }
    if !missing.is_empty() {
        return reduced::run(&missing, stages, output).await;
    }
    if options.migrate {
        let stage = stages.clone().set_up().await?;
        return migrate::run(stage, stages, options, output, &done).await;
    }
    let stage = stages.set_up().await?;
    let record = show(&stage, output).await?;
    finish(stage, record, options, output, &done).await
}

/// Deploys the tenant and asks its services.
async fn show(stage: &Stage, output: Output) -> Result<Record> {
    if !output.is_json() {
        output.aside(&format!("\n  deploying {} to {}", tenant::NAME, stage.machine.name()));
    }
    tenant::deploy(&stage.client, &mut Shown::Board(Box::new(Board::calm()))).await?;
    let tenant = tenant::look(&stage.client).await?;
    let services = visit::all(&tenant, stage.machine.address()).await?;
    let record = stage.record(&tenant, services);
    stage.folder.write(&record)?;
    Ok(record)
}

async fn finish(
    stage: Stage,
    mut record: Record,
    options: Demo,
    output: Output,
    done: &AtomicBool,
) -> Result<()> {
    let verdict = verdict(&record.services);
    if options.keep && verdict.is_ok() {
        record.kept = true;
        stage.keep(&record)?;
        output.result(&record, report::services);
        report::hints(&record, output);
        output.aside("\n  It is left running; berth demo --stop ends it.");
        return Ok(());
    }
    output.result(&record, report::services);
    if options.exit || options.keep || verdict.is_err() {
        stage.stop().await?;
        return verdict;
    }
    report::hints(&record, output);
    output.aside("\n  Ctrl-C ends it and puts everything away.");
    done.store(true, Ordering::Release);
    std::future::pending().await
}

fn verdict(services: &[Visited]) -> Result<()> {
    let bad: Vec<_> =
        services.iter().filter(|service| !service.ok).map(|service| service.name.as_str()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::Visits(bad.join(", ")))
}

/// A second demo while one is kept: asked to keep one, that is done; otherwise it would be in the way.
fn already_there(kept: &Record, options: Demo, output: Output) -> Result<()> {
    if options.keep {
        output.aside(&format!("a demo is running already, at {}", kept.url));
        output.result(kept, report::services);
        report::hints(kept, output);
        return Ok(());
    }
    Err(Failure::advised(
        format!("a demo is kept running already, at {} (token in {})", kept.url, kept.token_file.display()),
        "use it: berth tenant list; or end it first: berth demo --stop",
    ))
}

/// Waits until the user or the system wants an end.
async fn interrupted() -> Result<()> {
    let failed = |error: std::io::Error| Failure::local(format!("signals cannot be waited for: {error}"));
    let mut interrupted = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hung_up = signal(SignalKind::hangup()).map_err(failed)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
        _ = hung_up.recv() => {}
    }
    Ok(())
}
