//! Bundles to try things with.

use berth_bundle::{
    About, BundlePath, FileMode, Meta, Report, ServiceAbout, Target, Writer, header, verify_source,
};
use berth_sign::{SigningKey, TrustedKeys};

pub(crate) fn key() -> SigningKey {
    SigningKey::from_seed(&std::array::from_fn(|at| at as u8))
}

pub(crate) fn trusted() -> TrustedKeys {
    [key().public()].into_iter().collect()
}

pub(crate) fn about() -> About {
    About::new("acme", "Berth, Inc.", "2026-01-02T03:04:05Z".parse().unwrap())
}

pub(crate) fn services() -> Vec<ServiceAbout> {
    let service = |name: &str, version: Option<&str>| ServiceAbout {
        name: name.to_owned(),
        data_version: version.map(str::to_owned),
    };
    vec![service("gitea", Some("1.22")), service("pages", None)]
}

pub(crate) fn path(path: impl AsRef<[u8]>) -> BundlePath {
    BundlePath::new(path.as_ref()).unwrap()
}

pub(crate) fn meta(mode: u32) -> Meta {
    let named = |name: &str| Some(name.to_owned());
    Meta {
        uid: 997,
        gid: 996,
        owner: named("git"),
        group: named("git"),
        ..Meta::made(FileMode::of(mode), 1_767_225_600)
    }
}

pub(crate) fn target(target: &str) -> Target {
    Target::new(target).unwrap()
}

/// A writer into memory.
pub(crate) fn writer(key: &SigningKey) -> Writer<'_, Vec<u8>> {
    Writer::new(Vec::new(), about(), services(), key).unwrap()
}

/// A small bundle with an entry of each sort.
pub(crate) fn sample() -> Vec<u8> {
    let key = key();
    let mut writer = writer(&key);
    writer.bytes(path("configuration/flake.nix"), meta(0o644), b"{ outputs = _: { }; }\n").unwrap();
    writer
        .bytes(path("secrets/gitea/smtp.age"), meta(0o600), b"age-encryption.org/v1\n-> X25519 abc\n")
        .unwrap();
    writer.bytes(path("services/gitea/databases/gitea.dump"), meta(0o600), &[7; 700]).unwrap();
    let root = path("services/gitea/files/var/lib/gitea");
    let inner = |name: &[u8]| root.join(name).unwrap();
    writer.directory(root.clone(), meta(0o750)).unwrap();
    writer.bytes(inner(b"a\nb"), meta(0o4755), b"a newline in the name").unwrap();
    writer.bytes(inner(b"block"), meta(0o644), &[1; 512]).unwrap();
    writer.bytes(inner(b"empty"), meta(0o644), b"").unwrap();
    writer.directory(inner(&b"long".repeat(40)), Meta { mtime: -1, ..meta(0o755) }).unwrap();
    writer.symlink(inner(b"up"), target("../gitea"), meta(0o777)).unwrap();
    writer.bytes(inner(b"\xff\xfe"), Meta { uid: 4_000_000, ..meta(0o644) }, b"no text").unwrap();
    writer.finish().unwrap().out
}

pub(crate) fn verified(bundle: &Vec<u8>) -> Report {
    verify_source(bundle, &trusted(), &mut |_| ()).unwrap()
}

/// Each member of a whole bundle, its own included: name, where it begins, and where the next one does.
pub(crate) fn members(bundle: &Vec<u8>) -> Vec<(String, usize, usize)> {
    let mut members = Vec::new();
    let mut at = 0;
    let mut add = |name: String, header: Vec<u8>, size: u64| {
        let length = header.len() + (size + header::padding(size)) as usize;
        members.push((name, at, at + length));
        at += length;
    };
    let mut manifest = 0;
    let inspection = berth_bundle::inspect_source(bundle, &trusted(), &mut |head, entry| {
        let size = if let berth_bundle::Kind::File { size, .. } = entry.kind { size } else { 0 };
        if manifest == 0 {
            manifest += serde_json::to_vec(head).unwrap().len() + 1;
        }
        manifest += serde_json::to_vec(entry).unwrap().len() + 1;
        add(entry.path.encoded(), header::of_entry(entry), size);
    })
    .unwrap();
    manifest += serde_json::to_vec(&inspection.totals).unwrap().len() + 1;
    let created = about().created.timestamp();
    add(
        "manifest.jsonl".to_owned(),
        header::of_last("manifest.jsonl", manifest as u64, created),
        manifest as u64,
    );
    let end = bundle.len() - 1024;
    members.push(("manifest.jws".to_owned(), members.last().unwrap().2, end));
    members
}

/// What is wrong, as `path: fault`.
pub(crate) fn faults(report: &Report) -> Vec<String> {
    let word = |problem: &berth_bundle::Problem| {
        let json = serde_json::to_value(problem).unwrap();
        let part = json["part"].as_str().map(|part| format!(" {part}")).unwrap_or_default();
        let path = problem.path.as_deref().unwrap_or("-");
        format!("{path}: {}{part}", json["fault"].as_str().unwrap())
    };
    report.problems.iter().map(word).collect()
}
