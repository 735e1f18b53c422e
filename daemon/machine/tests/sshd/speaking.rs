//! Questions to an agent and its answers, good and bad.

use std::time::{Duration, Instant};

use berth_machine::MachineError;
use berth_protocol::{Answer, FailureCode, Note, PROTOCOL, Request};
use tokio_util::sync::CancellationToken;

use crate::agents::{self, HELLO};
use crate::server::{Server, never, processes_about};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_real_agent_tells_the_facts_and_goes_on_after_a_refusal() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::real() else { return };
    let (_connector, session) = server.session().await;
    let mut agent = session.agent(&path, &never()).await.unwrap();
    assert_eq!(agent.version(), env!("CARGO_PKG_VERSION"));
    let request = Request::Commit {
        claim: berth_protocol::Claim { operation: uuid::Uuid::now_v7(), fence: 1 },
        system: agents::nowhere().to_string(),
        keep_generations: 10,
    };
    let error = agent.call(request, LIMIT, &never(), |_| {}).await.unwrap_err();
    let MachineError::Failed { failure, .. } = &error else { panic!("{error}") };
    assert_eq!(failure.code, FailureCode::NoSuchSystem);
    let Answer::Facts(facts) = agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap() else {
        panic!()
    };
    assert_eq!(facts.system, format!("{}-linux", std::env::consts::ARCH));
    assert!(
        facts.nix_version.is_some()
            && facts.memory_bytes > 0
            && facts.disk_bytes > facts.disk_available_bytes
    );
    assert_eq!(server.authenticated(), 1, "everything goes over one connection");
    drop(agent);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let left = processes_about(&format!("{path}/bin/berth-agent"));
    assert!(left.is_empty(), "the agent ends with its connection");
}

#[tokio::test]
async fn agents_that_are_started_one_after_the_other_share_one_connection() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&[HELLO, "read call", r#"echo '{"id":1,"done":{"logs":[]}}'"#]) else {
        return;
    };
    let (connector, _session) = server.session().await;
    for _ in 0..5 {
        let session = connector.connect(&server.machine(), &never()).await.unwrap();
        let mut agent = session.agent(&path, &never()).await.unwrap();
        agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap();
    }
    assert_eq!(server.authenticated(), 1, "{}", server.log());
}

#[tokio::test]
async fn notes_come_in_order_before_the_answer() {
    let Some(server) = Server::start() else { return };
    let note = r#"echo '{"id":1,"note":{"line":"one"}}'; echo '{"id":1,"note":{"progress":{"done":1,"expected":2}}}'"#;
    let done = r#"echo '{"id":1,"done":{"committed":{"generation":3,"changed":false}}}'"#;
    let Some(path) = agents::script(&[HELLO, "read call", note, done]) else { return };
    let (_connector, session) = server.session().await;
    let mut agent = session.agent(&path, &never()).await.unwrap();
    let mut notes = Vec::new();
    let answer = agent.call(Request::Facts, LIMIT, &never(), |note| notes.push(note)).await.unwrap();
    assert_eq!(answer, Answer::Committed { generation: 3, changed: false });
    assert_eq!(notes, [Note::Line("one".into()), Note::Progress { done: 1, expected: 2 }]);
}

#[tokio::test]
async fn an_agent_that_is_not_on_the_machine_is_missing() {
    let Some(server) = Server::start() else { return };
    let Some(there) = agents::script(&[HELLO]) else { return };
    let (_connector, session) = server.session().await;
    let path = agents::nowhere();
    let error = session.agent(&path, &never()).await.unwrap_err();
    let MachineError::AgentMissing { path: missing, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(*missing, path.to_string());
    assert!(reason.contains("not found") || reason.contains("No such file"), "{reason}");
    assert!(!session.has_path(&path, &never()).await.unwrap());
    assert!(session.has_path(&there, &never()).await.unwrap());
}

#[tokio::test]
async fn an_agent_that_ends_without_a_word_is_as_good_as_missing() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&["echo truncated >&2", "exit 3"]) else { return };
    let (_connector, session) = server.session().await;
    let error = session.agent(&path, &never()).await.unwrap_err();
    let MachineError::AgentMissing { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("exit status: 3") && reason.contains("truncated"), "{reason}");
}

#[tokio::test]
async fn an_agent_of_another_protocol_is_told_apart() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&[r#"echo '{"protocol":77,"version":"9"}'"#, "cat"]) else { return };
    let (_connector, session) = server.session().await;
    let error = session.agent(&path, &never()).await.unwrap_err();
    assert!(matches!(error, MachineError::AgentProtocol { ours: PROTOCOL, theirs: 77, .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_the_protocol_is_said_with_its_beginning() {
    let Some(server) = Server::start() else { return };
    let (_connector, session) = server.session().await;
    let Some(path) = agents::script(&["echo Welcome to this machine!", HELLO, "cat"]) else { return };
    let error = session.agent(&path, &never()).await.unwrap_err();
    assert!(
        matches!(&error, MachineError::AgentGarbled { problem, .. } if problem.contains("Welcome")),
        "{error}"
    );

    let another = r#"echo '{"id":99,"done":{"logs":[]}}'; cat"#;
    let endless = "head -c 5000000 /dev/zero | tr '\\0' x; cat";
    for (lines, expected) in [(another, "call 99 instead of 1"), (endless, "more than")] {
        let Some(path) = agents::script(&[HELLO, "read call", lines]) else { return };
        let mut agent = session.agent(&path, &never()).await.unwrap();
        let error = agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap_err();
        assert!(
            matches!(&error, MachineError::AgentGarbled { problem, .. } if problem.contains(expected)),
            "{error}"
        );
        assert!(!agent.is_usable());
    }
}

#[tokio::test]
async fn an_agent_that_dies_is_lost_with_its_last_words() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&[HELLO, "read call", "echo out of memory >&2", "exit 9"]) else {
        return;
    };
    let (_connector, session) = server.session().await;
    let mut agent = session.agent(&path, &never()).await.unwrap();
    let error = agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap_err();
    let MachineError::Lost { reason, .. } = &error else { panic!("{error}") };
    assert!(reason.contains("exit status: 9") && reason.contains("out of memory"), "{reason}");
}

#[tokio::test]
async fn a_late_or_cancelled_answer_is_not_waited_for_and_its_agent_is_ended() {
    let Some(server) = Server::start() else { return };
    let Some(path) = agents::script(&[HELLO, "exec cat >/dev/null"]) else { return };
    let (_connector, session) = server.session().await;
    let mut agent = session.agent(&path, &never()).await.unwrap();
    let began = Instant::now();
    let error = agent.call(Request::Facts, Duration::from_millis(200), &never(), |_| {}).await.unwrap_err();
    assert!(matches!(&error, MachineError::Timeout { after, .. } if after.as_millis() == 200), "{error}");
    let again = agent.call(Request::Facts, LIMIT, &never(), |_| {}).await.unwrap_err();
    assert!(
        matches!(again, MachineError::Lost { .. }),
        "an unawaited answer must not be taken for the next one"
    );

    let mut agent = session.agent(&path, &never()).await.unwrap();
    let cancel = CancellationToken::new();
    let (outcome, ()) =
        tokio::join!(agent.call(Request::Facts, LIMIT, &cancel, |_| {}), async { cancel.cancel() });
    assert!(matches!(outcome, Err(MachineError::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(3));
    // The session is as good as before.
    session.agent(&path, &never()).await.unwrap();
}
