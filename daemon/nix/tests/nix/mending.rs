//! Paths that another store holds damaged.

use std::fs;
use std::path::{Path, PathBuf};

use berth_nix::{Destination, NixError, StorePath};

use crate::support::{ample, derivation, instantiate, nix, unique};

fn at(root: &Path, path: &StorePath) -> PathBuf {
    root.join(&path.as_str()[1..])
}

#[tokio::test]
async fn what_a_copy_passes_over_as_valid_is_replaced_when_it_is_sent_again() {
    let Some(nix) = nix() else { return };
    let library = derivation("library", "mkdir $out; echo whole > $out/file; exit 0", "null");
    let drv = instantiate(&derivation("app", "echo $input > $out; exit 0", &library));
    let app = nix.build(&drv, None, &ample(), |_| {}).await.unwrap();
    let library = nix.path_info(&app[0]).await.unwrap().references.remove(0);
    let folder = tempfile::tempdir().unwrap();
    let url = format!("local?root={}", folder.path().display());
    let to = Destination { url: &url, ssh_options: None, socket: None };
    nix.copy(&app, to, &ample(), |_| {}).await.unwrap();
    let (file, app_file) = (at(folder.path(), &library).join("file"), at(folder.path(), &app[0]));
    let whole = fs::read(&app_file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::write(&file, "").unwrap();
    fs::remove_file(&app_file).unwrap();
    nix.copy(&app, to, &ample(), |_| {}).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "", "a copy does not look at what is there");

    nix.send_again(&[library, app[0].clone()], to, &ample()).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "whole\n");
    assert_eq!(fs::read(&app_file).unwrap(), whole);
}

#[tokio::test]
async fn a_path_that_is_damaged_here_as_well_or_whose_store_cannot_be_reached_is_not_sent() {
    let Some(nix) = nix() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), unique()).unwrap();
    let path = nix.add_tree(folder.path(), "mended", &ample(), |_| {}).await.unwrap();
    let nowhere = Destination {
        url: "ssh-ng://root@127.0.0.1",
        ssh_options: Some("-p 1 -o BatchMode=yes -o ConnectTimeout=5"),
        socket: None,
    };
    let error = nix.send_again(std::slice::from_ref(&path), nowhere, &ample()).await.unwrap_err();
    let NixError::CopyFailed { message } = error else { panic!("{error:?}") };
    assert!(message.contains("refused"), "{message}");

    let file = Path::new(path.as_str()).join("file");
    fs::remove_file(&file).unwrap();
    let error = nix.send_again(std::slice::from_ref(&path), nowhere, &ample()).await.unwrap_err();
    fs::remove_dir_all(path.as_str()).unwrap();
    assert!(
        matches!(&error, NixError::CommandFailed { message, .. } if message.contains("mended")),
        "{error}"
    );
}
