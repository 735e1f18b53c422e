//! What is built already, and links that keep paths.

use std::path::Path;
use std::process::Command;

use berth_nix::{Nix, NixError, NixOptions, StorePath};

use crate::real::script;
use crate::support::{ample, derivation, instantiate, nix};

/// What stands in the way of collecting a path.
fn roots_of(path: &StorePath) -> String {
    let output = Command::new("nix-store").args(["--query", "--roots", path.as_str()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn points_at(link: &Path) -> String {
    std::fs::read_link(link).unwrap().to_str().unwrap().to_owned()
}

/// The real Nix, whose commands leave a mark; its daemons do not.
fn marked(folder: &Path) -> Nix {
    let program = folder.join("nix");
    let mark = folder.join("command");
    script(
        &program,
        &format!(
            "[ \"$1\" != --stdio ] || exec nix-daemon \"$@\"\ntouch {}\nexec nix-store \"$@\"",
            mark.display()
        ),
    );
    Nix::new(NixOptions { program, ..NixOptions::default() })
}

#[tokio::test]
async fn what_is_built_already_is_rooted_without_starting_a_command() {
    let Some(nix) = nix() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (root, mark) = (folder.path().join("root"), folder.path().join("command"));
    let one = instantiate(&derivation("one", "echo 1 > $out; exit 0", "null"));
    let other = instantiate(&derivation("other", "echo 2 > $out; exit 0", "null"));
    let one_built = nix.build(&one, None, &ample(), |_| {}).await.unwrap();
    let other_built = nix.build(&other, Some(&root), &ample(), |_| {}).await.unwrap();
    assert_eq!(points_at(&root), other_built[0].as_str());

    let marked = marked(folder.path());
    assert_eq!(marked.build(&one, Some(&root), &ample(), |_| {}).await.unwrap(), one_built);
    assert_eq!(points_at(&root), one_built[0].as_str());
    assert!(roots_of(&one_built[0]).contains(root.to_str().unwrap()));
    assert!(!roots_of(&other_built[0]).contains(root.to_str().unwrap()));
    // Again, and without a link.
    assert_eq!(marked.build(&one, Some(&root), &ample(), |_| {}).await.unwrap(), one_built);
    assert_eq!(marked.build(&other, None, &ample(), |_| {}).await.unwrap(), other_built);
    assert!(!mark.exists());
    let leftovers = std::fs::read_dir(folder.path()).unwrap().flatten().count();
    assert_eq!(leftovers, 2, "the link and the program");

    let new = instantiate(&derivation("new", "echo 3 > $out; exit 0", "null"));
    let new_built = marked.build(&new, Some(&root), &ample(), |_| {}).await.unwrap();
    assert!(mark.exists());
    assert_eq!(points_at(&root), new_built[0].as_str());
}

#[tokio::test]
async fn a_derivation_of_several_outputs_is_built_as_a_whole() {
    let Some(nix) = nix() else { return };
    let script = "echo 1 > $out; echo 2 > $dev; exit 0";
    let several =
        derivation("several", script, "null").replace("system =", "outputs = [ \"out\" \"dev\" ]; system =");
    let drv = instantiate(&several);
    for _ in 0..2 {
        assert_eq!(nix.build(&drv, None, &ample(), |_| {}).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_path_is_kept_by_a_link_and_nothing_else_that_stands_there_is_replaced() {
    let Some(nix) = nix() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (root, file) = (folder.path().join("root"), folder.path().join("file"));
    let drv = instantiate(&derivation("kept", "echo 1 > $out; exit 0", "null"));
    let path = nix.build(&drv, None, &ample(), |_| {}).await.unwrap().remove(0);
    assert!(nix.is_valid(&path).await.unwrap());
    nix.keep(&path, &root).await.unwrap();
    assert_eq!(points_at(&root), path.as_str());
    assert!(roots_of(&path).contains(root.to_str().unwrap()));

    std::fs::write(&file, "mine").unwrap();
    let error = nix.keep(&path, &file).await.unwrap_err();
    assert!(
        matches!(&error, NixError::CommandFailed { message, .. } if message.contains("something else")),
        "{error}"
    );
    let error = nix.build(&drv, Some(&file), &ample(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");

    let absent: StorePath = "/nix/store/00000000000000000000000000000000-absent".parse().unwrap();
    let error = nix.keep(&absent, &folder.path().join("new")).await.unwrap_err();
    assert!(error.to_string().contains(absent.as_str()), "{error}");
    assert!(!folder.path().join("new").exists() && !nix.is_valid(&absent).await.unwrap());
}

#[tokio::test]
async fn what_was_removed_since_it_was_asked_about_is_built_again() {
    let Some(nix) = nix() else { return };
    let drv = instantiate(&derivation("removed", "echo 1 > $out; exit 0", "null"));
    // By somebody else: what is built here is held for a while.
    let built = Command::new("nix-store").args(["--realise", drv.as_str()]).output().unwrap();
    let path: StorePath = String::from_utf8(built.stdout).unwrap().trim().parse().unwrap();
    nix.path_info(&path).await.unwrap();
    let removed = Command::new("nix-store").args(["--delete", path.as_str()]).output().unwrap();
    assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
    assert!(!nix.is_valid(&path).await.unwrap());
    assert!(
        nix.keep(&path, Path::new("/nowhere/at/all")).await.unwrap_err().to_string().contains(path.as_str())
    );
    assert_eq!(nix.build(&drv, None, &ample(), |_| {}).await.unwrap(), std::slice::from_ref(&path));
    assert!(Path::new(path.as_str()).exists());
}
