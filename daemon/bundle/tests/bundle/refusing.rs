//! What no bundle is written of.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use berth_bundle::{Names, ServiceAbout, Tree, WriteError, Writer};

use crate::support::{about, key, meta, path, target, writer};

#[test]
fn entries_out_of_order_are_refused_and_the_bundle_stays_good() {
    let key = key();
    let mut writer = writer(&key);
    writer.bytes(path("services/b"), meta(0o644), b"x").unwrap();
    for wrong in ["services/b", "services/a", "services/b/c", "manifest.jsonl"] {
        let error = writer.bytes(path(wrong), meta(0o644), b"x").unwrap_err();
        assert!(
            matches!(error, WriteError::Misplaced { .. }) && error.to_string().contains(wrong),
            "{error}"
        );
    }
    writer.bytes(path("services/c"), meta(0o644), b"x").unwrap();
    assert!(crate::support::verified(&writer.finish().unwrap().out).is_trusted());
}

#[test]
fn a_secret_in_clear_is_refused_before_any_of_it_is_written() {
    let key = key();
    let mut writer = writer(&key);
    for content in [&b"hunter2"[..], b"", b"age-encryption.org/v2\nhunter2"] {
        let error = writer.bytes(path("secrets/gitea/smtp.age"), meta(0o600), content).unwrap_err();
        assert!(matches!(error, WriteError::Unsealed(_)), "{error}");
    }
    let error = writer.symlink(path("secrets/gitea/link"), target("x"), meta(0o777)).unwrap_err();
    assert!(matches!(error, WriteError::Misplaced { .. }), "{error}");
    let bundle = writer.finish().unwrap().out;
    assert!(!bundle.windows(7).any(|bytes| bytes == b"hunter2"));
}

#[test]
fn a_file_that_becomes_shorter_ends_the_bundle() {
    let key = key();
    let mut writer = writer(&key);
    let error = writer.file(path("services/a"), meta(0o644), 10, &b"short"[..]).unwrap_err();
    assert!(matches!(error, WriteError::Short { expected: 10, read: 5, .. }), "{error}");
    assert!(matches!(writer.bytes(path("services/b"), meta(0o644), b""), Err(WriteError::Broken)));
    assert!(matches!(writer.finish(), Err(WriteError::Broken)));
}

#[test]
fn a_file_that_grows_is_carried_as_it_was() {
    let key = key();
    let mut writer = writer(&key);
    let endless = std::io::repeat(b'x').take(1 << 40);
    writer.file(path("services/a"), meta(0o644), 10, endless).unwrap();
    assert!(crate::support::verified(&writer.finish().unwrap().out).is_trusted());
}

#[test]
fn services_must_be_in_order_and_have_names_of_folders() {
    let key = key();
    let named = |name: &str| ServiceAbout { name: name.to_owned(), data_version: None };
    for wrong in
        [vec![named("b"), named("a")], vec![named("a"), named("a")], vec![named("..")], vec![named("a/b")]]
    {
        assert!(matches!(Writer::new(Vec::new(), about(), wrong, &key), Err(WriteError::Services)));
    }
}

#[test]
fn sockets_and_pipes_are_refused_by_name_unless_they_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let (key, names) = (key(), Names::default());
    let root = path("services/a/files/run");
    let mut refusing = writer(&key);
    let tree = Tree { names: &names, leave_out: &|_| false };
    let error = refusing.tree(&root, folder.path(), tree).unwrap_err();
    assert_eq!(error.to_string(), "services/a/files/run/socket is a socket, which cannot be carried");
    let mut leaving = writer(&key);
    let tree = Tree { names: &names, leave_out: &|path| path.as_bytes().ends_with(b"/socket") };
    leaving.tree(&root, folder.path(), tree).unwrap();
    assert_eq!(leaving.finish().unwrap().totals.entries, 2);
    std::fs::remove_file(folder.path().join("socket")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, folder.path().join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let tree = Tree { names: &names, leave_out: &|_| false };
    let error = writer(&key).tree(&root, folder.path(), tree).unwrap_err();
    assert!(error.to_string().contains("pipe"), "{error}");
}

#[test]
fn a_link_to_a_folder_is_carried_as_a_link() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/etc", folder.path().join("etc")).unwrap();
    let (key, names) = (key(), Names::default());
    let mut writer = writer(&key);
    let tree = Tree { names: &names, leave_out: &|_| false };
    writer.tree(&path("services/a/files/x"), folder.path(), tree).unwrap();
    let totals = writer.finish().unwrap().totals;
    assert_eq!((totals.entries, totals.symlinks), (3, 1));
}

#[test]
fn a_file_that_is_there_already_is_not_replaced_and_a_bundle_that_broke_off_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("acme.berth.tar");
    let key = key();
    berth_bundle::create(&place, about(), vec![], &key, |_| Ok(())).unwrap();
    let before = std::fs::read(&place).unwrap();
    assert!(berth_bundle::create(&place, about(), vec![], &key, |_| Ok(())).is_err());
    let broken = folder.path().join("broken.berth.tar");
    let failing = berth_bundle::create(&broken, about(), vec![], &key, |writer| {
        writer.file(path("services/a"), meta(0o644), 10, &b"short"[..])
    });
    assert!(failing.is_err());
    assert_eq!(std::fs::read(&place).unwrap(), before);
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["acme.berth.tar"]);
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o7777, 0o600);
}
