//! `berth demo --migrate`: two providers that do not know each other, and a tenant that moves from one to the other.
//!
//! | module | subject |
//! | --- | --- |
//! | `neighbour` | the second provider: a daemon and a machine of its own |
//! | `notes` | what the services keep, so that it can be seen whether all of it arrived |
//! | `probe` | a visitor who asks all the time, by the old address |
//! | `moving` | the ticket, the acceptance, both halves to their end |
//! | `report` | what came of it |

mod moving;
mod neighbour;
mod notes;
mod probe;
mod report;

use std::sync::atomic::{AtomicBool, Ordering};

use super::stage::Stage;
use super::stages::Stages;
use super::tenant;
use crate::args::demo::Demo;
use crate::failure::{Failure, Result};
use crate::output::Output;
use neighbour::Neighbour;
use notes::Kept;
use probe::Probe;

/// How many notes each service is given.
const NOTES: usize = 20;

/// Deploys a tenant at one provider, moves it to the other, and looks whether all of it arrived.
pub(super) async fn run(
    stage: Stage,
    stages: Stages,
    options: Demo,
    output: Output,
    done: &AtomicBool,
) -> Result<()> {
    let neighbour = Neighbour::set_up(&stages, &stage.testbed).await?;
    drop(stages);
    super::show(&stage, output).await?;
    let hosts = notes::hosts(&tenant::look(&stage.client).await?);
    let old = stage.machine.address();
    notes::write(old, &hosts, NOTES).await?;
    let before = notes::read(old, &hosts).await?;
    let probe = Probe::start(old, hosts.clone());
    let departure = moving::move_tenant(&stage.client, &neighbour, output).await?;
    let seen = probe.stop().await;
    let after = notes::read(neighbour.machine.address(), &hosts).await?;
    let forwarded = notes::read(old, &hosts).await?;
    let told = report::Report::of(&departure, &seen, &before, &after, &forwarded)?;
    output.result(&told, report::text);
    let verdict = verdict(&told, &before, &after);
    if options.exit || verdict.is_err() {
        neighbour.stop();
        stage.stop().await?;
        return verdict;
    }
    output.aside("\n  Ctrl-C ends both providers and puts everything away.");
    done.store(true, Ordering::Release);
    std::future::pending().await
}

fn verdict(told: &report::Report, before: &[Kept], after: &[Kept]) -> Result<()> {
    let whole =
        before.len() == after.len() && after.iter().all(|kept| kept.intact) && told.everything_arrived;
    if whole { Ok(()) } else { Err(Failure::local("not everything arrived at the new provider")) }
}
