//! `berth migration verify`, which needs neither a daemon nor a token.

use std::collections::BTreeMap;
use std::path::PathBuf;

use berth_seal::Keys;
use berth_sign::{Countersignature, SigningKey};
use berth_transfer::{HandOver, Manifest, MovedService, Purpose, Sealed, Statement as _};
use serde_json::json;

use crate::{Ran, bare, run};

fn source() -> SigningKey {
    SigningKey::from_seed(&[2; 32])
}

fn target() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

fn manifest() -> Manifest {
    let offer = crate::server::ID.parse().unwrap();
    let moved = MovedService {
        snapshot: "a".repeat(64),
        bytes: 2048,
        files: 7,
        databases: vec!["gitea".into()],
        replicated: Vec::new(),
        data_version: Some("1.22".into()),
        left_out: vec!["the bucket\u{1b}[2J".into()],
        fingerprint: Default::default(),
    };
    Manifest {
        offer,
        tenant: "acme".parse().unwrap(),
        taken_at: "2026-11-26T12:00:00Z".parse().unwrap(),
        revision: Some("b".repeat(64).parse().unwrap()),
        services: BTreeMap::from([("gitea".parse().unwrap(), moved)]),
        secrets: Sealed::to(&Keys::generate().recipient(), offer, Purpose::Secrets, b"[]").unwrap(),
        rehearsal: None,
    }
}

fn receipt(manifest: &str, role: &str) -> Countersignature {
    let at = "2026-11-26T12:01:00Z".parse().unwrap();
    Countersignature { manifest_sha256: Manifest::sum(manifest), role: role.into(), at }
}

/// A folder with the two files.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn with(manifest: &str, countersignature: &str) -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        std::fs::write(scene.at("manifest.jws"), format!("{manifest}\n")).unwrap();
        std::fs::write(scene.at("countersignature.jws"), format!("{countersignature}\n")).unwrap();
        scene
    }

    fn good() -> Self {
        let manifest = manifest().sign(&source());
        let countersignature = receipt(&manifest, "target").sign(&target());
        Self::with(&manifest, &countersignature)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let mut command = bare(&["migration", "verify", "manifest.jws", "countersignature.jws"]);
        command.args(more).current_dir(self.folder.path());
        run(command)
    }

    /// It does not hold, and this is why.
    fn fails_as(&self, more: &[&str], why: &str) {
        let ran = self.verify(more);
        assert_eq!(ran.code, Some(1), "{why}: {}", ran.stdout);
        assert!(ran.stdout.contains(why), "{why}: {}", ran.stdout);
        assert!(!ran.stdout.contains("both hold"), "{why}: {}", ran.stdout);
        assert!(ran.stderr.contains("does not hold"), "{why}: {}", ran.stderr);
        let ran = self.verify(&[more, &["--json"]].concat());
        assert_eq!((ran.code, &ran.json()["holds"]), (Some(1), &json!(false)), "{why}");
        let problems = ran.json()["problems"].to_string();
        assert!(problems.contains(why), "{why}: {problems}");
    }
}

#[test]
fn a_proof_says_who_signed_what_without_a_daemon() {
    let scene = Scene::good();
    let keys = [source().public().id().to_string(), target().public().id().to_string()];
    let asked = ["--source-key", keys[0].as_str(), "--target-key", keys[1].as_str()];
    for more in [&[][..], &asked] {
        let ran = scene.verify(more);
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let sure =
            [keys[0].as_str(), keys[1].as_str(), "acme", "2.00 KiB in 7 files, data 1.22", "both hold"];
        for said in sure {
            assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
        }
        assert!(!ran.stdout.contains('\u{1b}'), "{}", ran.stdout);
    }
    let ran = scene.verify(&["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let verdict = ran.json();
    assert_eq!((&verdict["holds"], &verdict["problems"]), (&json!(true), &json!([])));
    assert_eq!(verdict["manifest"]["key"], keys[0].as_str());
    assert_eq!(verdict["manifest"]["services"]["gitea"]["bytes"], 2048);
    assert_eq!(verdict["countersignature"]["key"], keys[1].as_str());
    assert_eq!(verdict["countersignature"]["at"], "2026-11-26T12:01:00Z");
}

#[test]
fn a_manifest_that_was_altered_does_not_hold() {
    let scene = Scene::good();
    let text = std::fs::read_to_string(scene.at("manifest.jws")).unwrap();
    let middle = text.len() / 2;
    let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
    std::fs::write(scene.at("manifest.jws"), format!("{}{other}{}", &text[..middle], &text[middle + 1..]))
        .unwrap();
    scene.fails_as(&[], "the manifest: ");
}

#[test]
fn a_countersignature_of_another_manifest_or_in_another_role_does_not_hold() {
    let ours = manifest().sign(&source());
    let other = Manifest { taken_at: "2026-11-25T12:00:00Z".parse().unwrap(), ..manifest() }.sign(&source());
    let scene = Scene::with(&ours, &receipt(&other, "target").sign(&target()));
    scene.fails_as(&[], "the countersignature is of another manifest");
    let scene = Scene::with(&ours, &receipt(&ours, "owner").sign(&target()));
    scene.fails_as(&[], "the countersignature is not a target’s");
    let scene = Scene::with(&ours, &receipt(&ours, "target").sign(&source()));
    scene.fails_as(&[], "both are signed with the same key");
}

#[test]
fn other_keys_than_the_expected_ones_do_not_hold() {
    let scene = Scene::good();
    let (source, target) = (source().public().id().to_string(), target().public().id().to_string());
    scene.fails_as(&["--source-key", &target], "the manifest is signed with the key");
    scene.fails_as(&["--target-key", &source], "the countersignature is signed with the key");
    scene.fails_as(&["--target-key", ""], "the countersignature is signed with the key");
}

#[test]
fn no_other_statement_is_taken_for_a_manifest() {
    let ours = manifest().sign(&source());
    let hand_over = HandOver {
        way_back: None,
        offer: manifest().offer,
        manifest: Manifest::sum(&ours),
        at: "2026-11-26T12:00:30Z".parse().unwrap(),
    };
    let said = hand_over.sign(&source());
    Scene::with(&said, &receipt(&said, "target").sign(&target())).fails_as(&[], "the manifest: ");
    Scene::with(&ours, &said).fails_as(&[], "the countersignature: ");
    Scene::with("hello", "").fails_as(&[], "the manifest: ");
    let unread = source().sign(b"{\"offer\": 1}", Manifest::TYP);
    Scene::with(&unread, &receipt(&unread, "target").sign(&target())).fails_as(&[], "cannot be read");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let ran = run(bare(&["migration", "verify", "/nonexistent/m.jws", "/nonexistent/c.jws"]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("/nonexistent/m.jws"), "{}", ran.stderr);
    assert_eq!(run(bare(&["migration", "verify", "m.jws"])).code, Some(2));
}
