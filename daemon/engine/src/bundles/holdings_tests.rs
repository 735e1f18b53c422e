use super::*;
use berth_bundle::{BundlePath, FileMode, Meta, Target};
use serde_json::json;

fn system() -> Manifest {
    let directory = json!({"path": "/var/lib/web", "owner": "web", "group": "web", "mode": "0750"});
    let service = json!({
        "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [], "data_version": "4.3",
        "state": {"databases": ["web"], "directories": [directory]}
    });
    serde_json::from_value(json!({
        "version": 1, "platform": "nixos", "tenant": "acme", "mode": "standby", "services": {"web": service}
    }))
    .unwrap()
}

fn entry(path: &[u8], kind: Kind) -> Entry {
    let meta = Meta { owner: Some("www".into()), ..Meta::made(FileMode::of(0o640), 0) };
    Entry { path: BundlePath::new(path).unwrap(), kind, meta }
}

fn file(path: &str) -> Entry {
    entry(path.as_bytes(), Kind::File { size: 3, sha256: [1; 32].into() })
}

fn holdings(version: Option<&str>, entries: &[Entry]) -> Holdings {
    let about = ServiceAbout { name: "web".into(), data_version: version.map(str::to_owned) };
    let mut holdings = Holdings::begin(&[about], Some(&system()));
    entries.iter().for_each(|entry| holdings.add(entry));
    holdings
}

fn whole() -> Vec<Entry> {
    vec![
        file("services/web/databases/web.dump"),
        entry(b"services/web/files/var/lib/web", Kind::Directory),
        file("services/web/files/var/lib/web/a"),
    ]
}

fn refused(holdings: &Holdings) -> Option<&'static str> {
    match holdings.fit(&system()) {
        Err(StepError::Failed(failure)) => Some(failure.code),
        Err(_) => Some("other"),
        Ok(()) => None,
    }
}

#[test]
fn what_a_system_cannot_read_or_has_no_place_for_or_misses_is_refused() {
    assert_eq!(refused(&holdings(Some("4.3.9"), &whole())), Some("data-newer"));
    assert_eq!(refused(&holdings(Some("4.3"), &whole())), None);
    assert_eq!(refused(&holdings(None, &whole())), None);
    let with = |path: &str| {
        let mut entries = whole();
        entries.push(file(path));
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        refused(&holdings(None, &entries))
    };
    for stray in [
        "services/web/files/etc/shadow",
        "services/web/files/var/lib/web-other/x",
        "services/web/files/var/lib/x",
        "services/web/databases/postgres.dump",
        "services/web/buckets/me dia/x",
        "services/web/buckets/media",
    ] {
        assert_eq!(with(stray), Some("state-mismatch"), "{stray}");
    }
    assert_eq!(with("services/web/buckets/media/x"), None, "buckets are looked for by themselves");
    assert_eq!(with("services/web/later/x"), None, "folders that are not known are passed over");
    assert_eq!(refused(&holdings(None, &whole()[1..])), Some("state-mismatch"), "no database");
    assert_eq!(refused(&Holdings::begin(&[], Some(&system()))), Some("state-mismatch"), "no service");
    let other = ServiceAbout { name: "other".into(), data_version: None };
    assert_eq!(refused(&Holdings::begin(&[other], Some(&system()))), Some("state-mismatch"));
}

#[test]
fn a_directory_that_is_not_there_and_an_owner_are_told() {
    let found = holdings(None, &whole()[..1]);
    assert_eq!(refused(&found), None);
    assert!(found.services["web"].directories[0].there.is_none());
    let found = holdings(None, &whole());
    let web = &found.services["web"];
    assert_eq!(web.directories[0].there.as_ref().unwrap().0, "www");
    assert_eq!((web.about.files, web.about.bytes, found.bytes()), (2, 6, 6));
    assert_eq!(web.users[&0], "www");
}

#[test]
fn links_folders_and_names_are_part_of_what_a_directory_must_come_to() {
    let sum = |entries: &[Entry]| {
        holdings(None, entries).services["web"].directories[0].fingerprint().sha256.clone()
    };
    let link = |target: &str| {
        let kind = Kind::Symlink { target: Target::new(target).unwrap() };
        [entry(b"services/web/files/var/lib/web/a", kind)]
    };
    let all = [
        sum(&[file("services/web/files/var/lib/web/a")]),
        sum(&[file("services/web/files/var/lib/web/b")]),
        sum(&[entry(b"services/web/files/var/lib/web/a", Kind::Directory)]),
        sum(&link("x")),
        sum(&link("y")),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
}

#[test]
fn secrets_are_listed_by_service_and_name() {
    let found = holdings(None, &[file("secrets/web/key.age"), file("secrets/web/deep/er.age")]);
    assert_eq!(found.secrets, ["web/key"]);
}
