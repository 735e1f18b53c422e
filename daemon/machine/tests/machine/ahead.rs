//! Files that are restored before everything has arrived: what is left for the restore is what has changed since.

use berth_machine::StorePath;
use berth_protocol::{Answer, FailureCode, Pass, Repository, Request, RestoredAhead};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, claim};
use crate::keeping::{
    self, capture, captured, captures, carry_vault, fill, fingerprint, on, repository, restore, sh, snapshot,
    web,
};
use crate::restoring::{leftovers, nothing_is_left};

pub fn ahead(operation: Uuid, system: &StorePath) -> Request {
    let system = system.to_string();
    Request::RestoreAhead { claim: claim(operation), system, repository: repository(), limit_seconds: 100 }
}

pub fn reusing(operation: Uuid, system: &StorePath, parts: &[(&str, &str)]) -> Request {
    let Request::Restore { claim, system, repository, parts, secrets, limit_seconds, .. } =
        restore(operation, system, parts)
    else {
        panic!("another request")
    };
    Request::Restore { claim, system, repository, parts, secrets, reuse: true, limit_seconds }
}

pub async fn restored(bench: &Bench, request: Request) -> RestoredAhead {
    match bench.ask(request).await.answer.unwrap() {
        Answer::RestoredAhead(restored) => restored.expect("this machine's restic can"),
        other => panic!("{other:?}"),
    }
}

async fn captured_as(bench: &Bench, path: &StorePath, pass: Pass) -> String {
    let told = bench.ask(capture(Uuid::now_v7(), path, pass)).await;
    snapshot(&captured(&captures(told), "web")).to_owned()
}

/// The numbers and times of files, which tell whether one was written anew.
async fn looks(bench: &Bench, room: &str, names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        found.push(sh(bench, &format!("stat -c '%i %Y %s' {room}/var/lib/web/{name}")).await);
    }
    found
}

/// Two machines, and what a first copy has brought to the second.
pub async fn copied_once(name: &str) -> Option<(Bench, Bench, StorePath)> {
    if std::env::var_os("BERTH_TEST_RESTIC").is_some() {
        eprintln!("SKIPPED: another restic than the image's may be too old for it");
        return None;
    }
    let source = keeping::machine(&format!("{name}-source"), 4000).await?;
    let target = keeping::machine(&format!("{name}-target"), 5000).await?;
    fill(&source).await;
    let path = on(&source, name, json!({ "web": web(&[], "1.2") }));
    target.copy(&path);
    sh(&target, "echo old > /var/lib/web/old").await;
    Some((source, target, path))
}

#[tokio::test]
async fn what_has_arrived_is_restored_beside_what_is_there_and_only_what_changes_is_written_again() {
    let Some((source, target, path)) = copied_once("ahead").await else { return };
    let operation = Uuid::now_v7();
    // Nothing has arrived.
    assert_eq!(restored(&target, ahead(operation, &path)).await, RestoredAhead::default());

    let live = captured_as(&source, &path, Pass::Live).await;
    carry_vault(&source, &target);
    let first = restored(&target, ahead(operation, &path)).await;
    assert_eq!(first.snapshots.keys().collect::<Vec<_>>(), [&live]);
    assert!(first.snapshots[&live] >= 100_000, "{first:?}");
    assert_eq!(sh(&target, "cat /var/lib/web/old").await, "old", "what is there stays");
    let room = format!("/var/lib/.web.berth-new-{operation}");
    assert_eq!(sh(&target, &format!("stat -c '%U %a' {room}")).await, "root 700");
    let before = looks(&target, &room, &["plain", "sparse", "runs"]).await;

    sh(&source, "cd /var/lib/web; rm -r deep; echo other > runs; echo new > new; chown web:web new runs")
        .await;
    let last = captured_as(&source, &path, Pass::Quiesced).await;
    let wanted = fingerprint(&source, &path).await;
    carry_vault(&source, &target);
    let told = target.ask(reusing(operation, &path, &[("web", &last)])).await;
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    let after = looks(&target, "", &["plain", "sparse", "runs"]).await;
    assert_eq!((&after[..2], after[2] == before[2]), (&before[..2], false));
    assert_eq!(
        sh(&target, "stat -c '%U:%G %a' /var/lib/web /var/lib/web/new").await,
        "web:web 750\nweb:web 644"
    );
    nothing_is_left(&target).await;
}

#[tokio::test]
async fn a_snapshot_that_was_restored_ahead_as_a_whole_is_put_in_place_as_it_is() {
    let Some((source, target, path)) = copied_once("whole").await else { return };
    let operation = Uuid::now_v7();
    let last = captured_as(&source, &path, Pass::Quiesced).await;
    let wanted = fingerprint(&source, &path).await;
    carry_vault(&source, &target);
    let first = restored(&target, ahead(operation, &path)).await;
    // Asked again, nothing is newer.
    let again = target.ask(ahead(operation, &path)).await;
    assert!(again.transfers.is_empty());
    assert_eq!(again.answer.unwrap(), Answer::RestoredAhead(Some(first)));
    let told = target.ask(reusing(operation, &path, &[("web", &last)])).await;
    assert!(told.lines.iter().any(|line| line == "/var/lib/web was restored ahead"), "{:?}", told.lines);
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    nothing_is_left(&target).await;
}

#[tokio::test]
async fn a_change_that_cannot_be_seen_is_not_missed_by_whoever_compares_and_restores_the_whole() {
    let Some((source, target, path)) = copied_once("unseen").await else { return };
    let operation = Uuid::now_v7();
    sh(&source, "echo one > /var/lib/web/lone; chown web:web /var/lib/web/lone").await;
    captured_as(&source, &path, Pass::Live).await;
    carry_vault(&source, &target);
    restored(&target, ahead(operation, &path)).await;
    // As long and as old as before.
    sh(&source, "cd /var/lib/web; touch -r lone /tmp/then; echo two > lone; touch -r /tmp/then lone").await;
    let last = captured_as(&source, &path, Pass::Quiesced).await;
    let wanted = fingerprint(&source, &path).await;
    carry_vault(&source, &target);
    let parts = [("web", last.as_str())];
    assert_eq!(target.ask(reusing(operation, &path, &parts)).await.answer.unwrap(), Answer::Restored);
    assert_ne!(fingerprint(&target, &path).await, wanted);
    // The same operation asks for another restore than before.
    assert_eq!(target.ask(restore(operation, &path, &parts)).await.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    nothing_is_left(&target).await;
}

#[tokio::test]
async fn what_an_operation_has_left_is_taken_over_by_the_next_and_goes_with_the_data() {
    let Some((source, target, path)) = copied_once("left").await else { return };
    captured_as(&source, &path, Pass::Live).await;
    carry_vault(&source, &target);
    let (one, other) = (Uuid::now_v7(), Uuid::now_v7());
    restored(&target, ahead(one, &path)).await;
    let before = looks(&target, &format!("/var/lib/.web.berth-new-{one}"), &["plain"]).await;
    restored(&target, ahead(other, &path)).await;
    let room = format!("/var/lib/.web.berth-new-{other}");
    assert_eq!(looks(&target, &room, &["plain"]).await, before);
    assert_eq!(leftovers(&target).await, room);
    // One that the record says is there, and is not, is made anew.
    sh(&target, &format!("rm -r {room}")).await;
    let last = captured_as(&source, &path, Pass::Quiesced).await;
    carry_vault(&source, &target);
    let told = target.ask(reusing(other, &path, &[("web", &last)])).await;
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, fingerprint(&source, &path).await);
    nothing_is_left(&target).await;

    let third = Uuid::now_v7();
    restored(&target, ahead(third, &path)).await;
    let wipe = Request::Wipe { claim: claim(third), system: path.to_string() };
    assert!(matches!(target.ask(wipe).await.answer.unwrap(), Answer::Wiped { .. }));
    assert_eq!(leftovers(&target).await, "");
}

#[tokio::test]
async fn a_key_that_does_not_fit_changes_nothing() {
    let Some((source, target, path)) = copied_once("bad").await else { return };
    captured_as(&source, &path, Pass::Live).await;
    carry_vault(&source, &target);
    let Request::RestoreAhead { claim, system, repository, limit_seconds } = ahead(Uuid::now_v7(), &path)
    else {
        return;
    };
    let key = serde_json::from_value(json!("another-key")).unwrap();
    let repository = Repository { key, ..repository };
    let told = target.ask(Request::RestoreAhead { claim, system, repository, limit_seconds }).await;
    assert_eq!(told.failure().code, FailureCode::Program);
    assert_eq!(sh(&target, "cat /var/lib/web/old").await, "old");
}
