//! The files that `ssh` reads for one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_domain::MachineSpec;
use sha2::{Digest, Sha256};

use crate::error::MachineError;

/// How long the names of an endpoint's files are, without suffix.
pub(crate) const NAME_LENGTH: usize = 20;

/// Seconds between two signs of life that `ssh` asks for, and how many may be missing: a dead connection is
/// noticed within their product and one more interval.
const ALIVE_INTERVAL: u32 = 4;
const ALIVE_COUNT: u32 = 2;

/// One machine as `ssh` sees it: its generated configuration and control socket.
///
/// The files are named after all that makes up the connection, so that a machine whose address or host key was
/// changed never meets the connection that was opened before.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) machine: MachineSpec,
    folder: PathBuf,
    name: String,
}

/// What all endpoints of a connector share.
#[derive(Debug)]
pub(crate) struct Common<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) identity_file: &'a Path,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle: Duration,
}

impl Endpoint {
    /// Writes the files.
    pub(crate) fn write(machine: &MachineSpec, common: &Common<'_>) -> Result<Self, MachineError> {
        let folder = common.folder.to_owned();
        let endpoint = Self { machine: machine.clone(), folder, name: name(machine, common.identity_file) };
        let known_host = format!("{} {}\n", machine.name, machine.host_key.without_comment());
        write_whole(&endpoint.file("hosts"), &known_host)?;
        write_whole(&endpoint.config(), &endpoint.settings(common))?;
        link(common.identity_file, &endpoint.file("key"))?;
        Ok(endpoint)
    }

    /// The configuration, for `ssh -F`.
    pub(crate) fn config(&self) -> PathBuf {
        self.file("conf")
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.file("sock")
    }

    /// Where the master connection writes what it has to say.
    pub(crate) fn log(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.name))
    }

    // Every path below is one that `runtime` found to need no quoting.
    fn settings(&self, common: &Common<'_>) -> String {
        let MachineSpec { name, address, port, user, .. } = &self.machine;
        let (key, hosts, socket) = (self.file("key"), self.file("hosts"), self.socket());
        let lines = [
            "Host *".to_owned(),
            format!("HostName {address}"),
            format!("Port {port}"),
            format!("User {}", user.as_str()),
            format!("HostKeyAlias {name}"),
            format!("UserKnownHostsFile {}", hosts.display()),
            "GlobalKnownHostsFile /dev/null".into(),
            "StrictHostKeyChecking yes".into(),
            "CheckHostIP no".into(),
            "UpdateHostKeys no".into(),
            "VerifyHostKeyDNS no".into(),
            format!("IdentityFile {}", key.display()),
            "IdentitiesOnly yes".into(),
            "IdentityAgent none".into(),
            "BatchMode yes".into(),
            "PreferredAuthentications publickey".into(),
            "PubkeyAuthentication yes".into(),
            "PasswordAuthentication no".into(),
            "KbdInteractiveAuthentication no".into(),
            "ForwardAgent no".into(),
            "ForwardX11 no".into(),
            "RequestTTY no".into(),
            "EscapeChar none".into(),
            format!("ConnectTimeout {}", common.connect_timeout.as_secs().max(1)),
            "ConnectionAttempts 1".into(),
            format!("ServerAliveInterval {ALIVE_INTERVAL}"),
            format!("ServerAliveCountMax {ALIVE_COUNT}"),
            format!("ControlPath {}", socket.display()),
            "ControlMaster no".into(),
            format!("ControlPersist {}", common.idle.as_secs().max(1)),
            String::new(),
        ];
        lines.join("\n")
    }
}

fn name(machine: &MachineSpec, identity_file: &Path) -> String {
    let mut hash = Sha256::new();
    let port = machine.port.to_string();
    let parts = [machine.name.as_str(), &machine.address.to_string(), &port, machine.user.as_str()];
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(machine.host_key.without_comment());
    hash.update([0]);
    hash.update(identity_file.as_os_str().as_encoded_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..NAME_LENGTH].to_owned()
}

/// Replaces a file as a whole, so that an `ssh` that starts meanwhile never reads half of it.
fn write_whole(path: &Path, text: &str) -> Result<(), MachineError> {
    let what = || MachineError::io(format!("cannot write {}", path.display()));
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(what())?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(what())?;
    file.persist(path).map_err(|error| what()(error.error))?;
    Ok(())
}

/// Names the identity by a path that needs no quoting, whatever its own is like.
fn link(target: &Path, path: &Path) -> Result<(), MachineError> {
    if std::fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let made = match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => std::os::unix::fs::symlink(target, path),
    };
    match made {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(MachineError::io(format!("cannot make the link {}", path.display()))(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(address: &str, key: &str) -> MachineSpec {
        let draft = serde_json::json!({ "name": "vm1", "address": address, "host_key": format!("ssh-ed25519 {key}") });
        serde_json::from_value(draft).unwrap()
    }

    #[test]
    fn another_address_or_host_key_means_another_connection() {
        const ONE: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
        const OTHER: &str = "AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let key = Path::new("/k");
        let base = name(&machine("192.0.2.1", ONE), key);
        assert_eq!(base.len(), NAME_LENGTH);
        assert_eq!(base, name(&machine("192.0.2.1", &format!("{ONE} a comment")), key));
        assert_ne!(base, name(&machine("192.0.2.2", ONE), key));
        assert_ne!(base, name(&machine("192.0.2.1", OTHER), key));
        assert_ne!(base, name(&machine("192.0.2.1", ONE), Path::new("/other")));
    }
}
