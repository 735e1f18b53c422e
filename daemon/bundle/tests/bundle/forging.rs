//! Bundles that are signed well, by somebody who means no good or does not know the format.

use std::fmt::Write as _;

use berth_bundle::{Entry, header};
use berth_sign::Sha256Hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{about, faults, key, trusted, verified};

fn sum(bytes: &[u8]) -> Sha256Hex {
    <[u8; 32]>::from(Sha256::digest(bytes)).into()
}

fn file(path: &str, content: &str) -> (Value, String) {
    let entry = json!({
        "path": path, "kind": "file", "size": content.len(), "sha256": sum(content.as_bytes()).to_string(),
        "mode": "0644", "uid": 0, "gid": 0, "owner": "root", "group": "root", "mtime": 0
    });
    (entry, content.to_owned())
}

fn first() -> (Value, String) {
    file("bundle.json", &format!("{}\n", json!(about())))
}

fn of_kind(path: &str, kind: &str) -> (Value, String) {
    let entry =
        json!({"path": path, "kind": kind, "target": "x", "mode": "0777", "uid": 0, "gid": 0, "mtime": 0});
    (entry, String::new())
}

/// A bundle of these entries, signed. Entries that no header can be made of have none.
fn forged(entries: &[(Value, String)], totals: Option<Value>) -> Vec<u8> {
    let key = key();
    let (mut bundle, mut manifest) = (Vec::new(), String::new());
    let signer = json!({
        "provider": about().provider, "key_id": key.public().id(), "public_key": berth_sign::Jwk::of(&key.public())
    });
    let head = json!({
        "format": "berth-bundle-manifest", "version": 1, "tenant": "acme", "created": "2026-01-02T03:04:05Z",
        "signer": signer, "services": []
    });
    writeln!(manifest, "{head}").unwrap();
    let mut counted = json!({"entries": 0, "files": 0, "directories": 0, "symlinks": 0, "bytes": 0});
    let mut count =
        |name: &str, by: usize| counted[name] = json!(counted[name].as_u64().unwrap() + by as u64);
    for (entry, content) in entries {
        writeln!(manifest, "{entry}").unwrap();
        count("entries", 1);
        count("bytes", content.len());
        match entry["kind"].as_str().unwrap() {
            "file" => count("files", 1),
            "directory" => count("directories", 1),
            _ => count("symlinks", 1),
        }
        if let Ok(entry) = serde_json::from_value::<Entry>(entry.clone()) {
            bundle.extend(header::of_entry(&entry));
            bundle.extend(content.bytes());
            bundle.resize(bundle.len().next_multiple_of(512), 0);
        }
    }
    writeln!(manifest, "{}", totals.unwrap_or(counted)).unwrap();
    let statement = json!({
        "format": "berth-bundle", "version": 1, "tenant": "acme", "created": "2026-01-02T03:04:05Z",
        "manifest": {"size": manifest.len(), "sha256": sum(manifest.as_bytes()).to_string()}
    });
    let signature = key.sign(statement.to_string().as_bytes(), "berth-bundle+jws");
    for (name, content) in [("manifest.jsonl", &manifest), ("manifest.jws", &signature)] {
        bundle.extend(header::of_last(name, content.len() as u64, about().created.timestamp()));
        bundle.extend(content.bytes());
        bundle.resize(bundle.len().next_multiple_of(512), 0);
    }
    bundle.extend([0; 1024]);
    bundle
}

#[test]
fn a_bundle_of_a_later_version_is_refused_as_that_and_only_where_its_signature_holds() {
    let whole = forged(&[first(), file("services/a", "x")], None);
    let created = about().created.timestamp();
    let with = |statement: Value, key: &berth_sign::SigningKey| {
        let signature = key.sign(statement.to_string().as_bytes(), "berth-bundle+jws");
        let begin = whole.windows(12).rposition(|window| window == b"manifest.jws").unwrap();
        let mut bundle = whole[..begin].to_vec();
        bundle.extend(header::of_last("manifest.jws", signature.len() as u64, created));
        bundle.extend(signature.bytes());
        bundle.resize(bundle.len().next_multiple_of(512) + 1024, 0);
        bundle
    };
    let later = json!({"format": "berth-bundle", "version": 2, "what": "ever"});
    let report = verified(&with(later.clone(), &key()));
    assert_eq!(faults(&report)[0], "manifest.jws: version");
    assert!(report.problems[0].to_string().contains("version 2"), "{:?}", report.problems);
    let mut altered = with(later, &key());
    let at = altered.len() - 1024 - 512;
    altered[at + 3] ^= 1;
    assert_eq!(faults(&verified(&altered))[0], "manifest.jws: signature");
}

#[test]
fn what_keeps_to_the_rules_is_accepted() {
    let bundle = forged(&[first(), file("services/a", "x"), of_kind("services/b", "symlink")], None);
    assert!(verified(&bundle).is_trusted(), "{:?}", verified(&bundle));
}

#[test]
fn a_signed_manifest_that_breaks_a_rule_is_refused_and_the_entry_is_named() {
    let cases: Vec<(&str, Vec<(Value, String)>)> = vec![
        ("../evil", vec![first(), file("../evil", "x")]),
        ("/etc/passwd", vec![first(), file("/etc/passwd", "x")]),
        ("services/../../x", vec![first(), file("services/../../x", "x")]),
        ("services/./x", vec![first(), file("services/./x", "x")]),
        ("services//x", vec![first(), file("services//x", "x")]),
        ("services/a: there is an entry", vec![first(), file("services/a", "x"), file("services/a", "y")]),
        ("services/a: it must come before", vec![first(), file("services/b", "x"), file("services/a", "y")]),
        (
            "services/l/passwd: it lies in",
            vec![first(), of_kind("services/l", "symlink"), file("services/l/passwd", "x")],
        ),
        ("services/f/x: it lies in", vec![first(), file("services/f", "x"), file("services/f/x", "x")]),
        ("unknown variant `device`", vec![first(), of_kind("services/d", "device")]),
        ("unknown variant `hardlink`", vec![first(), of_kind("services/d", "hardlink")]),
        ("manifest.jws: this name", vec![first(), file("manifest.jws", "x")]),
        ("secrets/a: among the secrets", vec![first(), of_kind("secrets/a", "symlink")]),
        ("the first entry", vec![file("services/a", "x")]),
        ("not encoded", vec![first(), file("services/%41", "x")]),
    ];
    for (expected, entries) in cases {
        let report = verified(&forged(&entries, None));
        let [problem] = &report.problems[..] else { panic!("{expected}: {:?}", report.problems) };
        assert!(problem.to_string().contains(expected), "{expected}: {problem}");
        let into = tempfile::tempdir().unwrap();
        let folder = into.path().join("out");
        let bundle = forged(&entries, None);
        assert!(berth_bundle::Verified::of(bundle, &trusted(), &mut |_| ()).is_err());
        assert!(!folder.exists());
    }
}

#[test]
fn a_secret_that_is_not_sealed_is_named() {
    let report = verified(&forged(&[first(), file("secrets/a/password.age", "hunter2")], None));
    assert_eq!(faults(&report), ["secrets/a/password.age: unsealed"]);
    assert!(!format!("{report:?}").contains("hunter2"));
}

#[test]
fn totals_that_are_wrong_are_refused() {
    let totals = json!({"entries": 1, "files": 1, "directories": 0, "symlinks": 0, "bytes": 1});
    assert_eq!(faults(&verified(&forged(&[first()], Some(totals)))), ["manifest.jsonl: format"]);
    assert_eq!(faults(&verified(&forged(&[], None))), ["manifest.jsonl: format"]);
}

#[test]
fn a_first_entry_that_says_something_else_than_the_manifest_is_refused() {
    let other = berth_bundle::About::new("bolt", "Berth, Inc.", about().created);
    let report = verified(&forged(&[file("bundle.json", &json!(other).to_string())], None));
    assert_eq!(faults(&report), ["bundle.json: format"]);
}
