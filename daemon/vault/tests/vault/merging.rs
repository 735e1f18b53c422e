//! Snapshots of everything, made of what has changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use berth_delta::changes::Writer;
use berth_delta::{Fate, Folder, STAGING};
use berth_vault::{Attributes, Author, AuthorError, MergeError, Mode, ReadError, Reader, Title};
use uuid::Uuid;

use crate::place::Place;
use crate::reading::files;
use crate::restic::{self, PASSWORD};
use crate::server::{Server, name};

const FOLDER: Fate = Fate::Folder(Folder { mode: 0o2750, uid: 990, gid: 991, modified: (1_500_000_000, 5) });

fn attributes(mode: u32) -> Attributes {
    let name = || "git".to_owned();
    Attributes { mode, uid: 990, gid: 991, user: name(), group: name(), mtime: 1_700_000_000 }
}

fn state(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn title(second: i64, paths: &[&str], tags: &[String]) -> Title {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    let at = chrono::DateTime::from_timestamp(second, 0).unwrap();
    Title { at, host: "acme".into(), paths, tags: tags.to_vec() }
}

/// Adds files in the order of their paths.
fn add(author: &mut Author, files: &[(&str, &str)]) -> Result<(), AuthorError> {
    for (path, content) in files {
        author.file(path.trim_start_matches('/').as_bytes(), &attributes(0o640), &mut content.as_bytes())?;
    }
    Ok(())
}

/// A snapshot of everything of the service `web`.
fn whole(author: &mut Author) -> Result<String, AuthorError> {
    let old = format!("{STAGING}/{}/web/snapshot.json", state(77));
    add(author, &[("/srv/other/untouched", "other"), (&old, "old")])?;
    author.folder(b"var/lib/web/a/deep", attributes(0o755))?;
    let files = ["a/deep/x", "a/one", "b/two", "z"].map(|name| format!("/var/lib/web/{name}"));
    files.iter().try_for_each(|file| add(author, &[(file, "old")]))?;
    let tags = ["op.1".into(), "pass:live".into(), "service:web".into(), format!("at:{}", state(0))];
    let staging = format!("{STAGING}/{}/web", state(77));
    author.snapshot(&title(1, &["/var/lib/web", "/srv/other", &staging], &tags))
}

/// A delta of the service `web`, from one state to the next.
fn delta(
    author: &mut Author,
    from: u128,
    complete: bool,
    fates: &[(&str, Fate)],
    brought: &[(&str, &str)],
) -> Result<String, AuthorError> {
    let path = format!("{STAGING}/{}/web/changes", state(from));
    let mut changes = Vec::new();
    let mut writer = Writer::new(&mut changes, complete).unwrap();
    fates.iter().for_each(|(path, fate)| writer.add(Path::new(path), fate).unwrap());
    writer.finish().unwrap();
    author.file(path.trim_start_matches('/').as_bytes(), &attributes(0o600), &mut changes.as_slice())?;
    add(author, brought)?;
    let tags = [
        format!("op.{from}"),
        "pass:live".into(),
        "delta:web".into(),
        format!("from:{}", state(from)),
        format!("at:{}", state(from + 1)),
    ];
    let mut paths = vec![path.as_str()];
    paths.extend(brought.iter().map(|(path, _)| *path));
    author.snapshot(&title(2 + i64::try_from(from).unwrap(), &paths, &tags))
}

type Snapshots = BTreeMap<String, (Vec<String>, Vec<String>, BTreeMap<PathBuf, String>)>;

/// Every snapshot, with its tags, its paths, and the files in it.
async fn snapshots(server: &Server) -> Snapshots {
    let read = |reader: &Reader| {
        let mut all = Snapshots::new();
        for id in reader.snapshots()? {
            let (snapshot, mut found) = (reader.snapshot(&id)?, Vec::new());
            files(reader, snapshot.tree, Path::new("/"), &mut found);
            let text = |(path, content)| (path, String::from_utf8_lossy(&content as &Vec<u8>).into_owned());
            all.insert(id, (snapshot.tags, snapshot.paths, found.into_iter().map(text).collect()));
        }
        Ok::<_, ReadError>(all)
    };
    server.vault.read(&name("acme"), &PASSWORD.into(), read).await.unwrap()
}

async fn written(
    server: &Server,
    work: impl FnOnce(&mut Author) -> Result<String, AuthorError> + Send + 'static,
) -> String {
    server.vault.author(&name("acme"), &PASSWORD.into(), work).await.unwrap()
}

async fn start(place: &Place) -> Server {
    let server = Server::start(place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    written(&server, whole).await;
    server
}

fn tree<'a>(files: &[(&'a str, &'a str)]) -> BTreeMap<PathBuf, String> {
    files.iter().map(|(path, content)| (path.into(), (*content).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_changed_makes_the_next_snapshot_of_everything() {
    for place in Place::every().await {
        let server = start(&place).await;
        let first = [
            ("/var/lib/web/a/deep", Fate::Gone),
            ("/var/lib/web/a/deep/x", Fate::Gone),
            ("/var/lib/web/a/new", FOLDER),
            ("/var/lib/web/a/new/file", Fate::Brought),
            ("/var/lib/web/a/one", Fate::Brought),
            ("/var/lib/web/empty", FOLDER),
            ("/var/lib/web/z", FOLDER),
            ("/var/lib/web/z/inside", Fate::Brought),
        ];
        let brought = [
            ("/var/lib/web/a/new/file", "new"),
            ("/var/lib/web/a/one", "one"),
            ("/var/lib/web/z/inside", "was a file"),
        ];
        written(&server, move |author| delta(author, 0, false, &first, &brought)).await;
        // Everything that is to stay is named: `b/two` went while somebody made the snapshot before.
        let second = [
            ("/var/lib/web/a", Fate::Stays),
            ("/var/lib/web/a/new", Fate::Stays),
            ("/var/lib/web/a/one", Fate::Stays),
            ("/var/lib/web/b", Fate::Stays),
            ("/var/lib/web/empty", Fate::Brought),
            ("/var/lib/web/z", Fate::Stays),
            ("/var/lib/web/z/inside", Fate::Stays),
        ];
        let brought = [("/var/lib/web/empty", "no folder any more")];
        written(&server, move |author| delta(author, 1, true, &second, &brought)).await;
        server.vault.merge(&name("acme"), &PASSWORD.into()).await.unwrap();

        let mut all = snapshots(&server).await;
        let mut at = |number: u128| {
            let is_it = |tags: &Vec<String>| {
                tags.contains(&format!("at:{}", state(number))) && tags.contains(&"service:web".to_owned())
            };
            let found: Vec<String> =
                all.iter().filter(|(_, (tags, ..))| is_it(tags)).map(|(id, _)| id.clone()).collect();
            let [id] = found.try_into().unwrap();
            let (tags, paths, files) = all.remove(&id).unwrap();
            assert!(
                tags.contains(&"pass:live".to_owned()) && !tags.iter().any(|tag| tag.starts_with("from:"))
            );
            assert!(number == 0 || paths == ["/var/lib/web", "/srv/other"], "{paths:?}");
            (id, files)
        };
        let old = format!("{STAGING}/{}/web/snapshot.json", state(77));
        let (one, files) = at(1);
        let untouched =
            [("/srv/other/untouched", "other"), (old.as_str(), "old"), ("/var/lib/web/b/two", "old")];
        let changed = [
            ("/var/lib/web/a/new/file", "new"),
            ("/var/lib/web/a/one", "one"),
            ("/var/lib/web/z/inside", "was a file"),
        ];
        assert_eq!(files, tree(&[&untouched[..], &changed].concat()));
        let left = [
            ("/srv/other/untouched", "other"),
            (old.as_str(), "old"),
            ("/var/lib/web/a/one", "one"),
            ("/var/lib/web/empty", "no folder any more"),
            ("/var/lib/web/z/inside", "was a file"),
        ];
        let (_, files) = at(2);
        assert!(!files.contains_key(Path::new("/srv/other/untouched")), "nothing named it: {files:?}");
        assert_eq!(files, tree(&left[1..]));
        // Done again, there is nothing to be done.
        let before = snapshots(&server).await.len();
        server.vault.merge(&name("acme"), &PASSWORD.into()).await.unwrap();
        assert_eq!(snapshots(&server).await.len(), before);

        for restic in restic::every().await {
            let token = server.token("acme", Mode::AppendOnly, None);
            let host = restic.host(&server.address, "acme", &token);
            host.ok(&["check", "--read-data"]).await;
            let target = host.path("restored");
            host.ok(&["restore", &one, "--target", target.to_str().unwrap(), "--include", "/var/lib/web"])
                .await;
            let web = target.join("var/lib/web");
            use std::os::unix::fs::MetadataExt as _;
            let found = web.join("empty").metadata().unwrap();
            assert_eq!(
                (found.mode() & 0o7777, found.mtime(), found.mtime_nsec()),
                (0o2750, 1_500_000_000, 5)
            );
            assert_eq!(std::fs::read_to_string(web.join("z/inside")).unwrap(), "was a file");
            assert!(!web.join("a/deep").exists());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_the_service_completes_it_once() {
    let place = Place::folder();
    let server = start(&place).await;
    let fates = [("/var/lib/web/z", Fate::Brought)];
    written(&server, move |author| delta(author, 0, false, &fates, &[("/var/lib/web/z", "last")])).await;
    let staging = format!("{STAGING}/{}/web", state(5));
    let file = format!("{staging}/snapshot.json");
    let rest = written(&server, move |author| {
        add(author, &[(&format!("{staging}/databases/web.dump"), "dump"), (&file, "last")])?;
        let tags = ["op".into(), "rest:web".into(), "pass:final".into(), format!("at:{}", state(1))];
        author.snapshot(&title(9, &[&staging], &tags))
    })
    .await;
    let complete = async |id: &str| server.vault.complete(&name("acme"), &PASSWORD.into(), id).await;
    let id = complete(&rest).await.unwrap();
    let all = snapshots(&server).await;
    let (tags, paths, files) = &all[&id];
    assert_eq!(tags[..3], ["op", "service:web", "pass:final"]);
    let staging = format!("{STAGING}/{}/web", state(5));
    assert_eq!(*paths, ["/var/lib/web", "/srv/other", &staging]);
    let names: Vec<String> = files.keys().map(|path| path.display().to_string()).collect();
    let expected = [
        "/srv/other/untouched".to_owned(),
        format!("{staging}/databases/web.dump"),
        format!("{staging}/snapshot.json"),
        "/var/lib/web/a/deep/x".into(),
        "/var/lib/web/a/one".into(),
        "/var/lib/web/b/two".into(),
        "/var/lib/web/z".into(),
    ];
    assert_eq!(names, expected);
    assert_eq!(files[Path::new("/var/lib/web/z")], "last");
    assert_eq!(complete(&rest).await.unwrap(), id, "once more");
    assert_eq!(complete(&id).await.unwrap(), id, "it is whole");
    assert_eq!(snapshots(&server).await.len(), all.len());
    let missing = complete(&"ab".repeat(32)).await;
    assert!(matches!(missing, Err(MergeError::Read(ReadError::Missing(_)))), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_says_what_cannot_be_is_refused_and_nothing_is_made_of_it() {
    let bad: [(&str, Fate, bool); 6] = [
        ("/etc/passwd", Fate::Brought, true),
        ("/var/lib/web/../../etc", Fate::Gone, true),
        ("/var/lib/website/x", Fate::Gone, true),
        ("/var/lib/web/a/missing", Fate::Brought, false),
        ("/var/lib/web/a/missing/deep", Fate::Brought, false),
        ("var/lib/web/x", Fate::Gone, true),
    ];
    for (path, fate, not_understood) in bad {
        let place = Place::folder();
        let server = start(&place).await;
        written(&server, move |author| delta(author, 0, false, &[(path, fate)], &[])).await;
        let refused = server.vault.merge(&name("acme"), &PASSWORD.into()).await;
        let is_it = match refused {
            Err(MergeError::Changes { .. }) => not_understood,
            Err(MergeError::Lacks { .. }) => !not_understood,
            _ => false,
        };
        assert!(is_it, "{path}: {refused:?}");
        assert_eq!(snapshots(&server).await.len(), 2);
    }
    // It goes on from nothing that is there.
    let place = Place::folder();
    let server = start(&place).await;
    written(&server, move |author| delta(author, 7, false, &[], &[])).await;
    let refused = server.vault.merge(&name("acme"), &PASSWORD.into()).await;
    assert!(matches!(refused, Err(MergeError::NoWay(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_than_anybody_goes_through_is_refused() {
    let place = Place::folder();
    let (acme, password) = (name("acme"), PASSWORD.into());
    let refused = async |server: &Server| match server.vault.merge(&acme, &password).await {
        Err(MergeError::TooMuch(what)) => what,
        other => panic!("{other:?}"),
    };
    let server = start(&place).await;
    for from in 0..33 {
        written(&server, move |author| delta(author, from, false, &[], &[])).await;
    }
    // What was made until then is gone on from.
    assert_eq!(refused(&server).await, "deltas");
    server.vault.merge(&acme, &password).await.unwrap();

    let words = vec!["x".to_owned(); 500_001];
    written(&server, move |author| author.snapshot(&title(99, &[], &words))).await;
    assert_eq!(refused(&server).await, "paths and tags of snapshots");

    let place = Place::folder();
    let server = start(&place).await;
    written(&server, |author| {
        let tags: Vec<String> = (0..201).map(|number| format!("delta:web{number}")).collect();
        author.snapshot(&title(99, &[], &tags))
    })
    .await;
    assert_eq!(refused(&server).await, "services");
}
