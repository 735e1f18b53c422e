//! Snapshots that restic did not make, for the real restic.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use berth_vault::{Attributes, AuthorError, Mode, StorageError, Title};

use crate::place::Place;
use crate::restic::{self, PASSWORD};
use crate::server::{Server, name, noise};

fn attributes(mode: u32) -> Attributes {
    let name = || "git".to_owned();
    Attributes { mode, uid: 990, gid: 991, user: name(), group: name(), mtime: 1_700_000_000 }
}

fn title(tag: &str) -> Title {
    let paths = vec!["/var/lib/tree".to_owned()];
    Title { at: chrono::DateTime::UNIX_EPOCH, host: "acme".into(), paths, tags: vec![tag.into()] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_was_written_without_restic_is_whole_for_every_restic() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for (number, restic) in restic::every().await.into_iter().enumerate() {
            let repository = format!("tenant-{number}");
            server.vault.init(&name(&repository), &PASSWORD.into()).await.unwrap();
            let large = noise(7, 18_000_000);
            let content = large.clone();
            let work = move |author: &mut berth_vault::Author| {
                author.file(b"var/lib/other", &attributes(0o600), &mut &b"beside"[..])?;
                author.folder(b"var/lib/tree", attributes(0o750))?;
                author.file(b"var/lib/tree/a\n\"b", &attributes(0o640), &mut &b"newline"[..])?;
                author.folder(b"var/lib/tree/deep", attributes(0o2775))?;
                author.file(b"var/lib/tree/deep/large", &attributes(0o644), &mut &content[..])?;
                author.file(b"var/lib/tree/empty", &attributes(0o644), &mut std::io::empty())?;
                author.link(b"var/lib/tree/link", &attributes(0o777), b"deep/\xfflarge")?;
                author.file(b"var/lib/tree/\xff\xfe", &attributes(0o4755), &mut &b"bytes"[..])?;
                let first = author.snapshot(&title("first"))?;
                // The same once more is stored once.
                let before = author.written();
                author.file(b"var/lib/tree/deep/large", &attributes(0o644), &mut &content[..])?;
                author.snapshot(&title("second"))?;
                assert!(author.written() - before < 100_000);
                Ok::<_, AuthorError>(first)
            };
            let id = server.vault.author(&name(&repository), &PASSWORD.into(), work).await.unwrap();
            let counted = place.storage().await.usage(&name(&repository)).await.unwrap();
            assert_eq!(server.usage(&repository).await, counted);

            let token = server.token(&repository, Mode::AppendOnly, Some(200_000_000));
            let host = restic.host(&server.address, &repository, &token);
            host.ok(&["check", "--read-data"]).await;
            assert_eq!(host.snapshots().await, 2);
            let target = host.path("restored");
            let include = ["--include", "/var/lib/tree"];
            host.ok(&["restore", &id, "--target", target.to_str().unwrap(), include[0], include[1]]).await;
            let tree = target.join("var/lib/tree");
            assert!(!target.join("var/lib/other").exists());
            assert!(fs::read(tree.join("deep/large")).unwrap() == large);
            assert_eq!(fs::read(tree.join("a\n\"b")).unwrap(), b"newline");
            assert_eq!(fs::read(tree.join("empty")).unwrap(), b"");
            let odd = tree.join(std::ffi::OsStr::from_bytes(b"\xff\xfe"));
            assert_eq!(fs::metadata(&odd).unwrap().permissions().mode() & 0o7777, 0o4755);
            assert_eq!(fs::metadata(tree.join("deep")).unwrap().permissions().mode() & 0o7777, 0o2775);
            assert!(fs::symlink_metadata(tree.join("link")).unwrap().is_symlink());
            // What restic itself adds goes along with it.
            crate::tree::make(&host.tree(), 1, 1_000_000);
            host.back_up().await;
            host.ok(&["check", "--read-data"]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_out_of_order_is_refused_and_no_snapshot_is_seen() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let work = |author: &mut berth_vault::Author| {
        author.file(b"b/x", &attributes(0o600), &mut &b"x"[..])?;
        author.file(b"a", &attributes(0o600), &mut &b"x"[..])?;
        author.file(b"b/y", &attributes(0o600), &mut &b"x"[..])?;
        author.snapshot(&title("none"))
    };
    let refused = server.vault.author(&name("acme"), &PASSWORD.into(), work).await;
    assert!(matches!(refused, Err(AuthorError::Order)), "{refused:?}");
    let snapshots = place.files().unwrap().into_iter().filter(|path| path.ends_with("snapshots"));
    assert_eq!(snapshots.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_another_password_is_not_written_to() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let work = |_: &mut berth_vault::Author| Ok::<_, AuthorError>(());
    let refused = server.vault.author(&name("acme"), &"another".into(), work).await;
    assert!(matches!(refused, Err(AuthorError::Storage(StorageError::NotFound))), "{refused:?}");
}
