//! Operations on a machine of the driver `nixos-rebuild`.

use std::time::Duration;

use berth_domain::{EventKind, OperationKind, OperationStatus, StepName};
use berth_engine::ports::RebuildEnding;
use berth_engine::{EngineOptions, Retries};

use crate::fakes::{OLD, World};
use crate::stage::Stage;

/// A step is tried once, so that what the driver tries by itself is seen.
async fn set_up() -> Stage {
    let options = EngineOptions { retries: Retries::never(), ..EngineOptions::default() };
    Stage::driven_by(Some("nixos-rebuild"), options).await
}

/// What was asked for, without what it was asked for. What every operation asks beside is left out.
fn words(world: &World) -> Vec<String> {
    let done = world.done.lock().unwrap();
    let words = done.iter().map(|done| done.split(' ').next().unwrap_or_default().to_owned());
    words.filter(|word| !["release-others", "keep", "facts"].contains(&word.as_str())).collect()
}

fn open() -> RebuildEnding {
    RebuildEnding::Open { message: "client_loop: send disconnect: Broken pipe".into() }
}

fn assert_put_back(stage: &Stage, what: &str) {
    let machine = stage.machine();
    assert_eq!(machine.switching, None, "{what}: nothing goes on behind the operation's back");
    assert_eq!((machine.running.as_deref(), machine.committed.as_deref()), (Some(OLD), Some(OLD)), "{what}");
}

#[tokio::test]
async fn the_command_copies_and_switches_and_only_after_the_health_gate_it_makes_the_switch_last() {
    let stage = set_up().await;
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let mut words = words(&stage.world);
    // The two probes go on at the same time, in either order.
    let probes: Vec<_> =
        words.iter().position(|word| word == "probe" || word == "outside").into_iter().collect();
    words[probes[0]..probes[0] + 2].sort();
    let expected = [
        "find",
        "platform",
        // While it is evaluated.
        "open",
        "evaluate",
        "build",
        "copy-agent",
        "dry-activate",
        "sweep",
        "quiet",
        "test",
        "outside",
        "probe",
        "sweep",
        "quiet",
        "boot",
        "commit",
        "commit-answer",
    ];
    assert_eq!(words, expected);
    let machine = stage.machine();
    assert_eq!((&machine.running, &machine.committed), (&operation.system, &operation.system));
}

#[tokio::test]
async fn what_is_deployed_already_needs_no_command_but_the_look_for_it() {
    let stage = set_up().await;
    stage.deploy().await;
    stage.world.done.lock().unwrap().clear();
    assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded);
    for word in ["dry-activate", "test", "boot"] {
        assert_eq!(stage.world.count(word), 0, "{word}");
    }
    assert_eq!(stage.world.count("find"), 1);
}

#[tokio::test]
async fn where_the_command_is_not_there_nothing_is_done_at_all() {
    let stage = set_up().await;
    stage.world.fail("find");
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!((error.code.as_str(), error.step), ("told-to", Some(StepName::Render)));
    assert_eq!(words(&stage.world), ["find"]);
}

#[tokio::test]
async fn however_the_switch_fails_the_machine_is_put_back() {
    let failed = |message: &str| RebuildEnding::Failed { exit_code: 1, message: message.into() };
    let units = |units: &[&str]| RebuildEnding::UnitsFailed {
        units: units.iter().map(|&unit| unit.into()).collect(),
    };
    for (ending, code, word) in [
        (units(&["gitea.service"]), "units-failed", "gitea.service"),
        (units(&[]), "units-failed", ""),
        (RebuildEnding::ScriptFailed, "activation-failed", "script"),
        (failed("error: no space left"), "rebuild-failed", "no space left"),
    ] {
        let stage = set_up().await;
        stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, ending]);
        let (operation, _) = stage.deploy().await;
        let error = operation.error.unwrap();
        assert_eq!((error.code.as_str(), error.step), (code, Some(StepName::Activate)));
        assert!(error.message.contains(word), "{}", error.message);
        assert_put_back(&stage, code);
        assert_eq!(stage.world.count("boot"), 0);
    }
}

#[tokio::test]
async fn what_only_a_reboot_takes_over_is_made_to_last_without_being_probed() {
    let stage = set_up().await;
    stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, RebuildEnding::NeedsReboot]);
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!((stage.world.count("boot"), stage.world.count("probe")), (1, 0));
    assert_eq!(stage.machine().committed, operation.system);
}

#[tokio::test]
async fn what_is_not_healthy_is_put_back_and_never_made_to_last() {
    for what in ["probe", "outside"] {
        let stage = set_up().await;
        stage.world.fail(what);
        assert_eq!(stage.deploy().await.0.status, OperationStatus::Failed);
        assert_put_back(&stage, what);
        assert_eq!(stage.world.count("boot"), 0);
    }
}

#[tokio::test]
async fn a_switch_that_it_lost_sight_of_is_waited_for_and_asked_for_again() {
    let stage = set_up().await;
    *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(300);
    stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, open()]);
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    let words = words(&stage.world);
    let at = words.iter().position(|word| word == "test").unwrap();
    assert_eq!(words[at..at + 4], ["test", "sweep", "quiet", "test"]);
}

#[tokio::test]
async fn a_switch_that_it_lost_sight_of_twice_is_waited_for_and_put_back() {
    let stage = set_up().await;
    *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(100);
    stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, open(), open()]);
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!((error.code.as_str(), error.retryable), ("connection-lost", true));
    assert_put_back(&stage, "lost");
}

#[tokio::test]
async fn copying_that_it_lost_sight_of_is_asked_for_again_and_given_up_the_second_time() {
    for (losses, status) in [(1, OperationStatus::Succeeded), (2, OperationStatus::Failed)] {
        let stage = set_up().await;
        stage.world.endings.lock().unwrap().extend(std::iter::repeat_with(open).take(losses));
        let (operation, _) = stage.deploy().await;
        assert_eq!(operation.status, status, "{operation:?}");
        assert_eq!(stage.world.count("dry-activate"), 2);
        if losses == 2 {
            assert_eq!(operation.error.map(|error| error.code).as_deref(), Some("copy-failed"));
            assert_put_back(&stage, "copying");
        }
    }
}

#[tokio::test]
async fn a_commit_that_it_lost_sight_of_is_asked_for_again() {
    let stage = set_up().await;
    stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, RebuildEnding::Done, open()]);
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
    assert_eq!(stage.world.count("boot"), 2);
}

#[tokio::test]
async fn a_commit_that_failed_half_way_is_done_anew_by_the_next_deployment() {
    let stage = set_up().await;
    let failed = RebuildEnding::Failed { exit_code: 1, message: "no space left on /boot".into() };
    stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, RebuildEnding::Done, failed]);
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.error.map(|error| error.code).as_deref(), Some("rebuild-failed"));
    // The profile was set, and whether the boot entry was made nobody knows.
    assert_eq!(stage.machine().committed, operation.system);
    let (again, _) = stage.deploy().await;
    assert_eq!(again.status, OperationStatus::Succeeded);
    assert_eq!(stage.world.count("boot"), 2);
}

#[tokio::test]
async fn a_command_that_deploys_something_else_is_found_out_and_put_back() {
    let stage = set_up().await;
    *stage.world.deploys_instead.lock().unwrap() = Some("/nix/store/other");
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!(error.code, "other-system");
    assert!(error.message.contains("/nix/store/other"), "{}", error.message);
    assert_put_back(&stage, "another system");
}

#[tokio::test]
async fn a_wish_to_cancel_does_not_break_a_switch_off() {
    let stage = set_up().await;
    *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(300);
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_switching(false).await;
    stage.engine.cancel(id, "ann", None).await.unwrap();
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert_put_back(&stage, "cancelled");
    let warnings = events.iter().filter(|event| event.kind == EventKind::Warning);
    let warnings: Vec<_> = warnings.map(|event| event.message.as_str()).collect();
    assert_eq!(warnings, ["the machine was put back on the system that it had before"]);
}

#[tokio::test]
async fn copying_is_cancelled_at_once() {
    let stage = set_up().await;
    stage.world.hang("dry-activate");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.cancel(id, "ann", None).await.unwrap();
    assert_eq!(stage.ended(id).await.0.status, OperationStatus::Cancelled);
    assert_eq!(stage.world.count("test"), 0);
}

#[tokio::test]
async fn wherever_the_daemon_ends_its_successor_looks_at_the_machine_and_goes_on() {
    for kind in [OperationKind::Deploy, OperationKind::Destroy] {
        for what in ["dry-activate", "test", "boot"] {
            let mut stage = set_up().await;
            stage.world.hang(what);
            let id = stage.submit(kind, false).await;
            stage.until_waiting().await;
            stage.engine.stop().await;
            stage.world.behave();
            stage.restart().await;
            let (operation, _) = stage.ended(id).await;
            assert_eq!(operation.status, OperationStatus::Succeeded, "{what}: {operation:?}");
            assert_eq!(stage.world.count(what), 2, "{what}");
            let machine = stage.machine();
            assert_eq!(
                (&machine.running, &machine.committed),
                (&operation.system, &operation.system),
                "{what}"
            );
        }
    }
}

#[tokio::test]
async fn a_switch_that_outlives_the_daemon_is_over_before_it_is_asked_for_again() {
    for half in [false, true] {
        let mut stage = set_up().await;
        *stage.world.switch_takes.lock().unwrap() = Duration::from_millis(400);
        // What the daemon started ends with it; what runs on the machine does not.
        stage.world.endings.lock().unwrap().extend([RebuildEnding::Done, open()]);
        let id = stage.submit(OperationKind::Deploy, false).await;
        stage.until_switching(half).await;
        stage.restart().await;
        let (operation, _) = stage.ended(id).await;
        assert_eq!(operation.status, OperationStatus::Succeeded, "{operation:?}");
        assert_eq!(stage.machine().switching, None);
    }
}
