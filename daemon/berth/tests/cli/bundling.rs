//! `berth bundle …`, which needs neither a daemon nor a token.

use std::path::{Path, PathBuf};

use berth_bundle::{About, BundlePath, FileMode, Meta, ServiceAbout, Target};
use berth_sign::{Jwk, SigningKey};
use serde_json::json;

use crate::{Ran, bare, run};

/// A folder with a bundle, and files with the keys of its signer and of somebody else.
struct Scene {
    folder: tempfile::TempDir,
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

impl Scene {
    fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        let about = About::new("acme", "Berth, Inc.", "2026-01-02T03:04:05Z".parse().unwrap());
        let services = vec![ServiceAbout { name: "gitea".into(), data_version: Some("1.22".into()) }];
        let path = |text: &str| BundlePath::try_from(text).unwrap();
        let meta = || Meta::made(FileMode::FILE, 0);
        berth_bundle::create(&scene.bundle(), about, services, &key(1), |writer| {
            writer.bytes(path("services/gitea/databases/gitea.dump"), meta(), b"PGDMP")?;
            writer.bytes(path("services/gitea/files/var/lib/a\u{1b}[2Jb"), meta(), b"odd")?;
            writer.symlink(path("services/gitea/files/var/out"), Target::new("/etc").unwrap(), meta())
        })
        .unwrap();
        for (name, seed) in [("mine.json", 1), ("other.json", 2)] {
            let set = json!({"keys": [Jwk::named(&key(seed).public())]});
            std::fs::write(scene.at(name), set.to_string()).unwrap();
        }
        scene
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.at("acme.berth.tar")
    }

    /// Alters the database's dump.
    fn damage(&self) {
        let mut bytes = std::fs::read(self.bundle()).unwrap();
        let at = bytes.windows(5).position(|bytes| bytes == b"PGDMP").unwrap();
        bytes[at] ^= 1;
        std::fs::write(self.bundle(), bytes).unwrap();
    }

    fn run(&self, words: &[&str]) -> Ran {
        let mut command = bare(&["bundle"]);
        command.args(words).current_dir(self.folder.path());
        run(command)
    }
}

fn is_absent(path: &Path) -> bool {
    !path.exists()
}

#[test]
fn a_whole_bundle_is_verified_without_a_daemon() {
    let scene = Scene::new();
    let ran = scene.run(&["verify", "acme.berth.tar"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for said in ["acme", "Berth, Inc., key ", "gitea (data 1.22)", "--trust", "whole: every byte"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(ran.stderr.contains("verify"), "{}", ran.stderr);
    let ran = scene.run(&["verify", "acme.berth.tar", "--trust", "mine.json", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!((&report["intact"], &report["trusted"]), (&json!(true), &json!(true)));
    assert_eq!(report["signer"]["key_id"], json!(key(1).public().id()));
}

#[test]
fn an_altered_entry_is_named_and_nothing_is_extracted() {
    let scene = Scene::new();
    scene.damage();
    let ran = scene.run(&["verify", "acme.berth.tar"]);
    assert_eq!(ran.code, Some(1));
    let named = "services/gitea/databases/gitea.dump: its content was altered (from byte ";
    assert!(ran.stdout.contains(named) && !ran.stdout.contains("whole: every"), "{}", ran.stdout);
    assert!(ran.stderr.contains("the bundle is not whole: 1"), "{}", ran.stderr);
    for words in [&["verify"][..], &["extract", "--into", "out", "--links", "keep"]] {
        let ran = scene.run(&[words, &["acme.berth.tar", "--json"]].concat());
        assert_eq!(ran.code, Some(1));
        let report = ran.json();
        assert_eq!(report["intact"], false);
        assert_eq!(report["problems"][0]["path"], "services/gitea/databases/gitea.dump");
        assert_eq!(report["problems"][0]["fault"], "altered");
    }
    assert!(is_absent(&scene.at("out")));
}

#[test]
fn a_bundle_of_somebody_else_is_refused_where_somebody_is_trusted() {
    let scene = Scene::new();
    for words in [&["verify"][..], &["inspect"], &["extract", "--into", "out", "--links", "keep"]] {
        let ran = scene.run(&[words, &["acme.berth.tar", "--trust", "other.json"]].concat());
        assert_eq!(ran.code, Some(1), "{words:?}");
        assert!(ran.stdout.contains("none of the trusted keys"), "{}", ran.stdout);
        assert!(ran.stderr.contains("not signed with a trusted key"), "{}", ran.stderr);
    }
    assert!(is_absent(&scene.at("out")));
    let ran = scene.run(&["verify", "acme.berth.tar", "--trust", "other.json", "--trust", "mine.json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = scene.run(&["verify", "acme.berth.tar", "--trust", "acme.berth.tar"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("acme.berth.tar"), "{}", ran.stderr);
}

#[test]
fn looking_into_a_bundle_lists_names_that_cannot_draw_on_the_terminal() {
    let scene = Scene::new();
    let ran = scene.run(&["inspect", "acme.berth.tar", "--entries"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("services/gitea/files/var/lib/a%1B[2Jb"), "{}", ran.stdout);
    assert!(ran.stdout.contains("services/gitea/files/var/out → /etc"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("\u{1b}[2J"), "{}", ran.stdout);
    let ran = scene.run(&["inspect", "acme.berth.tar", "--entries", "--json"]);
    let entries = ran.json()["entries"].as_array().unwrap().len();
    assert_eq!((entries, &ran.json()["totals"]["entries"]), (4, &json!(4)));
}

#[test]
fn links_that_lead_out_are_refused_with_what_to_do() {
    let scene = Scene::new();
    let ran = scene.run(&["extract", "acme.berth.tar", "--into", "out"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("services/gitea/files/var/out"), "{}", ran.stderr);
    assert!(ran.stderr.contains("→ --links skip leaves them out"), "{}", ran.stderr);
    assert!(is_absent(&scene.at("out")));
    let ran = scene.run(&["extract", "acme.berth.tar", "--into", "out", "--links", "skip"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("left out, as it leads out of the folder"), "{}", ran.stdout);
    assert_eq!(std::fs::read(scene.at("out/services/gitea/databases/gitea.dump")).unwrap(), b"PGDMP");
    let again = scene.run(&["extract", "acme.berth.tar", "--into", "out", "--links", "skip"]);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
}

#[test]
fn a_part_of_a_bundle_is_extracted_by_its_path_as_it_is_listed() {
    let scene = Scene::new();
    let extract = |into: &str, only: &str| {
        scene.run(&["extract", "acme.berth.tar", "--into", into, "--only", only, "--json"])
    };
    let ran = extract("one", "services/gitea/databases");
    assert_eq!((ran.code, &ran.json()["entries"]), (Some(0), &json!(1)), "{}", ran.stderr);
    let ran = extract("two", "services/gitea/files/var/lib/a%1B[2Jb");
    assert_eq!((ran.code, &ran.json()["bytes"]), (Some(0), &json!(3)), "{}", ran.stderr);
    assert_eq!(extract("three", "services/nothing").code, Some(1));
    assert_eq!(extract("four", "../etc").code, Some(2));
}

#[test]
fn what_is_no_bundle_or_cannot_be_read_fails() {
    let scene = Scene::new();
    std::fs::write(scene.at("text"), "hello").unwrap();
    for words in [&["verify"][..], &["inspect"], &["extract", "--into", "out"]] {
        for file in ["text", "absent", "."] {
            let ran = scene.run(&[words, &[file]].concat());
            assert_eq!(ran.code, Some(1), "{words:?} {file}: {}", ran.stderr);
            assert!(ran.stderr.contains("error:"), "{words:?} {file}: {}", ran.stderr);
        }
    }
}
