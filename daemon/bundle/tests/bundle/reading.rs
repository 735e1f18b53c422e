//! Other programs that read bundles: ours in Python, which was written from the page alone, and those that know archives.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use berth_bundle::Report;
use serde_json::Value;

use crate::support::{key, members, sample, verified};

fn reader() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/bundle_reader.py")
}

/// What the reader in Python says of each bundle; nothing where there is no Python.
fn read(bundles: &[Vec<u8>], trust: &str) -> Option<(Vec<Value>, bool)> {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no python3");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = |at: usize| folder.path().join(format!("{at}.berth.tar"));
    bundles.iter().enumerate().for_each(|(at, bundle)| fs::write(place(at), bundle).unwrap());
    let files = (0..bundles.len()).map(place);
    let output = Command::new("python3")
        .arg(reader())
        .args(["verify", "--trust", trust])
        .args(files)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), bundles.len(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((lines, output.status.success()))
}

/// What it says of a bundle by another word, line by line.
pub(crate) fn asked(word: &str, bundle: &[u8]) -> Option<Vec<Value>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.berth.tar");
    fs::write(&file, bundle).unwrap();
    let Ok(output) = Command::new("python3").arg(reader()).arg(word).arg(&file).output() else {
        eprintln!("SKIPPED: there is no python3");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    Some(said.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn named_by_us(report: &Report) -> BTreeSet<Option<String>> {
    report.problems.iter().map(|problem| problem.path.clone()).collect()
}

fn named_by_it(line: &Value) -> BTreeSet<Option<String>> {
    let problems = line["problems"].as_array().unwrap();
    problems.iter().map(|problem| problem["path"].as_str().map(str::to_owned)).collect()
}

#[test]
fn the_reader_in_python_finds_a_good_bundle_good_and_knows_its_signer() {
    let id = key().public().id();
    let Some((lines, success)) = read(&[sample()], id.as_str()) else { return };
    assert!(success);
    assert_eq!(lines[0], serde_json::json!({"intact": true, "trusted": true, "key_id": id, "problems": []}));
    let (lines, success) = read(&[sample()], "somebody").unwrap();
    assert!(!success);
    assert_eq!((&lines[0]["intact"], &lines[0]["trusted"]), (&Value::Bool(true), &Value::Bool(false)));
}

#[test]
fn the_reader_in_python_and_ours_name_the_same_wherever_a_byte_changes() {
    let bundle = sample();
    let places: Vec<_> = (0..bundle.len()).step_by(41).collect();
    let changed = |at: &usize| {
        let mut changed = bundle.clone();
        changed[*at] ^= 1 << (at % 8);
        changed
    };
    let changed: Vec<_> = places.iter().map(changed).collect();
    let Some((lines, _)) = read(&changed, "x") else { return };
    for ((at, bundle), line) in places.iter().zip(&changed).zip(&lines) {
        assert_eq!(line["intact"], false, "byte {at}");
        assert_eq!(named_by_it(line), named_by_us(&verified(bundle)), "byte {at}: {line}");
    }
}

#[test]
fn the_reader_in_python_and_ours_agree_about_whatever_else_happens_to_a_bundle() {
    let bundle = sample();
    let mut bundles: Vec<Vec<u8>> =
        (0..bundle.len()).step_by(301).map(|length| bundle[..length].to_vec()).collect();
    let members = members(&bundle);
    for (_, from, to) in &members {
        bundles.push([&bundle[..*from], &bundle[*to..]].concat());
        bundles.push([&bundle[..*from], &bundle[*from..*to], &bundle[*from..]].concat());
    }
    bundles.push([&bundle[..], b"x"].concat());
    bundles.push([&bundle[..], &[0; 512]].concat());
    bundles.push([&bundle[..], &bundle].concat());
    let Some((lines, success)) = read(&bundles, "x") else { return };
    assert!(!success);
    for (at, (bundle, line)) in bundles.iter().zip(&lines).enumerate() {
        assert!(!verified(bundle).is_intact(), "{at}");
        assert_eq!(line["intact"], false, "{at}");
    }
}

#[test]
fn gnu_tar_extracts_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.berth.tar");
    fs::write(&file, sample()).unwrap();
    let Ok(output) = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(folder.path()).output() else {
        eprintln!("SKIPPED: there is no tar");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let root = folder.path().join("services/gitea");
    assert_eq!(fs::read(root.join("databases/gitea.dump")).unwrap(), [7; 700]);
    assert_eq!(fs::read(root.join("files/var/lib/gitea/a\nb")).unwrap(), b"a newline in the name");
    assert!(folder.path().join("manifest.jws").exists());
}

#[test]
fn a_library_that_knows_archives_lists_the_same_names() {
    let bundle = sample();
    let mut archive = tar::Archive::new(&bundle[..]);
    let names: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let name = entry.unwrap().path_bytes().into_owned();
            berth_bundle::path::encode(name.strip_suffix(b"/").unwrap_or(&name))
        })
        .collect();
    let expected: Vec<_> = members(&bundle).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, expected);
}
