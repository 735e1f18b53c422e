//! How the `nix` command is called.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::error::NixError;
use crate::log::Update;
use crate::process::{Finished, Stdout, run};
use crate::version::{MINIMUM, Version};
use crate::worker::here::Idle;

/// How long the quick questions (version, validity, sizes) may take.
pub(crate) const QUICK: Duration = Duration::from_secs(60);

/// Variables that Nix and the programs that it starts may see, besides those that start with `NIX_`. The daemon's
/// own, with their passwords, are not among them.
const ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LANG",
    "LOCALE_ARCHIVE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Variables of Nix that would change what it prints or how it connects.
const UNWANTED: &[&str] = &["NIX_SSHOPTS", "NIX_SHOW_STATS", "NIX_COUNT_CALLS", "NIX_PATH"];

/// How `nix` is found and set up.
#[derive(Debug, Clone)]
pub struct NixOptions {
    /// The program; a bare name is looked up in `PATH`. Nix is one program of many names, so this one also serves as
    /// `nix-store`.
    pub program: PathBuf,
    /// The program `nixos-rebuild`, likewise; needed only by those who ask for it.
    pub nixos_rebuild: PathBuf,
    /// The program `nixops4`, likewise; needed only by those who ask for it.
    pub nixops4: PathBuf,
    /// The store to work on, as a store URL; Nix's own default when absent.
    pub store: Option<String>,
    /// Settings that override `nix.conf`, by name, such as `substituters` = ``.
    pub settings: BTreeMap<String, String>,
}

impl Default for NixOptions {
    fn default() -> Self {
        Self {
            program: "nix".into(),
            nixos_rebuild: "nixos-rebuild".into(),
            nixops4: "nixops4".into(),
            store: None,
            settings: BTreeMap::new(),
        }
    }
}

/// The bounds of one call.
#[derive(Debug, Clone)]
pub struct Run {
    /// Stops the call when cancelled.
    pub cancel: CancellationToken,
    /// The longest that it may take.
    pub timeout: Duration,
}

impl Run {
    /// A call that nobody cancels.
    pub fn within(timeout: Duration) -> Self {
        Self { cancel: CancellationToken::new(), timeout }
    }

    /// Does some work within these bounds; it is dropped where it does not end within them.
    pub(crate) async fn bound<T>(
        &self,
        work: impl Future<Output = Result<T, NixError>>,
    ) -> Result<T, NixError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(NixError::Cancelled),
            () = tokio::time::sleep(self.timeout) => Err(NixError::Timeout { after: self.timeout }),
            done = work => done,
        }
    }
}

/// The `nix` command. Cheap to clone; any number of calls may run at once.
#[derive(Debug, Clone)]
pub struct Nix {
    options: NixOptions,
    idle: Idle,
}

impl Nix {
    /// Takes the options; starts nothing. [`Nix::version`] tells whether it will work.
    pub fn new(options: NixOptions) -> Self {
        Self { options, idle: Idle::default() }
    }

    /// Nix's version.
    ///
    /// # Errors
    /// [`NixError::NotFound`] where there is no Nix, [`NixError::Unsupported`] where it is too old.
    pub async fn version(&self) -> Result<Version, NixError> {
        let mut command = self.bare("nix");
        command.arg("--version");
        let finished = self.run(command, &Run::within(QUICK), |_| {}).await?;
        let unexpected = |problem| NixError::UnexpectedOutput { command: "nix --version", problem };
        if !finished.success() {
            return Err(unexpected(finished.message()));
        }
        let found = Version::parse(&finished.stdout).ok_or_else(|| unexpected(bounded(&finished.stdout)))?;
        if found < MINIMUM { Err(NixError::Unsupported { found }) } else { Ok(found) }
    }

    /// `nix WORDS…` with what every call needs.
    pub(crate) fn nix(&self, words: &[&str]) -> Command {
        let mut command = self.bare("nix");
        command.args(words);
        self.common(&mut command);
        command
    }

    /// `nix-store WORDS…` with what every call needs.
    pub(crate) fn nix_store(&self, words: &[&str]) -> Command {
        let mut command = self.bare("nix-store");
        command.args(words);
        self.common(&mut command);
        command
    }

    /// `nix-daemon` that is spoken to over its streams, of this store or of another one of this host's.
    pub(crate) fn nix_daemon(&self, store: Option<&str>) -> Command {
        let mut command = self.bare("nix-daemon");
        command.arg("--stdio");
        self.set_up(&mut command);
        if let Some(store) = store {
            command.args(["--option", "store", store]);
        }
        command
    }

    /// `nix-instantiate` that sees nothing but what it is given: no file, no variable, no store, no network.
    pub(crate) fn pure_instantiate(&self) -> Command {
        let mut command = self.bare("nix-instantiate");
        command.args(["--log-format", "internal-json", "--store", "dummy://"]);
        for (name, value) in [
            ("pure-eval", "true"),
            ("restrict-eval", "true"),
            ("allowed-uris", ""),
            ("allow-import-from-derivation", "false"),
            ("substituters", ""),
        ] {
            command.args(["--option", name, value]);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(
        &self,
        command: Command,
        bounds: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<Finished, NixError> {
        let program = self.options.program.to_string_lossy();
        run(command, &program, bounds, Stdout::Kept, sink).await
    }

    pub(crate) fn options(&self) -> &NixOptions {
        &self.options
    }

    pub(crate) fn idle(&self) -> &Idle {
        &self.idle
    }

    pub(crate) fn bare(&self, name: &str) -> Command {
        let mut command = spawnable(&self.options.program);
        command.arg0(name).current_dir("/");
        self.environment(&mut command);
        command
    }

    /// Gives a command what it may see of the daemon's environment, and nothing else: nothing to read either.
    pub(crate) fn environment(&self, command: &mut Command) {
        command.env_clear().stdin(Stdio::null());
        for (key, value) in std::env::vars_os().filter(|(key, _)| passes(key)) {
            command.env(key, value);
        }
    }

    fn common(&self, command: &mut Command) {
        command.args(["--log-format", "internal-json"]);
        self.set_up(command);
    }

    fn set_up(&self, command: &mut Command) {
        // Named one by one by `--option`, since `nix-store` lacks `--extra-experimental-features`' short form in 2.8.
        for (name, value) in self.settings() {
            command.args(["--option", name, value]);
        }
    }

    /// The settings of every call.
    fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        let ours = [
            ("extra-experimental-features", "nix-command flakes"),
            ("use-registries", "false"),
            ("accept-flake-config", "false"),
        ];
        let store = self.options.store.iter().map(|store| ("store", store.as_str()));
        let given = self.options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        ours.into_iter().chain(store).chain(given)
    }

    /// The same settings as `NIX_CONFIG` holds them, for programs that call Nix themselves; after those that the
    /// environment has.
    pub(crate) fn config(&self) -> Result<String, NixError> {
        let mut config = std::env::var("NIX_CONFIG").unwrap_or_default();
        for (name, value) in self.settings() {
            if name.contains(['\n', '=', '#']) || value.contains(['\n', '#']) {
                let rule = "must be one line without “#”".to_owned();
                return Err(NixError::BadArgument { argument: "a setting of Nix", rule });
            }
            config.push_str(&format!("\n{name} = {value}"));
        }
        Ok(config)
    }
}

/// A command of a program, which is looked for now where it has no folder: with an environment of its own, it would be looked for
/// in a copy of this process, and all of that process's memory would have to be mapped for it.
pub(crate) fn spawnable(program: &Path) -> Command {
    Command::new(which::which(program).as_deref().unwrap_or(program))
}

fn passes(key: &OsStr) -> bool {
    key.to_str().is_some_and(|key| {
        ENVIRONMENT.contains(&key) || (key.starts_with("NIX_") && !UNWANTED.contains(&key))
    })
}

/// The beginning of an output, for a message.
pub(crate) fn bounded(text: &str) -> String {
    text.trim().chars().take(300).collect()
}
