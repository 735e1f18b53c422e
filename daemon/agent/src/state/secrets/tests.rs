//! What comes back, and what is put back.

use super::*;
use crate::secrets::ensure;
use secrecy::SecretString;
use serde_json::{Value, json};

fn own(option: &str) -> String {
    let output = std::process::Command::new("id").arg(option).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A key, and a text that it is in, which a unit of its own hands on.
fn machine(folder: &Path) -> Manifest {
    let secret = |name: &str, generate: Value| {
        json!({ "name": name, "path": folder.join(name), "owner": own("-un"), "group": own("-gn"), "mode": "0400",
            "generate": generate, "purpose": "Signs.", "readers": ["hands-on.service"], "loss": "data" })
    };
    let secrets = json!([
        secret("key", json!({ "kind": "hex", "bytes": 32 })),
        secret("environment", json!({ "kind": "template", "text": "KEY={{key}}\n" })),
    ]);
    serde_json::from_value(json!({ "version": 1, "platform": "rehearsal", "tenant": "acme", "mode": "active",
        "services": { "web": { "title": "Web", "url": "http://web.acme.example", "units": ["web.service"],
        "probes": [], "state": {}, "secrets": secrets } } }))
    .unwrap()
}

fn given(name: &str, value: &str) -> GivenSecret {
    GivenSecret { service: "web".into(), name: name.into(), value: SecretString::from(value).into() }
}

fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn names(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[test]
fn what_differs_comes_back_with_what_is_made_of_it_and_nothing_stays_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let (manifest, operation) = (machine(folder.path()), Uuid::now_v7());
    ensure(&manifest).unwrap();
    let secrets = [given("key", "former"), given("gone", "former")];
    let former = Former::of(&manifest, None, &secrets, operation).unwrap();
    assert_eq!(former.units(), ["web.service", "hands-on.service", "hands-on.service"]);
    let said = former.said().join("; ");
    assert!(
        said.contains("web/gone of the snapshot has no place") && said.contains("web/key is as it was"),
        "{said}"
    );
    former.make_ready().unwrap();
    assert_ne!(read(folder.path(), "key"), "former");
    former.put().unwrap();
    assert_eq!(
        (read(folder.path(), "key"), read(folder.path(), "environment")),
        ("former".into(), "KEY=former\n".into())
    );
    former.exchanges().iter().try_for_each(SecretExchange::forget).unwrap();
    assert_eq!(names(folder.path()), 2);
    // There is nothing left to do.
    ensure(&manifest).unwrap();
    let again = Former::of(&manifest, None, &secrets[..1], operation).unwrap();
    assert!(again.exchanges().is_empty() && again.units().is_empty() && again.said().is_empty());
}

#[test]
fn however_far_it_went_the_machines_own_come_back_and_twice_is_as_once() {
    for put in [0, 1, 2] {
        for existed in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let manifest = machine(folder.path());
            if existed {
                ensure(&manifest).unwrap();
            }
            let before = existed.then(|| (read(folder.path(), "key"), read(folder.path(), "environment")));
            let former = Former::of(&manifest, None, &[given("key", "former")], Uuid::now_v7()).unwrap();
            let exchanges = former.exchanges();
            assert_eq!(exchanges.len(), 2);
            former.make_ready().unwrap();
            exchanges.iter().take(put).try_for_each(SecretExchange::put).unwrap();
            for _ in 0..2 {
                exchanges.iter().try_for_each(SecretExchange::put_back).unwrap();
                assert_eq!(names(folder.path()), if existed { 2 } else { 0 });
                if let Some(before) = &before {
                    assert_eq!(*before, (read(folder.path(), "key"), read(folder.path(), "environment")));
                }
            }
        }
    }
}

#[test]
fn an_exchange_that_was_broken_off_between_its_two_halves_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = machine(folder.path());
    ensure(&manifest).unwrap();
    let before = read(folder.path(), "key");
    let former = Former::of(&manifest, None, &[given("key", "former")], Uuid::now_v7()).unwrap();
    former.make_ready().unwrap();
    let exchange = &former.exchanges()[0];
    std::fs::hard_link(&exchange.path, exchange.before()).unwrap();
    exchange.put_back().unwrap();
    assert_eq!(read(folder.path(), "key"), before);
    assert!(!exchange.before().exists() && !exchange.new_one().exists());
}

#[test]
fn secrets_of_services_that_were_not_asked_for_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = machine(folder.path());
    ensure(&manifest).unwrap();
    let others = ["other".parse().unwrap()];
    let former = Former::of(&manifest, Some(&others), &[given("key", "former")], Uuid::now_v7()).unwrap();
    assert!(former.exchanges().is_empty());
    let empty = Former::of(&manifest, None, &[given("key", "")], Uuid::now_v7()).err().unwrap();
    assert!(empty.message.contains("web/key"), "{empty}");
}
