//! Making a system the one that boots.

use berth_protocol::{Answer, FailureCode, Request};
use serde_json::json;

use crate::bench::Bench;
use crate::systems::{SWITCH, system};

fn commit(system: &berth_machine::StorePath) -> Request {
    Request::Commit { system: system.to_string() }
}

#[tokio::test]
async fn a_commit_sets_the_profile_and_makes_the_boot_entry_once() {
    let Some(bench) = Bench::set_up("commit").await else { return };
    let (one, other) = (system("one", SWITCH, json!({})), system("other", SWITCH, json!({})));
    bench.copy(&one);
    bench.copy(&other);
    for (path, generation, changed) in
        [(&one, 1, true), (&one, 1, false), (&other, 2, true), (&other, 2, false)]
    {
        let answer = bench.ask(commit(path)).await.answer.unwrap();
        assert_eq!(answer, Answer::Committed { generation, changed });
        assert_eq!(bench.facts().await.committed_system, Some(path.to_string()));
    }
    assert_eq!(bench.run(&["cat", "/var/lib/switched"]).await, "boot\nboot");
}

#[tokio::test]
async fn a_commit_whose_boot_entry_failed_is_finished_by_the_next() {
    let Some(bench) = Bench::set_up("halfway").await else { return };
    let path =
        system("halfway", "[ -e /var/lib/mended ] || { echo the disk is full >&2; exit 28; }", json!({}));
    bench.copy(&path);
    let failure = bench.ask(commit(&path)).await.failure();
    assert_eq!(failure.code, FailureCode::Program);
    assert!(failure.message.contains("the disk is full"), "{failure}");
    bench.run(&["touch", "/var/lib/mended"]).await;
    let answer = bench.ask(commit(&path)).await.answer.unwrap();
    assert_eq!(answer, Answer::Committed { generation: 1, changed: true });
    let answer = bench.ask(commit(&path)).await.answer.unwrap();
    assert_eq!(answer, Answer::Committed { generation: 1, changed: false });
}
