//! Snapshots of the real restic, read without it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use berth_vault::{Mode, ReadError, Reader, StorageError};

use crate::place::Place;
use crate::restic::{self, PASSWORD};
use crate::server::{Server, name};
use crate::tree;

/// Every file below a tree, with its content.
pub fn files(reader: &Reader, id: [u8; 32], at: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for node in reader.tree(id).unwrap().nodes {
        let path = at.join(OsStr::from_bytes(node.name()));
        match node.subtree() {
            Some(subtree) => files(reader, subtree, &path, found),
            None if node.is_file() => {
                let pieces = node.pieces().unwrap().into_iter().flat_map(|piece| reader.data(piece).unwrap());
                let content: Vec<u8> = pieces.collect();
                assert_eq!(content.len() as u64, node.size());
                found.push((path, content));
            }
            None => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_restic_wrote_is_read_as_it_was() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for (number, restic) in restic::every().await.into_iter().enumerate() {
            let repository = format!("tenant-{number}");
            server.vault.init(&name(&repository), &PASSWORD.into()).await.unwrap();
            let token = server.token(&repository, Mode::AppendOnly, None);
            let host = restic.host(&server.address, &repository, &token);
            tree::make(&host.tree(), 1, 6_000_000);
            fs::write(host.tree().join(OsStr::from_bytes(b"odd\n\"\\\xff\xc3\xbc\x7f")), "odd").unwrap();
            host.back_up().await;
            let read = |reader: &Reader| {
                let [id] = reader.snapshots()?.try_into().unwrap();
                let snapshot = reader.snapshot(&id)?;
                let mut found = Vec::new();
                files(reader, snapshot.tree, Path::new("/"), &mut found);
                Ok::<_, ReadError>((snapshot, found))
            };
            let (snapshot, found) =
                server.vault.read(&name(&repository), &PASSWORD.into(), read).await.unwrap();
            assert!(snapshot.paths.iter().any(|path| Path::new(path) == host.tree()), "{snapshot:?}");
            // It is named as it was given, without what is above it.
            let on_disk = tree::read(&host.tree()).into_iter();
            let on_disk =
                on_disk.filter_map(|(path, file, _)| Some((Path::new("/tree").join(path), file?.1)));
            let (mut on_disk, mut found): (Vec<_>, Vec<_>) = (on_disk.collect(), found);
            on_disk.sort();
            found.sort();
            assert!(on_disk == found, "{} and {} files", on_disk.len(), found.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_or_is_of_another_password_is_not_read() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let token = server.token("acme", Mode::AppendOnly, None);
    let host = restic::every().await.remove(0).host(&server.address, "acme", &token);
    tree::make(&host.tree(), 1, 100_000);
    host.back_up().await;
    let read = |reader: &Reader| {
        let mut found = Vec::new();
        for id in reader.snapshots()? {
            found.extend(reader.tree(reader.snapshot(&id)?.tree)?.nodes);
        }
        Ok::<_, ReadError>(found.len())
    };
    assert_eq!(server.vault.read(&name("acme"), &PASSWORD.into(), read).await.unwrap(), 1);
    let other = server.vault.read(&name("acme"), &"another".into(), read).await;
    assert!(matches!(other, Err(ReadError::Storage(StorageError::NotFound))), "{other:?}");
    let mut damaged = Vec::new();
    for kind in ["snapshots", "index", "data"] {
        let is_one = |path: &PathBuf| path.components().any(|part| part.as_os_str() == kind);
        for file in place.files().unwrap().into_iter().filter(|path| is_one(path) && path.is_file()) {
            let whole = fs::read(&file).unwrap();
            let flipped: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
            fs::remove_file(&file).unwrap();
            fs::write(&file, flipped).unwrap();
            let refused = server.vault.read(&name("acme"), &PASSWORD.into(), read).await;
            // Not every pack has a tree.
            damaged.extend(refused.err().map(|error| (kind, error)));
            fs::remove_file(&file).unwrap();
            fs::write(&file, whole).unwrap();
        }
    }
    for kind in ["snapshots", "index", "data"] {
        let is_one = |(of, error): &(&str, ReadError)| *of == kind && matches!(error, ReadError::Damaged(_));
        assert!(damaged.iter().any(is_one), "{kind}: {damaged:?}");
    }
}
