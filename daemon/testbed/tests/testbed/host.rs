//! A testbed for a test, and looks at the host from outside.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU8, Ordering};

use berth_domain::ssh::SshPublicKey;
use berth_testbed::{Machine, Testbed, TestbedOptions, prerequisites};

/// A testbed and the key that its machines admit.
pub struct Bench {
    pub testbed: Testbed,
    pub key: SshPublicKey,
    folder: tempfile::TempDir,
}

/// Whether machines can be booted here; if not, says why.
pub async fn can_boot() -> bool {
    // Dropping can only warn; a failed test shows what it had to say.
    let _ = tracing_subscriber::fmt().with_test_writer().try_init();
    let missing = prerequisites::missing().await;
    let required = std::env::var_os("BERTH_REQUIRE_MACHINES").is_some_and(|value| value == "1");
    assert!(missing.is_empty() || !required, "machines cannot be booted here: {missing:?}");
    for lack in &missing {
        eprintln!("skipped, machines cannot be booted here; missing: {lack}");
    }
    missing.is_empty()
}

/// Networks that no other test of this process uses, so that what a test finds of a network is its own. The low numbers,
/// which are taken first by default, stay free for others.
fn own_networks() -> RangeInclusive<u8> {
    static NEXT: AtomicU8 = AtomicU8::new(60);
    let first = NEXT.fetch_add(6, Ordering::Relaxed);
    first..=first + 5
}

impl Bench {
    /// `None` where machines cannot be had.
    pub async fn set_up() -> Option<Self> {
        if !can_boot().await {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let key = generate_key(&folder.path().join("id_ed25519"));
        let options = TestbedOptions { networks: own_networks(), ..TestbedOptions::default() };
        let testbed = Testbed::new(options, &mut |line| println!("{line}")).await.unwrap();
        Some(Self { testbed, key, folder })
    }

    pub async fn boot(&self, name: &str) -> Machine {
        self.testbed.boot(&name.parse().unwrap(), &self.key).await.unwrap()
    }

    pub fn identity(&self) -> PathBuf {
        self.folder.path().join("id_ed25519")
    }

    /// A known_hosts file that pins a machine's key.
    pub fn pin(&self, machine: &Machine) -> PathBuf {
        let path = self.folder.path().join(format!("known_hosts-{}", machine.name()));
        std::fs::write(&path, format!("{}\n", machine.known_hosts_line())).unwrap();
        path
    }

    /// Runs a command by SSH, with the machine's key pinned.
    pub fn ssh(&self, machine: &Machine, command: &str) -> Output {
        ssh(machine, &self.identity(), &self.pin(machine), command)
    }
}

pub fn generate_key(path: &Path) -> SshPublicKey {
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"];
    assert!(std::process::Command::new("ssh-keygen").args(arguments).arg(path).status().unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap().parse().unwrap()
}

pub fn ssh(machine: &Machine, identity: &Path, known_hosts: &Path, command: &str) -> Output {
    std::process::Command::new("ssh")
        .args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=yes",
            "-o",
            "ConnectTimeout=3",
        ])
        .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
        .args(["-o", "GlobalKnownHostsFile=/dev/null"])
        .arg(format!("-oUserKnownHostsFile={}", known_hosts.display()))
        .arg("-i")
        .arg(identity)
        .arg(format!("root@{}", machine.address()))
        .arg(command)
        .output()
        .unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What a host shows of a machine; gathered while it runs, to be looked for afterwards.
pub struct Traces {
    folder: PathBuf,
    number: u8,
}

impl Traces {
    pub fn of(machine: &Machine) -> Self {
        Self::at(machine.root_path(), machine.address())
    }

    pub fn at(root: &Path, address: Ipv4Addr) -> Self {
        Self { folder: root.parent().unwrap().to_owned(), number: address.octets()[2] }
    }

    /// Everything that is there, each by a name.
    pub fn found(&self) -> Vec<&'static str> {
        let text = self.folder.to_string_lossy().into_owned();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let number = self.number;
        let run = self.folder.ancestors().nth(2).unwrap();
        let disks = Path::new("/var/lib/berth-testbed").join(run.file_name().unwrap());
        let is_there = [
            ("mount", mounts.contains(&text)),
            ("namespace", Path::new(&format!("/run/netns/berth-{number}")).exists()),
            ("interface", Path::new(&format!("/sys/class/net/berth{number}")).exists()),
            ("process", processes().iter().any(|line| line.contains(&text))),
            ("cgroup", has_folder(Path::new("/sys/fs/cgroup"), &format!("berth-{number}"))),
            ("folder", self.folder.exists()),
            ("disk", disks.join(self.folder.file_name().unwrap()).exists()),
        ];
        is_there.into_iter().filter_map(|(name, there)| there.then_some(name)).collect()
    }
}

/// The command lines of all processes.
fn processes() -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

/// Whether there is a folder of a name somewhere below another.
fn has_folder(below: &Path, name: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(below) else { return false };
    let folders = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.into_iter().any(|entry| entry.file_name() == name || has_folder(&entry.path(), name))
}
