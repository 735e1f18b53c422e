//! The TOML file and the `BERTH_*` variables. Variables override the file, the file overrides the defaults.

mod builders;
mod migration;
mod moved;
mod vault;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_contract::resources::REHEARSAL;
use berth_render::Tls;
use berth_store::DatabaseUrl;
use serde::{Deserialize, Serialize};

pub use builders::BuilderConfig;
pub use migration::MigrationConfig;
pub use moved::MovedConfig;
pub use vault::{S3Choice, VaultConfig};

/// What the daemon is told. `berthd check-config` prints it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the API listens: an address and a port; port 0 is any free one. TLS is a proxy's matter.
    pub listen: SocketAddr,
    /// The daemon's folder: database, tokens, SSH key. Nobody but the daemon's user may read it.
    pub data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST/DATABASE`; `berth.db` in the data folder when absent. Never
    /// printed, as it may hold a password.
    #[serde(skip_serializing)]
    pub database_url: Option<String>,
    /// What tenants are built on: `rehearsal`, or a flake reference.
    pub platform: String,
    /// Where the certificates of tenants' machines come from; `acme` when absent, and on the rehearsal platform `none`.
    pub tls: Option<TlsChoice>,
    /// The program that becomes the rehearsal machines' agent; the daemon's own when absent.
    pub agent: Option<PathBuf>,
    /// What is logged, as `tracing` filters are written: `info`, `berth_engine=debug,info`.
    pub log: String,
    /// What log lines look like.
    pub log_format: LogFormat,
    /// How many operations run at once.
    pub parallel_operations: usize,
    /// How many generations of its system a machine keeps.
    pub keep_generations: u32,
    /// Where derivations are built.
    pub builders: BuilderConfig,
    /// How deployed tenants are checked.
    pub checks: CheckConfig,
    /// Where tenants' snapshots are kept.
    pub vault: VaultConfig,
    /// Bundles that are brought here.
    pub bundles: BundleConfig,
    /// How tenants leave for another provider.
    pub migration: MigrationConfig,
    /// Tenants that have moved to another provider.
    pub moved: MovedConfig,
    /// This provider.
    pub provider: ProviderConfig,
    /// When the parts of an operation give up.
    pub timeouts: TimeoutConfig,
}

/// Where the certificates of tenants' machines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsChoice {
    /// An ACME certificate authority.
    Acme,
    /// The machines themselves.
    SelfSigned,
    /// Nowhere: services are served over plain HTTP.
    None,
}

/// What log lines look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// This provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Its name, as customers see it.
    pub name: String,
    /// Where clients and customers reach this daemon; from each request's `Host` when absent.
    pub public_url: Option<String>,
}

/// Bundles that are brought here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BundleConfig {
    /// Where they lie until they are taken in; `bundles` in the data folder when absent.
    pub folder: Option<PathBuf>,
    /// Files with the keys of providers whose signature counts without anybody's word: JWK, JWK Set or PEM.
    pub trusted_signers: Vec<PathBuf>,
}

/// How deployed tenants are checked by themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckConfig {
    /// How often each is checked, in seconds, give or take a tenth; 0 for never.
    pub interval: u64,
    /// How many at once.
    pub parallel: usize,
}

/// When the parts of an operation give up, in seconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutConfig {
    /// Preparing the platform and evaluating.
    pub evaluate: u64,
    /// Building.
    pub build: u64,
    /// Reaching the machine.
    pub connect: u64,
    /// Copying.
    pub copy: u64,
    /// Switching the machine.
    pub activate: u64,
    /// Waiting for health.
    pub verify: u64,
    /// How much longer than that a machine waits for the commit before it puts its previous system back by itself.
    pub dead_man: u64,
    /// Starting the machine anew, until it is back.
    pub reboot: u64,
    /// Copying a tenant's state into its vault, or back.
    pub state: u64,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A value breaks a rule.
    #[error("{field}: {rule}")]
    Value {
        /// The field, or the variable that overrides it.
        field: &'static str,
        /// The rule.
        rule: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8484)),
            data_dir: usual_data_dir(),
            database_url: None,
            platform: REHEARSAL.into(),
            tls: None,
            agent: None,
            log: "info".into(),
            log_format: LogFormat::Pretty,
            parallel_operations: 4,
            keep_generations: 10,
            builders: BuilderConfig::default(),
            checks: CheckConfig::default(),
            vault: VaultConfig::default(),
            bundles: BundleConfig::default(),
            migration: MigrationConfig::default(),
            moved: MovedConfig::default(),
            provider: ProviderConfig::default(),
            timeouts: TimeoutConfig::default(),
        }
    }
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self { name: "Berth".into(), public_url: None }
    }
}

impl Default for CheckConfig {
    fn default() -> Self {
        let engine = berth_engine::CheckOptions::default();
        Self { interval: engine.every.map_or(0, |every| every.as_secs()), parallel: engine.parallel }
    }
}

impl CheckConfig {
    /// For the engine.
    pub fn checks(&self) -> berth_engine::CheckOptions {
        let every = (self.interval > 0).then(|| Duration::from_secs(self.interval));
        berth_engine::CheckOptions { every, parallel: self.parallel }
    }
}

impl Default for TimeoutConfig {
    fn default() -> Self {
        let engine = berth_engine::Timeouts::default();
        Self {
            evaluate: engine.evaluate.as_secs(),
            build: engine.build.as_secs(),
            connect: engine.connect.as_secs(),
            copy: engine.copy.as_secs(),
            activate: engine.activate.as_secs(),
            verify: engine.verify.as_secs(),
            dead_man: engine.dead_man.as_secs(),
            reboot: engine.reboot.as_secs(),
            state: engine.state.as_secs(),
        }
    }
}

impl TimeoutConfig {
    /// For the engine.
    pub fn timeouts(&self) -> berth_engine::Timeouts {
        let seconds = Duration::from_secs;
        berth_engine::Timeouts {
            evaluate: seconds(self.evaluate),
            build: seconds(self.build),
            connect: seconds(self.connect),
            copy: seconds(self.copy),
            activate: seconds(self.activate),
            verify: seconds(self.verify),
            dead_man: seconds(self.dead_man),
            reboot: seconds(self.reboot),
            state: seconds(self.state),
            ..berth_engine::Timeouts::default()
        }
    }
}

/// systemd's `StateDirectory=`, else what suits the user.
fn usual_data_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("STATE_DIRECTORY")
        .or_else(|| set("XDG_DATA_HOME").map(|folder| folder.join("berth")))
        .or_else(|| {
            set("HOME").filter(|home| home != Path::new("/root")).map(|home| home.join(".local/share/berth"))
        })
        .unwrap_or_else(|| PathBuf::from("/var/lib/berth"))
}

impl Config {
    /// Reads the file, if one is given, and the variables.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file or the field.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config = match file {
            Some(path) => Self::of_file(path)?,
            None => Self::default(),
        };
        config.override_by(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))?;
        config.check()?;
        Ok(config)
    }

    fn of_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        // Only the message: toml's own rendering repeats the line, which may hold a password.
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].lines().count().max(1));
            let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
            ConfigError::File { path: path.to_owned(), reason: format!("{place}{}", error.message()) }
        })
    }

    fn override_by(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
        if let Some(text) = variable("BERTH_LISTEN") {
            let rule = "must be an address and a port, such as 127.0.0.1:8484";
            self.listen = text.parse().map_err(|_| value("BERTH_LISTEN", rule))?;
        }
        if let Some(text) = variable("BERTH_LOG_FORMAT") {
            self.log_format = match text.as_str() {
                "pretty" => LogFormat::Pretty,
                "json" => LogFormat::Json,
                _ => return Err(value("BERTH_LOG_FORMAT", "must be pretty or json")),
            };
        }
        if let Some(text) = variable("BERTH_TLS") {
            self.tls = Some(match text.as_str() {
                "acme" => TlsChoice::Acme,
                "self-signed" => TlsChoice::SelfSigned,
                "none" => TlsChoice::None,
                _ => return Err(value("BERTH_TLS", "must be acme, self-signed or none")),
            });
        }
        let set = |name: &str, field: &mut String| {
            if let Some(text) = variable(name) {
                *field = text;
            }
        };
        set("BERTH_PLATFORM", &mut self.platform);
        set("BERTH_LOG", &mut self.log);
        set("BERTH_PROVIDER_NAME", &mut self.provider.name);
        self.data_dir =
            variable("BERTH_DATA_DIR").map(PathBuf::from).unwrap_or(std::mem::take(&mut self.data_dir));
        self.agent = variable("BERTH_AGENT").map(PathBuf::from).or(self.agent.take());
        self.database_url = variable("BERTH_DATABASE_URL").or(self.database_url.take());
        self.provider.public_url = variable("BERTH_PUBLIC_URL").or(self.provider.public_url.take());
        Ok(())
    }

    fn check(&mut self) -> Result<(), ConfigError> {
        self.data_dir =
            std::path::absolute(&self.data_dir).map_err(|error| value("data_dir", error.to_string()))?;
        // Rendered flakes are evaluated from there, and a flake reference cannot hold more (see berth-nix).
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-+~".contains(&b);
        if !self.data_dir.to_str().is_some_and(|path| path.bytes().all(plain)) {
            return Err(value("data_dir", "must be made of letters, digits and / . _ - + ~ only"));
        }
        self.database()?;
        if self.platform == REHEARSAL && self.tls == Some(TlsChoice::Acme) {
            return Err(value(
                "tls",
                "must be self-signed or none, as no authority can reach rehearsal machines",
            ));
        }
        if !(1..=1000).contains(&self.parallel_operations) {
            return Err(value("parallel_operations", "must be between 1 and 1000"));
        }
        if !(1..=1000).contains(&self.keep_generations) {
            return Err(value("keep_generations", "must be between 1 and 1000"));
        }
        if self.checks.interval > 365 * 24 * 60 * 60 || !(1..=1000).contains(&self.checks.parallel) {
            let rule = "interval must be 0 or at most a year of seconds, parallel between 1 and 1000";
            return Err(value("checks", rule));
        }
        if self.provider.name.trim().is_empty() || self.provider.name.chars().any(char::is_control) {
            return Err(value("provider.name", "must not be empty or hold control characters"));
        }
        self.moved.check()?;
        self.builders.check()?;
        self.vault.check()?;
        self.check_public_url()?;
        self.check_timeouts()
    }

    fn check_public_url(&mut self) -> Result<(), ConfigError> {
        let Some(url) = &mut self.provider.public_url else { return Ok(()) };
        url.truncate(url.trim_end_matches('/').len());
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        if rest.is_empty()
            || rest.contains(['?', '#', '@', '"', '<', '>'])
            || rest.contains(char::is_whitespace)
        {
            return Err(value("provider.public_url", "must be a URL such as https://berth.example.org"));
        }
        Ok(())
    }

    fn check_timeouts(&self) -> Result<(), ConfigError> {
        let TimeoutConfig { evaluate, build, connect, copy, activate, verify, dead_man, reboot, state } =
            self.timeouts;
        let good = |seconds: u64| (1..=7 * 24 * 60 * 60).contains(&seconds);
        if [evaluate, build, connect, copy, activate, verify, dead_man, reboot, state].into_iter().all(good) {
            return Ok(());
        }
        Err(value("timeouts", "must each be between 1 second and 7 days (604800)"))
    }

    /// Where the certificates of tenants' machines come from.
    pub fn tls(&self) -> Tls {
        match self.tls {
            Some(TlsChoice::Acme) => Tls::Acme,
            Some(TlsChoice::SelfSigned) => Tls::SelfSigned,
            Some(TlsChoice::None) => Tls::None,
            None if self.platform == REHEARSAL => Tls::None,
            None => Tls::Acme,
        }
    }

    /// The folder in which snapshots are kept, where they are not in a bucket.
    pub fn vault_folder(&self) -> PathBuf {
        self.vault.folder.clone().unwrap_or_else(|| self.data_dir.join("vault"))
    }

    /// The database.
    ///
    /// # Errors
    /// [`ConfigError::Value`], without repeating the URL.
    pub fn database(&self) -> Result<DatabaseUrl, ConfigError> {
        match &self.database_url {
            None => Ok(DatabaseUrl::sqlite(self.data_dir.join("berth.db"))),
            Some(url) => url.parse().map_err(|error| value("database_url", format!("{error}"))),
        }
    }
}

fn value(field: &'static str, rule: impl Into<String>) -> ConfigError {
    ConfigError::Value { field, rule: rule.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("berth.toml");
        std::fs::write(&file, text).unwrap();
        let find =
            |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let load = || {
            let mut config = Config::of_file(&file)?;
            config.override_by(find)?;
            config.check()?;
            Ok(config)
        };
        load().map_err(|error: ConfigError| error.to_string())
    }

    #[test]
    fn variables_override_the_file_and_the_file_the_defaults() {
        let text = "listen = \"127.0.0.1:1\"\nlog = \"debug\"\n[provider]\nname = \"Harbour\"\n[timeouts]\nconnect = 5";
        let config =
            of(text, &[("BERTH_LISTEN", "[::1]:2"), ("BERTH_PUBLIC_URL", "https://b.example/")]).unwrap();
        assert_eq!(config.listen.to_string(), "[::1]:2");
        assert_eq!((config.log.as_str(), config.provider.name.as_str()), ("debug", "Harbour"));
        assert_eq!(config.provider.public_url.as_deref(), Some("https://b.example"));
        assert_eq!(config.timeouts.timeouts().connect, Duration::from_secs(5));
        assert_eq!(config.platform, REHEARSAL);
        assert_eq!(config.tls(), Tls::None);
        assert_eq!(of("platform = \"path:/x\"", &[]).unwrap().tls(), Tls::Acme);
        assert_eq!(of("", &[("BERTH_TLS", "self-signed")]).unwrap().tls(), Tls::SelfSigned);
    }

    #[test]
    fn mistakes_name_their_field() {
        for (text, field) in [
            ("lisen = \"x\"", "unknown field `lisen`"),
            ("listen = 1", "line 1"),
            ("data_dir = \"/a b\"", "data_dir"),
            ("database_url = \"mysql://x\"", "database_url"),
            ("parallel_operations = 0", "parallel_operations"),
            ("tls = \"acme\"", "tls: must be self-signed or none"),
            ("tls = \"selfsigned\"", "unknown variant"),
            ("keep_generations = 0", "keep_generations"),
            ("[vault.s3]\nendpoint = \"x\"", "missing field"),
            (
                "[vault.s3]\nendpoint = \"x\"\nregion = \"r\"\nbucket = \"b\"\naccess_key = \"a\"\nsecret_key_file = \"/x\"",
                "vault.s3.endpoint",
            ),
            ("[vault]\nimport_folder = \"x\"", "vault.import_folder"),
            ("[builders]\nmachines = \"\"", "builders.machines"),
            ("[checks]\nparallel = 0", "checks"),
            ("[provider]\npublic_url = \"b.example\"", "provider.public_url"),
            ("[moved]\nkeep = 9999999999999", "moved.keep"),
            ("[timeouts]\nbuild = 0", "timeouts"),
            ("[timeouts]\ndead_man = 0", "timeouts"),
        ] {
            let error = of(text, &[]).err().unwrap_or_default();
            assert!(error.contains(field), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_database_url_is_never_repeated() {
        let secret = "hunter2";
        let wrong = of(&format!("database_url = \"mysql://u:{secret}@h/d\""), &[]).err().unwrap_or_default();
        assert!(!wrong.is_empty() && !wrong.contains(secret), "{wrong}");
        let syntax =
            of(&format!("database_url = \"postgres://u:{secret}@h/d\nx"), &[]).err().unwrap_or_default();
        assert!(!syntax.is_empty() && !syntax.contains(secret), "{syntax}");
        let good = of(&format!("database_url = \"postgres://u:{secret}@h/d\""), &[]).unwrap();
        assert!(!toml::to_string(&good).unwrap().contains(secret));
    }
}
