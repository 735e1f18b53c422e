//! The demo's daemon: this very program, as a process of its own.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use berth_client::Client;

use super::process;
use crate::connection::read_token;
use crate::failure::{Failure, Result};

/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(30);

/// How long it may take to end in order.
const END: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(10);

/// The variable that says where its data is; by it the daemon is found again.
const DATA: &str = "BERTH_DATA_DIR";

/// A running daemon. Dropped, it is ended, unless it was kept.
#[derive(Debug)]
pub(super) struct Daemon {
    folder: PathBuf,
    child: Child,
    kept: bool,
}

impl Daemon {
    /// Starts it, with its data in the demo's folder, and waits until it is ready.
    pub(super) async fn start(folder: &Path) -> Result<Self> {
        let child = spawn(folder)
            .map_err(|error| Failure::local(format!("the daemon cannot be started: {error}")))?;
        let mut daemon = Self { folder: folder.to_owned(), child, kept: false };
        let deadline = Instant::now() + START;
        while daemon.url().is_none() {
            if let Ok(Some(status)) = daemon.child.try_wait() {
                return Err(daemon.failed(&format!("the daemon ended at once ({status})")));
            }
            if Instant::now() > deadline {
                return Err(daemon.failed(&format!("the daemon was not ready within {} s", START.as_secs())));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(daemon)
    }

    /// Where it listens, once it does.
    pub(super) fn url(&self) -> Option<String> {
        let url = fs::read_to_string(data(&self.folder).join("listen")).ok()?;
        Some(url.trim().to_owned()).filter(|url| url.starts_with("http"))
    }

    /// The file with the admin's token.
    pub(super) fn token_file(&self) -> PathBuf {
        data(&self.folder).join("admin.token")
    }

    /// A client with that token.
    pub(super) fn client(&self) -> Result<Client> {
        Ok(Client::new(&self.url().unwrap_or_default(), read_token(&self.token_file())?)?)
    }

    /// Lets it outlive this process.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }

    fn failed(&self, what: &str) -> Failure {
        let log = fs::read_to_string(log(&self.folder)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(15)..].join("\n  ");
        Failure::local(format!("{what}; its log ends with:\n  {end}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.kept {
            end_found(&self.folder);
            // All that had its environment have ended; what is left of the child is its exit status.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Whether the daemon of a demo runs.
pub(super) fn runs(folder: &Path) -> bool {
    !process::with_environment(&variable(folder)).is_empty()
}

/// Ends the daemon of a demo, whoever started it, and what it started and left.
pub(super) fn end_found(folder: &Path) {
    process::end(&process::with_environment(&variable(folder)), END);
    // What was just being started is seen the second time.
    process::end(&process::with_environment(&variable(folder)), END);
}

fn spawn(folder: &Path) -> io::Result<Child> {
    let log = File::create(log(folder))?;
    let mut command = Command::new(std::env::current_exe()?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"BERTH_")) {
        // What is set for other daemons and clients is not meant for this one.
        command.env_remove(name);
    }
    command
        .args(["daemon", "serve"])
        .env(DATA, data(folder))
        .env("BERTH_LISTEN", "127.0.0.1:0")
        .env("BERTH_PROVIDER_NAME", "Berth demo")
        .env("NO_COLOR", "1")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        // Ctrl-C is for us, who then end it.
        .process_group(0)
        .spawn()
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("daemon.log")
}

fn variable(folder: &Path) -> String {
    format!("{DATA}={}", data(folder).display())
}
