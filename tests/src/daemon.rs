//! A daemon with a folder of its own, to be stopped, killed and started again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use berth_client::Client;
use tempfile::TempDir;

use crate::programs;
use crate::wrong_clock::WrongClock;

/// How long a daemon may take to be ready; with a debug build and two cores that others use as well.
const READY: Duration = Duration::from_secs(60);

/// How long a daemon may take to stop when asked.
const STOP: Duration = Duration::from_secs(20);

/// Which database a daemon is given.
#[derive(Debug, Clone, Default)]
pub enum Database {
    /// The default: a file in its folder.
    #[default]
    Sqlite,
    /// A PostgreSQL database of this URL.
    Postgres(String),
}

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// Its database.
    pub database: Database,
    /// Its platform, as a flake reference; the rehearsal platform when absent.
    pub platform: Option<String>,
    /// Where its tenants' certificates come from, as its configuration says it; nowhere when absent.
    pub tls: Option<&'static str>,
    /// What it logs.
    pub log: Log,
    /// A folder of programs that come before those of `PATH`.
    pub programs: Option<PathBuf>,
    /// Its configuration file, in TOML; none when empty.
    pub config: String,
    /// What it takes for the time of day; the host's own clock when absent.
    pub clock: Option<WrongClock>,
}

/// What a daemon logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Log {
    /// What helps to see why a test failed.
    #[default]
    Ours,
    /// All that it and its libraries can say.
    Everything,
    /// As a provider would run it.
    Usual,
}

impl DaemonOptions {
    /// As a provider would run it.
    pub fn usual() -> Self {
        Self { log: Log::Usual, ..Self::default() }
    }
}

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

    /// The same where others go on meanwhile, on whom it may depend that it becomes ready.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again_meanwhile(&mut self) -> Result<()> {
        self.spawn_again()?;
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

    fn spawn_again(&mut self) -> Result<()> {
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

fn spawn(options: &DaemonOptions, folder: &Path, listen: &str) -> Result<Child> {
    let log = File::options().create(true).append(true).open(log_path(folder))?;
    let mut command = Command::new(programs::find("berth")?);
    command.arg("daemon");
    if !options.config.is_empty() {
        let file = folder.join("berth.toml");
        fs::write(&file, &options.config)?;
        command.arg("--config").arg(file);
    }
    command.arg("serve").env_clear().env("NO_COLOR", "1");
    for name in ["PATH", "HOME", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(programs) = &options.programs {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(programs.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders)?);
    }
    command.env("BERTH_DATA_DIR", folder.join("data")).env("BERTH_LISTEN", listen);
    // The daemon's own program would do; unoptimised and with its debugging information it is what a test waits for.
    command.env("BERTH_AGENT", programs::find("berth-agent")?);
    match options.log {
        Log::Ours => drop(command.env("BERTH_LOG", "info,berth=debug")),
        Log::Everything => drop(command.env("BERTH_LOG", "trace")),
        Log::Usual => {}
    }
    if let Database::Postgres(url) = &options.database {
        command.env("BERTH_DATABASE_URL", url);
    }
    command.env("BERTH_TLS", options.tls.unwrap_or("none"));
    if let Some(platform) = &options.platform {
        command.env("BERTH_PLATFORM", platform);
        // The builds of a workshop use the host's own shell, and nobody else has built them.
        command.env("NIX_CONFIG", "sandbox = false\nsubstituters =");
    }
    command.envs(options.clock.iter().flat_map(WrongClock::environment));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().context("cannot start the daemon")
}

fn log_path(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn listening(data: &Path) -> Option<String> {
    let text = fs::read_to_string(data.join("listen")).ok()?;
    text.strip_suffix('\n').unwrap_or(&text).starts_with("http").then(|| text.trim().to_owned())
}
