//! How a daemon is started.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

use crate::programs;
use crate::wrong_clock::WrongClock;

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

/// Starts the built program with a folder of its own.
pub(super) fn spawn(options: &DaemonOptions, folder: &Path, listen: &str) -> Result<Child> {
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

/// Where it writes.
pub(super) fn log_path(folder: &Path) -> PathBuf {
    folder.join("log")
}

/// Where it says that it listens, once it is ready.
pub(super) fn listening(data: &Path) -> Option<String> {
    let text = fs::read_to_string(data.join("listen")).ok()?;
    text.strip_suffix('\n').unwrap_or(&text).starts_with("http").then(|| text.trim().to_owned())
}
