//! The program's lines, against the JSON Schema of what NixOps4 accepts as an answer.
//!
//! `schema-v0.json` describes version 0 of the protocol in our own words, from
//! <https://github.com/nixops4/nixops4>, rust/nixops4-resource/resource-schema-v0.json (53d8554, 2026-07). Where a checkout of
//! NixOps4 is named by `BERTH_NIXOPS4`, its own schema judges as well.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Runs the program on some input, without a daemon to be found.
fn run(input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth-nixops4-provider"));
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writing = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    output
}

/// The validators of whole lines: ours, and NixOps4's own where it is at hand.
fn schemas() -> Vec<jsonschema::Validator> {
    let ours: Value = serde_json::from_str(include_str!("schema-v0.json")).unwrap();
    let mut all = vec![jsonschema::validator_for(&ours).unwrap()];
    if let Some(checkout) = std::env::var_os("BERTH_NIXOPS4") {
        let file = Path::new(&checkout).join("rust/nixops4-resource/resource-schema-v0.json");
        let mut theirs: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        // It refers to a schema on the web for patches, which no answer has.
        theirs["definitions"]["Patch"] = json!({});
        // At its root it also says `additionalProperties: false`, by which no line at all would be valid.
        theirs.as_object_mut().unwrap().remove("additionalProperties");
        all.push(jsonschema::validator_for(&theirs).unwrap());
    }
    all
}

fn answers(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for schema in schemas() {
        for line in &lines {
            let problems: Vec<String> = schema.iter_errors(line).map(|error| error.to_string()).collect();
            assert!(problems.is_empty(), "{line}: {problems:?}");
        }
    }
    lines
}

#[test]
fn every_line_is_answered_by_one_line_and_the_end_of_the_input_is_the_end() {
    let create = json!({"createResourceRequest": {"type": "deployment", "isStateful": false, "inputProperties": {
        "tenant": "acme", "machine": "vm1", "system": "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nixos"}}});
    let stateful =
        json!({"createResourceRequest": {"type": "deployment", "isStateful": true, "inputProperties": {}}});
    let unknown =
        json!({"createResourceRequest": {"type": "vm", "isStateful": false, "inputProperties": {}}});
    let input = format!("{create}\n\n  \n{{\"half\n{stateful}\n{unknown}\n\u{0}\u{1}\n{create}");
    let output = run(input.as_bytes());
    assert!(output.status.success(), "{output:?}");
    let answers = answers(&output);
    let messages: Vec<_> =
        answers.iter().map(|line| line["errorResponse"]["message"].as_str().unwrap()).collect();
    assert_eq!(messages.len(), 6);
    for (message, words) in messages.iter().zip([
        "there is no token to show Berth's daemon",
        "a request that is not understood",
        "state: must be null for a deployment",
        "“vm” is neither deployment nor state",
        "a request that is not understood",
        "there is no token to show Berth's daemon",
    ]) {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_one_is_answered() {
    let mut input = vec![b'x'; 33 * 1024 * 1024];
    input.extend_from_slice(b"\n7\n");
    let answers = answers(&run(&input));
    assert_eq!(answers.len(), 2);
    assert!(answers[0]["errorResponse"]["message"].as_str().unwrap().contains("at most"));
}

#[test]
fn nothing_that_was_sent_comes_back_in_a_refusal() {
    let garbage = [
        json!({"createResourceRequest": {"type": "deployment", "isStateful": "hunter2", "inputProperties": {}}}),
        json!({"createResourceRequest": {"type": "deployment", "isStateful": false, "inputProperties": {"token": "hunter2", "system": "hunter2", "machine": "hunter2-"}}}),
        json!({"stateResourceEvent": {"resource": {"type": "state", "inputProperties": {"tenant": "acme"}}, "event": "create", "nixopsVersion": "0", "patch": "hunter2"}}),
        json!({"hunter2": 1}),
    ];
    let input: String = garbage.iter().map(|line| format!("{line}\n")).collect();
    let output = run(input.as_bytes());
    assert_eq!(answers(&output).len(), garbage.len());
    let all = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&all).contains("hunter2"));
}

#[test]
fn arguments_are_refused_and_help_is_given() {
    let run = |word| Command::new(env!("CARGO_BIN_EXE_berth-nixops4-provider")).arg(word).output().unwrap();
    assert_eq!(run("apply").status.code(), Some(2));
    let help = run("--help");
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("BERTH_TOKEN_FILE"));
}
