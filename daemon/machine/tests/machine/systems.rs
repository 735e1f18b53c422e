//! Small systems: a switcher that is a shell script, and a manifest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use berth_machine::StorePath;
use serde_json::{Value, json};

/// What every switcher begins with: `$system` is its own system, `$1` the action.
const PRELUDE: &str = "#!/bin/sh
system=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")
echo \"$1\" >> /var/lib/switched
echo \"switching: $1\"
";

/// Adds a system to this host's store. `switcher` are lines of a shell script, `service` what its manifest says of its
/// only service beyond the necessary.
pub fn system(name: &str, switcher: &str, service: Value) -> StorePath {
    let manifest = manifest(service);
    add_to_store(name, |folder| {
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::create_dir_all(folder.join("etc/berth")).unwrap();
        fs::write(folder.join("etc/berth/manifest.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("bin/switch-to-configuration"), format!("{PRELUDE}{switcher}\n")).unwrap();
    })
}

/// A switcher that does what every switcher does in the end.
pub const SWITCH: &str = "[ \"$1\" = boot ] || ln -sfn \"$system\" /run/current-system";

fn manifest(service: Value) -> Value {
    let mut whole =
        json!({ "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [], "state": {} });
    whole.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
    json!({ "version": 1, "platform": "rehearsal", "tenant": "acme", "mode": "active", "services": { "web": whole } })
}

/// Adds a folder to this host's store; what stands in `bin` can be run.
pub fn add_to_store(name: &str, fill: impl FnOnce(&Path)) -> StorePath {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join(name);
    fs::create_dir(&folder).unwrap();
    fill(&folder);
    for program in fs::read_dir(folder.join("bin")).unwrap() {
        fs::set_permissions(program.unwrap().path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = Command::new("nix-store").arg("--add").arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
