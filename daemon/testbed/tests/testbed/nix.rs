//! Nix inside a machine, as a deployment uses it from the host.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::host::{Bench, stderr, stdout};

const NIX: &[&str] = &["--extra-experimental-features", "nix-command flakes"];

/// A system's boot program, which starts another unit and waits for it, one that is ordered after everything.
const BOOT: &str = "#!/bin/sh\nset -e\nsystemctl start late.service\ntouch /run/booted\n";

const LATE: &str =
    "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";

#[tokio::test]
async fn a_system_is_copied_over_ssh_set_as_profile_and_booted_without_a_deadlock() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("nix").await;
    let path = add_system(&bench.identity().with_file_name("store"));

    let copied = Command::new("nix")
        .args(NIX)
        .args(["--option", "substituters", "", "copy", "--no-check-sigs", "--from"])
        .arg(bench.identity().with_file_name("store"))
        .args(["--to", &format!("ssh-ng://root@{}", machine.address()), &path])
        .env(
            "NIX_SSHOPTS",
            format!(
                "-F none -i {} -o UserKnownHostsFile={}",
                bench.identity().display(),
                bench.pin(&machine).display()
            ),
        )
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", stderr(&copied));

    let set = bench.ssh(&machine, &format!("nix-env -p /nix/var/nix/profiles/system --set {path}"));
    assert!(set.status.success(), "{}", stderr(&set));
    std::fs::write(machine.root_path().join("etc/systemd/system/late.service"), LATE).unwrap();

    machine.reboot().await.unwrap();
    assert_eq!(machine.settled().await.unwrap(), "running");
    let state = bench.ssh(&machine, "systemctl is-active berth-rehearsal-boot late; ls /run/booted");
    assert_eq!(stdout(&state), "active\nactive\n/run/booted");
}

#[tokio::test]
async fn nix_builds_inside_without_a_binary_cache() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("builds").await;
    let expression = r#"derivation { name = "x"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "echo hi > $out; exit 0" ]; }"#;
    let built = machine
        .exec(&["nix", "build", "--impure", "--no-link", "--print-out-paths", "--expr", expression])
        .await;
    let built = built.unwrap();
    let path = stdout(&built);
    assert!(path.starts_with("/nix/store/"), "{}", stderr(&built));
    let contents = machine.exec(&["cat", &path]).await.unwrap();
    assert_eq!(stdout(&contents), "hi");
}

/// Adds a system to a store of its own, so that the test leaves nothing in the host's.
fn add_system(store: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("bin/rehearsal-boot");
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(&program, BOOT).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let added = Command::new("nix")
        .args(NIX)
        .args(["store", "add-path", "--name", "test-system", "--store"])
        .args([store, folder.path()])
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", stderr(&added));
    stdout(&added)
}
