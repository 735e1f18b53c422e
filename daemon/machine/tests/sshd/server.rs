//! A private `sshd`, and what the tests need around it.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_domain::MachineSpec;
use berth_machine::{Connector, ConnectorOptions, Session};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A server that runs; it ends with this value, and with it every connection.
pub struct Server {
    process: Child,
    folder: TempDir,
    pub address: SocketAddr,
    pub host_key: String,
    pub identity: PathBuf,
}

impl Server {
    /// Starts a server on the loopback address, or says why the test is skipped.
    pub fn start() -> Option<Self> {
        Self::start_at("127.0.0.1", "ed25519")
    }

    /// The same at another address of this host, and with another type of host key.
    pub fn start_at(address: &str, key_type: &str) -> Option<Self> {
        Self::start_as(address, key_type, "")
    }

    /// The same with these lines before the others of its configuration: sshd takes the first word on anything.
    pub fn start_with(lines: &str) -> Option<Self> {
        Self::start_as("127.0.0.1", "ed25519", lines)
    }

    fn start_as(address: &str, key_type: &str, lines: &str) -> Option<Self> {
        let Some(program) =
            ["/usr/sbin/sshd", "/run/current-system/sw/bin/sshd"].iter().find(|p| Path::new(p).exists())
        else {
            eprintln!("SKIPPED: this host has no sshd (Debian: apt-get install openssh-server)");
            return None;
        };
        let listener = TcpListener::bind((address, 0)).ok()?;
        let address = listener.local_addr().unwrap();
        drop(listener);
        let folder = tempfile::Builder::new().prefix("a folder ").tempdir().unwrap();
        let path = folder.path();
        let host_key = keygen(&path.join("host"), key_type);
        let identity = path.join("100% 'mine'");
        fs::write(path.join("authorized"), keygen(&identity, "ed25519")).unwrap();
        fs::write(path.join("config"), lines.to_owned() + &config(address)).unwrap();
        if as_root() {
            // Where sshd, as root, wants an empty folder to shut its unprivileged part into.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        // sshd wants absolute paths, and none with spaces in options: they go through a link.
        let link = link_to(path);
        let log = fs::File::create(path.join("log")).unwrap();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(link.join("config")).arg("-h").arg(link.join("host"));
        command.arg("-o").arg(format!("PidFile={}", link.join("pid").display()));
        command.arg("-o").arg(format!("AuthorizedKeysFile={}", link.join("authorized").display()));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let server = Self { process, folder, address, host_key, identity };
        server.await_listening();
        Some(server)
    }

    fn await_listening(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < end, "sshd does not answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many connections were authenticated so far.
    pub fn authenticated(&self) -> usize {
        self.log().matches("Accepted publickey").count()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn machine(&self) -> MachineSpec {
        machine(self.address, &self.host_key)
    }

    pub fn options(&self) -> ConnectorOptions {
        ConnectorOptions {
            connect_timeout: Duration::from_secs(5),
            ..ConnectorOptions::with_identity(&self.identity)
        }
    }

    pub fn connector(&self) -> Connector {
        Connector::new(self.options()).unwrap()
    }

    pub async fn session(&self) -> (Connector, Session) {
        let connector = self.connector();
        let session = connector.connect(&self.machine(), &never()).await.unwrap();
        (connector, session)
    }

    /// The processes that serve this server's connections.
    pub fn connections(&self) -> Vec<i32> {
        let all = processes();
        let mut family = vec![i32::try_from(self.process.id()).unwrap()];
        let mut at = 0;
        while let Some(parent) = family.get(at).copied() {
            family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            at += 1;
        }
        family.split_off(1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for pid in self.connections() {
            signal(pid, "KILL");
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(link_to(self.folder.path()));
    }
}

/// A token that is never cancelled.
pub fn never() -> CancellationToken {
    CancellationToken::new()
}

/// A machine at this address that should show this host key.
pub fn machine(address: SocketAddr, host_key: &str) -> MachineSpec {
    let draft = serde_json::json!({ "name": "vm1", "address": address.ip().to_string(), "port": address.port(),
        "user": me(), "host_key": host_key });
    serde_json::from_value(draft).unwrap()
}

/// Makes a key pair; returns the public key.
pub fn keygen(path: &Path, key_type: &str) -> String {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "test", "-t", key_type, "-f"])
        .arg(path)
        .status();
    assert!(status.unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::read_to_string(path.with_file_name(format!("{}.pub", path.file_name().unwrap().to_str().unwrap())))
        .unwrap()
}

pub fn signal(pid: i32, name: &str) {
    // A process that is gone already needs no signal.
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// Every process and its parent.
pub fn processes() -> Vec<(i32, i32)> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        Some((pid, parent))
    })
    .collect()
}

/// The processes whose command line holds a text.
pub fn processes_about(text: &str) -> Vec<i32> {
    let about = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    processes().into_iter().map(|(pid, _)| pid).filter(about).collect()
}

fn config(address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(
        "ListenAddress {ip}\nPort {port}\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxSessions 64\nLogLevel INFO\n"
    )
}

fn link_to(folder: &Path) -> PathBuf {
    let name = folder.file_name().unwrap().to_str().unwrap().replace(' ', "-");
    let link = std::env::temp_dir().join(format!("berth-sshd-{name}"));
    let _ = std::os::unix::fs::symlink(folder, &link);
    link
}

fn me() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn as_root() -> bool {
    me() == "root"
}
