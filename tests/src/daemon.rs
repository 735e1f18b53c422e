//! A daemon with a folder of its own, to be stopped, killed and started again.

mod start;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::Client;
use tempfile::TempDir;

pub use self::start::{DaemonOptions, Database, Log};
use self::start::{listening, log_path, spawn};

/// How long a daemon may take to be ready; with a debug build and two cores that others use as well.
const READY: Duration = Duration::from_secs(60);

/// How long a daemon may take to stop when asked.
const STOP: Duration = Duration::from_secs(20);

/// A daemon that runs. Dropped, it is stopped, and its folder removed.
#[derive(Debug)]
pub struct Daemon {
    options: DaemonOptions,
    process: Child,
    folder: TempDir,
    url: String,
    /// How long it took from its start until it said that it is ready.
    pub ready_after: Duration,
}

impl Daemon {
    /// Starts a daemon and waits until it is ready.
    ///
    /// # Errors
    /// If it does not become ready; with the end of its log.
    pub fn start(options: DaemonOptions) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-daemon-").tempdir()?;
        let process = spawn(&options, folder.path(), "127.0.0.1:0")?;
        let mut daemon =
            Self { options, process, folder, url: String::new(), ready_after: Duration::default() };
        daemon.await_ready()?;
        Ok(daemon)
    }

    /// Starts another daemon on the same database, with a folder of its own that holds this one's keys.
    ///
    /// # Errors
    /// If it does not become ready.
    pub fn replica(&self) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-daemon-").tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("ssh"))?;
        for shared in ["admin.token", "secrets.key", "ssh/id_ed25519", "ssh/id_ed25519.pub"] {
            fs::copy(self.data().join(shared), data.join(shared)).with_context(|| shared.to_owned())?;
        }
        let (options, url) = (self.options.clone(), String::new());
        let process = spawn(&options, folder.path(), "127.0.0.1:0")?;
        let mut daemon = Self { options, process, folder, url, ready_after: Duration::default() };
        daemon.await_ready()?;
        Ok(daemon)
    }

    /// Where it is reached; stays the same when it is started again.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The folder that it keeps everything in.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its database, where that is SQLite.
    pub fn sqlite(&self) -> PathBuf {
        self.data().join("berth.db")
    }

    /// The administrator's token, which it wrote on its first start.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn admin_token(&self) -> Result<String> {
        let path = self.data().join("admin.token");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// A client with the administrator's token.
    ///
    /// # Errors
    /// If the token cannot be read.
    pub fn client(&self) -> Result<Client> {
        self.client_with(&self.admin_token()?)
    }

    /// A client with another token.
    ///
    /// # Errors
    /// If the token is none.
    pub fn client_with(&self, token: &str) -> Result<Client> {
        Ok(Client::new(self.url(), token.to_owned().into())?)
    }

    /// Everything that it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(log_path(self.folder.path())).unwrap_or_default()
    }

    /// Ends it as a crash would: it is asked nothing.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// If it takes too long.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        let end = Instant::now() + STOP;
        while Instant::now() < end {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the daemon did not stop within {STOP:?}; it wrote:\n{}", self.log_end())
    }

    /// Starts it again, after [`Self::kill`] or [`Self::stop`], on the same folder and at the same address.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.spawn_again()?;
        self.await_ready()
    }

    /// Waits until it is ready after [`Self::spawn_again`], while others go on, on whom that may depend.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.is_ready(start)? {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Keeps it from doing anything, until [`Self::thaw`]. What it has started goes on.
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Errors
    /// If it cannot be signalled.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let (signal, pid) = (format!("-{name}"), self.process.id().to_string());
        let status = Command::new("kill").args([&signal, &pid]).status()?;
        ensure!(status.success(), "the daemon cannot be signalled");
        Ok(())
    }

    /// Starts it again, as [`Self::start_again`], without waiting until it is ready.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn spawn_again(&mut self) -> Result<()> {
        let address = self.url.trim_start_matches("http://").to_owned();
        // What it wrote before is not what it writes now.
        let _ = fs::remove_file(self.data().join("listen"));
        self.process = spawn(&self.options, self.folder.path(), &address)?;
        Ok(())
    }

    fn await_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        while !self.is_ready(start)? {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether what was started then is ready.
    fn is_ready(&mut self, start: Instant) -> Result<bool> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the daemon ended with {status}; it wrote:\n{}", self.log_end());
        }
        // It is written last, so that whoever sees it finds everything else.
        if let Some(url) = listening(&self.data()) {
            self.url = url;
            self.ready_after = start.elapsed();
            return Ok(true);
        }
        ensure!(
            start.elapsed() < READY,
            "the daemon is not ready after {READY:?}; it wrote:\n{}",
            self.log_end()
        );
        Ok(false)
    }

    /// For the output of a test, which is shown if it failed.
    #[allow(clippy::print_stderr)]
    fn say_last_words(&self, running: bool) {
        let end = if running { "ran" } else { "had ended" };
        eprintln!("the daemon {end}, and wrote at last:\n{}", self.log_end());
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let running = matches!(self.process.try_wait(), Ok(None));
        if self.options.log != Log::Usual {
            self.say_last_words(running);
        }
        if running && self.stop().is_err() {
            let _ = self.kill();
        }
    }
}
