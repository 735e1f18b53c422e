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

/// What the machine's image runs at boot of the system that the profile leads to.
const BOOT: &str = "#!/bin/sh
system=$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")
ln -sfn \"$system\" /run/booted-system
ln -sfn \"$system\" /run/current-system
";

/// Adds a system to this host's store. `switcher` are lines of a shell script, `service` what its manifest says of its
/// only service beyond the necessary.
pub fn system(name: &str, switcher: &str, service: Value) -> StorePath {
    system_of(name, switcher, json!({ "web": service }))
}

/// The same with several services.
pub fn system_of(name: &str, switcher: &str, services: Value) -> StorePath {
    let manifest = manifest(services);
    add_to_store(name, |folder| {
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::create_dir_all(folder.join("etc/berth")).unwrap();
        fs::write(folder.join("etc/berth/manifest.json"), manifest.to_string()).unwrap();
        fs::write(folder.join("bin/switch-to-configuration"), format!("{PRELUDE}{switcher}\n")).unwrap();
        fs::write(folder.join("bin/rehearsal-boot"), BOOT).unwrap();
    })
}

/// A switcher that does what every switcher does in the end.
pub const SWITCH: &str = "[ \"$1\" = boot ] || ln -sfn \"$system\" /run/current-system";

fn manifest(services: Value) -> Value {
    let whole = services.as_object().unwrap().iter().map(|(name, service)| {
        let mut whole =
            json!({ "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [], "state": {} });
        whole.as_object_mut().unwrap().extend(service.as_object().unwrap().clone());
        (name.clone(), whole)
    });
    let services = Value::Object(whole.collect());
    json!({ "version": 1, "platform": "rehearsal", "tenant": "acme", "mode": "active", "services": services })
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

/// The text of a unit that the modules give a tenant's system.
pub fn unit_of_a_tenant(name: &str) -> String {
    let eval = ["nix", "--extra-experimental-features", "nix-command", "eval", "--raw", "--impure", "--expr"];
    nix(&eval, &format!("{TENANT}.systemd.units.\"{name}\".text"))
}

/// A tenant's whole system on the rehearsal platform, built on this host.
pub fn system_of_a_tenant() -> StorePath {
    nix(&["nix-build", "--no-out-link", "-E"], &format!("{TENANT}.system.build.toplevel"))
        .trim()
        .parse()
        .unwrap()
}

/// The configuration of a tenant with one service; `@nix@` is the repository's folder of that name.
const TENANT: &str = r#"(import @nix@/rehearsal/evaluate.nix { } {
    modules = [
        @nix@/../modules/tenant.nix
        {
            berth.machine = { name = "vm1"; address = "192.0.2.1"; tls = "none"; system = builtins.currentSystem; };
            berth.tenant = {
                name = "acme";
                domain = "acme.example";
                contact_email = "ann@acme.example";
                services.gitea = { };
            };
        }
    ];
}).config"#;

fn nix(command: &[&str], expression: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../nix").canonicalize().unwrap();
    let expression = expression.replace("@nix@", folder.to_str().unwrap());
    let output = Command::new(command[0]).args(&command[1..]).arg(expression).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
