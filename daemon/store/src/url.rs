//! Where the database is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio_postgres::config::Host;

/// Where the database is: `sqlite:PATH`, a plain path, or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
///
/// Neither `Debug` nor `Display` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub(crate) Kind);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite(PathBuf),
    Postgres(Box<tokio_postgres::Config>),
}

/// Why a text is no database URL. It does not repeat the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// Nothing was given.
    #[error("the database URL is empty; write sqlite:PATH or postgres://USER@HOST/DATABASE")]
    Empty,
    /// Another kind of database.
    #[error("Berth knows sqlite: and postgres: databases, not {0}:")]
    UnknownScheme(String),
    /// SQLite's in-memory databases belong to one connection.
    #[error("an SQLite database needs a file: several connections share it")]
    InMemory,
    /// PostgreSQL's other notation, which would be taken for the name of a file.
    #[error(
        "write a PostgreSQL database as postgres://USER:PASSWORD@HOST/DATABASE, not as keywords with values"
    )]
    Keywords,
    /// What comes behind the host holds an `@`, so that the password was probably cut in the middle.
    #[error(
        "the PostgreSQL URL has an “@” behind its host; in a password, write / as %2F, ? as %3F and # as %23"
    )]
    Unencoded,
    /// PostgreSQL's URL cannot be read.
    #[error("the PostgreSQL URL cannot be read: {0}")]
    Postgres(String),
}

impl DatabaseUrl {
    /// An SQLite database in a file.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        Self(Kind::Sqlite(path.into()))
    }

    /// The file of an SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Kind::Sqlite(path) => Some(path),
            Kind::Postgres(_) => None,
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let scheme = text.split_once(':').map(|(scheme, _)| scheme);
        let is_scheme = |s: &&str| s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
        match scheme.filter(is_scheme) {
            Some("postgres" | "postgresql") => postgres(text),
            Some("sqlite") => sqlite(text["sqlite:".len()..].trim_start_matches("//")),
            Some(other) => Err(InvalidDatabaseUrl::UnknownScheme(other.into())),
            None => sqlite(text),
        }
    }
}

fn sqlite(path: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
    match path {
        "" => Err(InvalidDatabaseUrl::Empty),
        ":memory:" => Err(InvalidDatabaseUrl::InMemory),
        path if is_keywords(path) => Err(InvalidDatabaseUrl::Keywords),
        path => Ok(DatabaseUrl::sqlite(path)),
    }
}

/// Whether a text is written as libpq's `host=… user=… password=…`.
fn is_keywords(text: &str) -> bool {
    let names = text.match_indices('=').filter_map(|(at, _)| text[..at].split_whitespace().last());
    names.into_iter().any(|name| matches!(name, "host" | "hostaddr" | "user" | "password" | "dbname"))
}

fn postgres(text: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let behind = authority.split_once(['/', '?', '#']).map_or("", |(_, behind)| behind);
    if behind.contains('@') {
        return Err(InvalidDatabaseUrl::Unencoded);
    }
    let config = text.parse::<tokio_postgres::Config>().map_err(|error| {
        // The source names the option; it repeats no value.
        let source = std::error::Error::source(&error).map(|source| format!(" ({source})"));
        InvalidDatabaseUrl::Postgres(format!("{error}{}", source.unwrap_or_default()))
    })?;
    Ok(DatabaseUrl(Kind::Postgres(Box::new(config))))
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Kind::Postgres(config) => {
                let hosts: Vec<_> = config.get_hosts().iter().map(host).collect();
                let ports: Vec<_> = config.get_ports().iter().map(u16::to_string).collect();
                f.write_str("postgres://")?;
                if let Some(user) = config.get_user() {
                    write!(f, "{user}@")?;
                }
                write!(f, "{}", hosts.join(","))?;
                if !ports.is_empty() {
                    write!(f, ":{}", ports.join(","))?;
                }
                write!(f, "/{}", config.get_dbname().unwrap_or_default())
            }
        }
    }
}

fn host(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(path) => path.display().to_string(),
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}
