//! However a call ends, it leaves no process behind.

use std::path::Path;
use std::time::{Duration, Instant};

use berth_nix::{Nix, NixError, NixOptions, Run, StorePath};
use tokio_util::sync::CancellationToken;

use crate::real::script;
use crate::support::{Seen, ample, derivation, instantiate, nix, processes_with, unique};

/// A derivation whose builder, and a child in the background, ignore SIGTERM; both have `token` on their command line.
fn stubborn(token: &str) -> StorePath {
    let script = format!(
        "trap '' TERM; sh -c 'while :; do sleep 0.1; done # {token}' & \
         echo started; while :; do sleep 0.1; done # {token}"
    );
    instantiate(&derivation("stubborn", &script, "null"))
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("did not happen within 20 s");
}

/// Cancels as soon as `condition` holds, and returns when that was.
async fn cancel_when(cancel: &CancellationToken, condition: impl Fn() -> bool) -> Instant {
    until(condition).await;
    cancel.cancel();
    Instant::now()
}

#[tokio::test]
async fn a_cancelled_build_ends_within_two_seconds_and_leaves_no_process() {
    let Some(nix) = nix() else { return };
    let (token, seen, run) = (unique(), Seen::default(), ample());
    let drv = stubborn(&token);
    let build = nix.build(&drv, None, &run, seen.sink());
    let (result, cancelled) = tokio::join!(build, cancel_when(&run.cancel, || seen.has_line("started")));
    assert!(matches!(result, Err(NixError::Cancelled)), "{result:?}");
    assert!(cancelled.elapsed() < Duration::from_secs(2), "{:?}", cancelled.elapsed());
    until(|| processes_with(&token).is_empty()).await;
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_given_up_and_leaves_no_process() {
    let Some(nix) = nix() else { return };
    let (token, seen) = (unique(), Seen::default());
    let drv = stubborn(&token);
    let started = Instant::now();
    let after = Duration::from_secs(2);
    let result = nix.build(&drv, None, &Run::within(after), seen.sink()).await;
    assert!(matches!(result, Err(NixError::Timeout { after: a }) if a == after), "{result:?}");
    assert!(seen.has_line("started"), "the builder never ran");
    assert!(started.elapsed() < after + Duration::from_secs(2), "{:?}", started.elapsed());
    until(|| processes_with(&token).is_empty()).await;
}

#[tokio::test]
async fn a_build_whose_future_is_dropped_leaves_no_process() {
    let Some(nix) = nix() else { return };
    let (token, seen, run) = (unique(), Seen::default(), ample());
    let drv = stubborn(&token);
    tokio::select! {
        result = nix.build(&drv, None, &run, seen.sink()) => panic!("{result:?}"),
        () = until(|| seen.has_line("started") && processes_with(&token).len() >= 2) => {}
    }
    until(|| processes_with(&token).is_empty()).await;
}

/// A command of some behaviour, beside which no daemon answers.
fn fake(folder: &Path, body: &str) -> Nix {
    let program = folder.join("nix");
    script(&program, &format!("[ \"$1\" != --stdio ] || exit 1\n{body}"));
    Nix::new(NixOptions { program, ..NixOptions::default() })
}

#[tokio::test]
async fn a_nix_that_ignores_the_signal_is_killed_with_its_descendants_in_other_sessions() {
    let (token, folder, run) = (unique(), tempfile::tempdir().unwrap(), ample());
    let endless = format!("while :; do sleep 0.1; done # {token}");
    let nix = fake(folder.path(), &format!("trap '' TERM\nsetsid sh -c '{endless}' &\nsh -c '{endless}'\n"));
    let drv: StorePath = "/nix/store/00000000000000000000000000000000-x.drv".parse().unwrap();
    let build = nix.build(&drv, None, &run, |_| {});
    let (result, cancelled) =
        tokio::join!(build, cancel_when(&run.cancel, || processes_with(&token).len() >= 2));
    assert!(matches!(result, Err(NixError::Cancelled)), "{result:?}");
    assert!(cancelled.elapsed() < Duration::from_secs(5), "{:?}", cancelled.elapsed());
    until(|| processes_with(&token).is_empty()).await;
}

#[tokio::test]
async fn a_call_that_is_cancelled_beforehand_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("started");
    let nix = fake(folder.path(), &format!("touch {}", marker.display()));
    let run = ample();
    run.cancel.cancel();
    let drv: StorePath = "/nix/store/00000000000000000000000000000000-x.drv".parse().unwrap();
    assert!(matches!(nix.build(&drv, None, &run, |_| {}).await, Err(NixError::Cancelled)));
    assert!(!marker.exists());
}

#[tokio::test]
async fn the_daemons_own_environment_stays_with_it() {
    // Cargo sets CARGO_* for tests; none of it is on the list of what Nix may see.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("environment");
    let nix = fake(folder.path(), &format!("env > {}", marker.display()));
    let drv: StorePath = "/nix/store/00000000000000000000000000000000-x.drv".parse().unwrap();
    nix.build(&drv, None, &ample(), |_| {}).await.unwrap();
    let seen = std::fs::read_to_string(marker).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("CARGO_") && !seen.contains("NIX_SSHOPTS"), "{seen}");
}
