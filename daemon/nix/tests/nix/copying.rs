//! Copies in Nix's own protocol: whatever a path holds arrives as it was, and what cannot be sent leaves nothing behind.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_domain::progress::Unit;
use berth_nix::{Destination, Nix, NixError, NixOptions, StorePath, Update};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::support::{Seen, ample, derivation, instantiate, nix, processes_with, unique};

/// Another store of this host.
struct Other {
    folder: TempDir,
    url: String,
}

impl Other {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("local?root={}", folder.path().display());
        Self { folder, url }
    }

    fn destination(&self) -> Destination<'_> {
        Destination { url: &self.url, ssh_options: None, socket: None }
    }

    fn holds(&self, path: &StorePath) -> bool {
        self.folder.path().join(&path.as_str()[1..]).symlink_metadata().is_ok()
    }

    /// Whether what it has of a path is what was registered.
    fn is_whole(&self, path: &StorePath) -> bool {
        let mut verify = Command::new("nix-store");
        verify.args(["--store", &self.url, "--verify-path", path.as_str()]);
        verify.output().unwrap().status.success()
    }
}

/// A path of this store made of a folder that `fill` fills.
async fn added(nix: &Nix, name: &str, fill: impl FnOnce(&Path)) -> StorePath {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("unique"), unique()).unwrap();
    fill(folder.path());
    nix.add_tree(folder.path(), name, &ample(), |_| {}).await.unwrap()
}

#[tokio::test]
async fn whatever_a_path_holds_arrives_as_it_was() {
    let Some(nix) = nix() else { return };
    let path = added(&nix, "all-kinds", |folder| {
        fs::write(folder.join("empty"), "").unwrap();
        // What would end an archive, were it read as one.
        fs::write(folder.join(")"), "\u{1}\0\0\0\0\0\0\0)\0\0\0\0\0\0\0".repeat(3)).unwrap();
        // Neither a multiple of eight nor of what is sent at once.
        fs::write(folder.join("large"), vec![7; 3 * 64 * 1024 + 13]).unwrap();
        fs::write(folder.join("program"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(folder.join("contents/name/node")).unwrap();
        symlink("target", folder.join("contents/symlink")).unwrap();
    })
    .await;
    let (other, seen) = (Other::new(), Seen::default());
    nix.copy(std::slice::from_ref(&path), other.destination(), &ample(), seen.sink()).await.unwrap();
    assert!(other.is_whole(&path));
    let bytes = nix.path_info(&path).await.unwrap().nar_bytes;
    let last = seen.all().into_iter().rev().find_map(|update| match update {
        Update::Progress(progress) if progress.unit == Unit::Bytes => {
            Some((progress.done, progress.expected))
        }
        _ => None,
    });
    assert_eq!(last, Some((bytes, Some(bytes))));
}

#[tokio::test]
async fn many_paths_that_refer_to_each_other_are_copied_many_times_at_once() {
    let Some(nix) = nix() else { return };
    // A chain, and a path that refers to itself and to all of the chain.
    let mut links = vec![derivation("link", "echo x > $out; exit 0", "null")];
    for _ in 0..4 {
        let before = links.last().unwrap().clone();
        links.push(derivation("link", "echo $input > $out; exit 0", &before));
    }
    let top = derivation("top", "echo $out $input > $out; exit 0", &format!("[ {} ]", links.join(" ")));
    let top = nix.build(&instantiate(&top), None, &ample(), |_| {}).await.unwrap();
    let others: Vec<Other> = (0..12).map(|_| Other::new()).collect();
    let mut copies = JoinSet::new();
    for other in &others {
        let (nix, top, url) = (nix.clone(), top.clone(), other.url.clone());
        copies.spawn(async move {
            nix.copy(&top, Destination { url: &url, ssh_options: None, socket: None }, &ample(), |_| {}).await
        });
    }
    copies.join_all().await.into_iter().for_each(|copied| copied.unwrap());
    for other in &others {
        assert!(other.is_whole(&top[0]));
    }
}

#[tokio::test]
async fn what_is_damaged_here_is_not_sent_and_what_refers_to_it_neither() {
    let Some(nix) = nix() else { return };
    let library = derivation("shrunk", "mkdir $out; echo whole > $out/file; exit 0", "null");
    let drv = instantiate(&derivation("app", "echo $input > $out; exit 0", &library));
    let app = nix.build(&drv, None, &ample(), |_| {}).await.unwrap();
    let library = nix.path_info(&app[0]).await.unwrap().references.remove(0);
    let file = Path::new(library.as_str()).join("file");
    for (content, said) in [("", "is damaged here"), ("elohw\n", "hash mismatch")] {
        fs::remove_file(&file).unwrap();
        fs::write(&file, content).unwrap();
        let other = Other::new();
        let error = nix.copy(&app, other.destination(), &ample(), |_| {}).await.unwrap_err().to_string();
        assert!(error.contains(said) && error.contains(library.as_str()), "{error}");
        assert!(!other.holds(&app[0]) && !other.is_whole(&library));
    }
    fs::remove_dir_all(library.as_str()).unwrap();
}

#[tokio::test]
async fn a_store_that_refuses_in_the_middle_is_quoted_and_the_next_copy_goes_on() {
    let Some(nix) = nix() else { return };
    let path =
        added(&nix, "refused", |folder| fs::write(folder.join("large"), vec![0; 1 << 20]).unwrap()).await;
    let other = Other::new();
    let store = other.folder.path().join("nix/store");
    fs::create_dir_all(&store).unwrap();
    // Where the path is to be, something is that nobody can remove.
    let in_the_way = other.folder.path().join(&path.as_str()[1..]);
    fs::create_dir(&in_the_way).unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&in_the_way).status().unwrap();
    if !mounted.success() {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    let error =
        nix.copy(std::slice::from_ref(&path), other.destination(), &ample(), |_| {}).await.unwrap_err();
    assert!(Command::new("umount").arg(&in_the_way).status().unwrap().success());
    let NixError::CopyFailed { message } = error else { panic!("{error:?}") };
    assert!(message.contains("busy"), "{message}");
    nix.copy(std::slice::from_ref(&path), other.destination(), &ample(), |_| {}).await.unwrap();
    assert!(other.is_whole(&path));
}

#[tokio::test]
async fn a_daemon_that_has_ended_is_not_asked_again() {
    if nix().is_none() {
        return;
    }
    // A setting that changes nothing and tells these daemons from others'.
    let mark = unique();
    let settings = [("user-agent-suffix".to_owned(), mark.clone())].into();
    let nix = Nix::new(NixOptions { settings, ..NixOptions::default() });
    let path = added(&nix, "asked-again", |_| {}).await;
    for _ in 0..2 {
        nix.path_info(&path).await.unwrap();
        let running = processes_with(&mark);
        assert!(matches!(running.as_slice(), [one] if one.starts_with("nix-daemon --stdio")), "{running:?}");
        nix.path_info(&path).await.unwrap();
        assert_eq!(processes_with(&mark), running, "the one that was kept is asked");
        assert!(Command::new("pkill").args(["-KILL", "-f", &mark]).status().unwrap().success());
    }
}

#[tokio::test]
async fn what_is_gone_is_not_sent_and_named_with_why() {
    let Some(nix) = nix() else { return };
    for (registered, why) in [(true, "No such file or directory"), (false, "is not valid")] {
        let path = added(&nix, "gone", |_| {}).await;
        match registered {
            true => fs::remove_dir_all(path.as_str()).unwrap(),
            false => {
                let deleted = Command::new("nix-store").args(["--delete", path.as_str()]).output().unwrap();
                assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
            }
        }
        let other = Other::new();
        for _ in 0..2 {
            let copied = nix.copy(std::slice::from_ref(&path), other.destination(), &ample(), |_| {}).await;
            let error = copied.unwrap_err().to_string();
            assert!(error.contains(path.as_str()) && error.contains(why), "{error}");
            assert!(!other.holds(&path));
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_cancelled_in_the_middle_leaves_no_process_and_no_path() {
    let Some(mut options) = nix().map(|_| NixOptions::default()) else { return };
    let mark = unique();
    options.settings = [("user-agent-suffix".to_owned(), mark.clone())].into();
    let nix = Nix::new(options);
    let large = |folder: &Path| fs::write(folder.join("large"), vec![0; 256 << 20]).unwrap();
    let path = added(&nix, "cancelled", large).await;
    let (other, bounds) = (Other::new(), ample());
    let begun = |update: Update| match update {
        Update::Progress(progress) if progress.unit == Unit::Bytes && progress.done > 0 => {
            bounds.cancel.cancel()
        }
        _ => {}
    };
    let copied = nix.copy(std::slice::from_ref(&path), other.destination(), &bounds, begun).await;
    assert!(matches!(copied, Err(NixError::Cancelled)), "{copied:?}");
    while !processes_with(&mark).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!other.is_whole(&path));
    // What was begun is in nobody's way.
    nix.copy(std::slice::from_ref(&path), other.destination(), &ample(), |_| {}).await.unwrap();
    assert!(other.is_whole(&path));
}
