//! Installing what a host lacks.

use berth_testbed::TestbedError;
use berth_testbed::prerequisites::{Package, install};

use crate::host::can_boot;

#[tokio::test]
async fn installing_what_is_there_already_changes_nothing_and_succeeds() {
    if !can_boot().await || !std::path::Path::new("/usr/bin/apt-get").exists() {
        println!("skipped, this needs root and apt-get");
        return;
    }
    // Part of every Debian.
    let package = Package { debian: "util-linux", nixpkgs: "util-linux" };
    let mut lines = Vec::new();
    install(&[package], &mut |line| lines.push(line.to_owned())).await.unwrap();
    assert!(lines.iter().any(|line| line.contains("0 newly installed")), "{lines:?}");
}

#[tokio::test]
async fn a_package_that_does_not_exist_fails_with_what_apt_says() {
    if !can_boot().await || !std::path::Path::new("/usr/bin/apt-get").exists() {
        println!("skipped, this needs root and apt-get");
        return;
    }
    let package = Package { debian: "no-such-package-at-all", nixpkgs: "none" };
    let error = install(&[package], &mut |_| ()).await.unwrap_err();
    let TestbedError::CommandFailed { message, .. } = error else { panic!("{error}") };
    assert!(message.contains("no-such-package-at-all"), "{message}");
}
