//! Agents for the tests: the real one, and scripts that misbehave; each at a store path of this host.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use berth_machine::StorePath;

/// A greeting of this protocol.
pub const HELLO: &str = r#"echo '{"protocol":9,"version":"test"}'"#;
const _: () = assert!(berth_protocol::PROTOCOL == 9, "the greeting is of another protocol");

/// Adds a shell script to the store as an agent, or says why the test is skipped.
pub fn script(lines: &[&str]) -> Option<StorePath> {
    let text = format!("#!/bin/sh\n{}\n", lines.join("\n"));
    add(|path| fs::write(path, text).unwrap())
}

/// Builds the real agent and adds it to the store.
pub fn real() -> Option<StorePath> {
    let program = crate::programs::agent();
    add(|path| {
        fs::copy(program, path).unwrap();
    })
}

/// A path that is valid but in no store.
pub fn nowhere() -> StorePath {
    "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nowhere".parse().unwrap()
}

fn add(write: impl FnOnce(&Path)) -> Option<StorePath> {
    let folder = tempfile::tempdir().unwrap();
    let agent = folder.path().join("berth-agent-test");
    fs::create_dir_all(agent.join("bin")).unwrap();
    let program = agent.join("bin/berth-agent");
    write(&program);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let Ok(output) = Command::new("nix-store").arg("--add").arg(&agent).output() else {
        eprintln!("SKIPPED: this host has no Nix (Debian: apt-get install nix-bin)");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}
