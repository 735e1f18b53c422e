//! Makes a machine's tree and network, before it boots for the first time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use berth_domain::MachineName;
use berth_domain::ssh::SshPublicKey;

use super::Disk;
use super::record::MachineRecord;
use crate::cgroups;
use crate::command::Call;
use crate::error::{Context, Result, TestbedError};
use crate::image::Image;
use crate::mounts;
use crate::run::{make, random_id, write_json};
use crate::testbed::Run;

const TIMEOUT: Duration = Duration::from_secs(10);

const HOST_KEY: &str = "etc/ssh/ssh_host_ed25519_key";

/// Takes a name and a network for a machine, and writes down where all of it is going to be.
pub(super) async fn write_down(run: &Run, name: &MachineName) -> Result<MachineRecord> {
    let (network, claim) = run.folder.claim_network(&run.networks).await?;
    let cgroups =
        cgroups::named(&network.namespace()).inspect_err(|_| run.folder.release_network(network, &claim))?;
    let folder = run.folder.machine(name.as_str());
    let record = MachineRecord {
        name: name.clone(),
        network,
        claim,
        root: folder.join("root"),
        disk: run.folder.disks.join(name.as_str()),
        cgroups,
    };
    let written = match fs::create_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(TestbedError::NameTaken { name: name.to_string() })
        }
        Err(error) => Err(error).context(|| format!("cannot create {}", folder.display())),
        Ok(()) => write_json(&folder.join("machine.json"), &record),
    };
    if written.is_err() {
        run.folder.release_network(network, &record.claim);
    }
    written.map(|()| record)
}

/// Makes what was written down; the result is the machine's SSH host key.
pub(super) async fn furnish(
    record: &MachineRecord,
    image: &Image,
    authorized_key: &SshPublicKey,
    disk: Disk,
) -> Result<SshPublicKey> {
    mount(record, image, disk)?;
    write_identity(record, authorized_key)?;
    let host_key = generate_host_key(record).await?;
    record.network.create().await?;
    Ok(host_key)
}

fn mount(record: &MachineRecord, image: &Image, disk: Disk) -> Result<()> {
    make(&record.disk)?;
    if let Disk::Limited { bytes } = disk {
        mounts::tmpfs(bytes, &record.disk)?;
    }
    let (upper, work) = (record.disk.join("upper"), record.disk.join("work"));
    for folder in [&upper, &work, &record.root] {
        make(folder)?;
    }
    // The root folder of a mounted overlay has the attributes of the upper one.
    fs::set_permissions(&upper, fs::Permissions::from_mode(0o755))
        .context(|| format!("cannot open {}", upper.display()))?;
    mounts::overlay(image.path(), &upper, &work, &record.root)
}

/// What tells this machine from others of the same image.
fn write_identity(record: &MachineRecord, authorized_key: &SshPublicKey) -> Result<()> {
    let (name, address) = (&record.name, record.address());
    let hosts = format!("127.0.0.1 localhost\n::1 localhost\n{address} {name}\n");
    let file = |path: &str, contents: String, mode| write(&record.root.join(path), &contents, mode);
    file("etc/hostname", format!("{name}\n"), 0o644)?;
    file("etc/hosts", hosts, 0o644)?;
    // Without a machine-id(5), systemd would take the first boot for an installation and enable what the image
    // has disabled.
    file("etc/machine-id", format!("{}\n", random_id()?), 0o444)?;
    let ssh = record.root.join("root/.ssh");
    make(&ssh)?;
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o700))
        .context(|| format!("cannot close {}", ssh.display()))?;
    file("root/.ssh/authorized_keys", format!("{}\n", authorized_key.as_str()), 0o600)
}

fn write(path: &Path, contents: &str, mode: u32) -> Result<()> {
    fs::write(path, contents)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .context(|| format!("cannot write {}", path.display()))
}

async fn generate_host_key(record: &MachineRecord) -> Result<SshPublicKey> {
    let path = record.root.join(HOST_KEY);
    let file = path.to_string_lossy();
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", record.name.as_str(), "-f", &file];
    Call::new("ssh-keygen", arguments)?.run(TIMEOUT).await?;
    let public = path.with_extension("pub");
    let line = fs::read_to_string(&public).context(|| format!("cannot read {}", public.display()))?;
    line.parse().map_err(|_| TestbedError::BadRecord { path: public, reason: "not a public key".to_owned() })
}
