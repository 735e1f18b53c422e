//! The driver `nixops4`. In place of the command stands [`apply`], which does what `nixops4 apply` does with our own
//! provider, as far as the operation sees it: somebody connects to the socket and asks.

use std::path::Path;
use std::sync::Arc;

use berth_domain::revision::Files;
use berth_domain::{EventKind, OperationKind, OperationStatus, StepName};
use berth_engine::ports::Applied;
use berth_engine::{EngineOptions, StepError};
use berth_protocol::nixops4::{Line, Question, StateChange};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::fakes::{OLD, World};
use crate::stage::Stage;

/// What the stand-in's provider is told to do otherwise, by its word in [`World::failing`].
pub async fn apply(world: &Arc<World>, files: &Files, socket: &Path) -> Result<Applied, StepError> {
    let told = |what| world.failing.lock().unwrap().contains(what);
    if told("nixops4-breaks") {
        return Ok(Applied::Failed("warning: x\nnixops4 error: it broke\nmore".into()));
    }
    if told("nixops4-does-nothing") {
        return Ok(Applied::Done);
    }
    if told("nixops4-works-on-the-state") {
        let read = ask(socket, &[Question::ReadState { tenant: "acme".into() }, change(), change()]).await;
        world.done.lock().unwrap().extend(read.iter().map(|line| format!("state {line:?}")));
    }
    let system = format!("/nix/store/{}", berth_render::revision_id(files).short());
    let activate = |system: &str| Question::Activate { machine: "vm1".into(), system: system.into() };
    let questions = match told("nixops4-wants-another") {
        true => vec![activate("/nix/store/another"), Question::Activate { machine: "vm2".into(), system }],
        // Twice, as two resources may.
        false => vec![activate(&system), activate(&system)],
    };
    let answers = ask(socket, &questions).await;
    let failed = answers.iter().find_map(|line| match line {
        Line::Failed(message) => Some(message.clone()),
        _ => None,
    });
    Ok(match failed {
        Some(message) => Applied::Failed(format!("nixops4 error: {message}")),
        None if told("nixops4-breaks-later") => {
            Applied::Failed("nixops4 error: another resource broke".into())
        }
        None => Applied::Done,
    })
}

fn change() -> Question {
    let patch = json!([{"op": "add", "path": "/resources/db", "value": {"type": "x", "input_properties": {"password": "hunter2"}}}]);
    let (event, nixops_version, sensitive) = ("create".into(), "0.1.0".into(), Vec::new());
    let change = StateChange { event, nixops_version, patch, sensitive };
    Question::ChangeState { tenant: "acme".into(), change }
}

async fn ask(socket: &Path, questions: &[Question]) -> Vec<Line> {
    let (reader, mut writer) = UnixStream::connect(socket).await.unwrap().into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut answers = Vec::new();
    for question in questions {
        writer.write_all(format!("{}\n", serde_json::to_string(question).unwrap()).as_bytes()).await.unwrap();
        answers.push(serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap());
    }
    answers
}

async fn stage() -> Stage {
    Stage::driven_by(Some("nixops4"), EngineOptions::default()).await
}

#[tokio::test]
async fn an_apply_has_the_operation_switch_the_machine_once_and_health_and_commit_follow() {
    let stage = stage().await;
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{:?}", operation.error);
    assert_eq!(
        (stage.machine().running, stage.machine().committed),
        (operation.system.clone(), operation.system)
    );
    assert_eq!(stage.world.count("nixops4"), 1);
    assert_eq!(stage.world.count("activate") + stage.world.count("follow"), 1);
    assert_eq!((stage.world.count("probe"), stage.world.count("outside")), (1, 1));
}

#[tokio::test]
async fn where_there_is_no_nixops4_nothing_is_begun() {
    let stage = stage().await;
    stage.world.fail("find-nixops4");
    let (operation, _) = stage.deploy().await;
    let error = operation.error.unwrap();
    assert_eq!((operation.status, error.step), (OperationStatus::Failed, Some(StepName::Render)));
    for begun in ["platform", "open", "nixops4", "activate"] {
        assert_eq!(stage.world.count(begun), 0, "{begun}");
    }
}

#[tokio::test]
async fn whatever_nixops4_does_instead_the_operation_fails_and_the_machine_is_on_its_old_system() {
    for (told, message) in [
        ("nixops4-breaks", "nixops4 failed: nixops4 error: it broke"),
        ("nixops4-does-nothing", "nothing that it applied switched the machine"),
        ("nixops4-wants-another", "nothing else"),
        (
            "nixops4-breaks-later",
            "the machine was switched, but nixops4 failed: nixops4 error: another resource broke",
        ),
    ] {
        let stage = stage().await;
        stage.world.fail(told);
        let (operation, _) = stage.deploy().await;
        let error = operation.error.unwrap();
        assert_eq!(
            (operation.status, error.code.as_str()),
            (OperationStatus::Failed, "nixops4-failed"),
            "{told}"
        );
        assert!(error.message.contains(message), "{told}: {}", error.message);
        let machine = stage.machine();
        assert_eq!(
            (machine.running.as_deref(), machine.committed.as_deref()),
            (Some(OLD), Some(OLD)),
            "{told}"
        );
        let switched = stage.world.count("activate");
        assert_eq!(switched, if told == "nixops4-breaks-later" { 1 } else { 0 }, "{told}");
        // And the next one starts afresh.
        stage.world.behave();
        assert_eq!(stage.deploy().await.0.status, OperationStatus::Succeeded, "after {told}");
    }
}

#[tokio::test]
async fn a_deployment_that_is_cancelled_before_anybody_asked_for_the_switch_leaves_the_machine_alone() {
    let stage = stage().await;
    stage.world.hang("nixops4");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.engine.cancel(id, "test", None).await.unwrap();
    let (operation, events) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Cancelled);
    assert_eq!((stage.world.count("activate"), stage.world.count("follow")), (0, 0));
    let warning = events.iter().find(|event| event.kind == EventKind::Warning).unwrap();
    assert_eq!(warning.message, "the machine runs the system that it had before");
}

#[tokio::test]
async fn a_daemon_that_ends_during_an_apply_is_followed_by_one_that_applies_again() {
    let mut stage = stage().await;
    stage.world.hang("nixops4");
    let id = stage.submit(OperationKind::Deploy, false).await;
    stage.until_waiting().await;
    stage.world.behave();
    stage.restart().await;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{:?}", operation.error);
    assert_eq!(stage.machine().committed, operation.system);
}

#[tokio::test]
async fn a_destroy_is_an_apply_of_the_vacant_configuration() {
    let stage = stage().await;
    stage.deploy().await;
    let id = stage.submit(OperationKind::Destroy, false).await;
    let (operation, _) = stage.ended(id).await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{:?}", operation.error);
    assert_eq!((stage.world.count("nixops4"), stage.machine().committed), (2, operation.system));
}

#[tokio::test]
async fn the_state_that_an_apply_works_on_is_sealed_leased_and_given_back() {
    let stage = stage().await;
    stage.world.fail("nixops4-works-on-the-state");
    let (operation, _) = stage.deploy().await;
    assert_eq!(operation.status, OperationStatus::Succeeded, "{:?}", operation.error);
    let told: Vec<_> =
        stage.world.done.lock().unwrap().iter().filter(|done| done.starts_with("state")).cloned().collect();
    assert!(told[0].contains("nixopsState") && told[1..] == ["state Kept", "state Kept"], "{told:?}");
    let shown = stage.engine.nixops4_state(&operation.tenant).await.unwrap();
    assert_eq!((shown.serial, shown.lease), (2, None));
    assert_eq!(shown.state["resources"]["db"]["input_properties"]["password"], "(not shown)");
    let stored = stage.store.nixops4_state(&operation.tenant).await.unwrap();
    assert!(!stored.document.unwrap().contains("hunter2"));
    let changes = stage.engine.nixops4_changes(&operation.tenant, None, 10).await.unwrap().items;
    assert_eq!(changes.iter().map(|change| change.record.serial).collect::<Vec<_>>(), [2, 1]);
    assert!(changes.iter().all(|change| !change.patch.to_string().contains("hunter2")));
    assert!(changes[0].record.made_by.starts_with("operation "));
}
