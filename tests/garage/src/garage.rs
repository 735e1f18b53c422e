//! A Garage in a folder of its own: one node, one bucket, one key.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::time::{Duration, Instant};

use berth_vault::S3Config;
use berth_vault::buckets::BucketConfig;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const BUCKET: &str = "vault";
const PREFIX: &str = "of/berth";

static SKIPPED: Once = Once::new();

/// A Garage that runs; it ends with this value.
#[derive(Debug)]
pub struct Garage {
    program: PathBuf,
    folder: TempDir,
    endpoint: String,
    access_key: String,
    secret: SecretString,
    _process: Child,
}

impl Garage {
    /// Starts one; without a Garage on this host, says so once. `BERTH_GARAGE` names the program.
    pub async fn start() -> Option<Self> {
        let Some(program) = program() else {
            let words =
                "SKIPPED: what is tried with a real S3: there is no Garage, and BERTH_GARAGE names none";
            SKIPPED.call_once(|| eprintln!("{words}"));
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let endpoint = configure(folder.path());
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = command(&program, folder.path());
        let process = command.arg("server").stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let (access_key, secret) = (String::new(), SecretString::default());
        let mut garage = Self { program, folder, endpoint, access_key, secret, _process: process };
        garage.set_up().await;
        Some(garage)
    }

    /// The bucket of a vault.
    pub fn config(&self) -> S3Config {
        S3Config {
            endpoint: self.endpoint.clone(),
            region: "garage".into(),
            bucket: BUCKET.into(),
            prefix: PREFIX.into(),
            access_key: self.access_key.clone(),
            secret: self.secret.clone(),
        }
    }

    /// Another bucket, as somebody keeps media in it.
    pub async fn bucket(&self, name: &str) -> BucketConfig {
        self.tell(&["bucket", "create", name]).await;
        self.tell(&["bucket", "allow", "--read", "--write", name, "--key", "test"]).await;
        BucketConfig {
            endpoint: self.endpoint.clone(),
            region: "garage".into(),
            name: name.into(),
            access_key: self.access_key.clone(),
            secret: self.secret.clone(),
        }
    }

    /// How restic reaches a repository in it.
    pub fn directly(&self, repository: &str) -> (String, Vec<(&'static str, String)>) {
        let environment = vec![
            ("AWS_ACCESS_KEY_ID", self.access_key.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.expose_secret().to_owned()),
            ("AWS_DEFAULT_REGION", "garage".to_owned()),
        ];
        (format!("s3:{}/{BUCKET}/{PREFIX}/{repository}", self.endpoint), environment)
    }

    /// A layout of one node, a bucket, and a key for it.
    async fn set_up(&mut self) {
        let node = self.await_node().await;
        self.tell(&["layout", "assign", "-z", "here", "-c", "1G", &node]).await;
        self.tell(&["layout", "apply", "--version", "1"]).await;
        self.tell(&["bucket", "create", BUCKET]).await;
        let key = self.tell(&["key", "create", "test"]).await;
        let of = |name: &str| {
            let line = key.lines().find_map(|line| line.trim().strip_prefix(name));
            line.unwrap_or_else(|| panic!("no “{name}” in what garage says of a new key")).trim().to_owned()
        };
        (self.access_key, self.secret) = (of("Key ID:"), of("Secret key:").into());
        self.tell(&["bucket", "allow", "--read", "--write", BUCKET, "--key", "test"]).await;
    }

    /// The node's id, once it answers.
    async fn await_node(&self) -> String {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let output = self.run(&["node", "id", "--quiet"]).await;
            if let (Some((id, _)), true) =
                (output.split_once('@'), self.run(&["status"]).await.contains("HEALTHY"))
            {
                return id.to_owned();
            }
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(Instant::now() < end, "garage does not start: {log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn run(&self, words: &[&str]) -> String {
        let output = command(&self.program, self.folder.path()).args(words).output().await.unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn tell(&self, words: &[&str]) -> String {
        let output = command(&self.program, self.folder.path()).args(words).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "garage {words:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The program that `BERTH_GARAGE` names, or what tests/run has built.
fn program() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BERTH_GARAGE") {
        return Some(named.into());
    }
    let built = cache()?.join("garage-2.5.0/bin/garage");
    built.exists().then_some(built)
}

/// Where tests/run and the testbed keep what was costly to make.
pub fn cache() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))?;
    Some(base.join("berth"))
}

fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("garage.toml")).env("RUST_LOG", "garage=warn");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Writes the configuration; the address of the S3 interface.
fn configure(folder: &Path) -> String {
    let (rpc, s3) = (free_port(), free_port());
    let secret = format!("{:032x}{:032x}", fastrand::u128(..), fastrand::u128(..));
    let place = folder.display();
    let text = format!(
        "metadata_dir = \"{place}/meta\"\ndata_dir = \"{place}/data\"\ndb_engine = \"sqlite\"\n\
         replication_factor = 1\nrpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\n\
         rpc_secret = \"{secret}\"\n[s3_api]\ns3_region = \"garage\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n"
    );
    std::fs::write(folder.join("garage.toml"), text).unwrap();
    format!("http://127.0.0.1:{s3}")
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}
