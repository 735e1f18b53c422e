//! Connections to PostgreSQL, through tokio-postgres: no libpq.
//!
//! `sslmode` decides on TLS: `disable` never uses it and `require` always does. With `prefer`, or without the
//! option, a server on this host (a Unix socket or a loopback address) is spoken to in the clear, and any other must
//! have TLS. Certificates are always verified against the system's (`SSL_CERT_FILE` adds a private authority), which
//! is more than libpq does with `require`. There is no falling back to plain text.

use std::net::IpAddr;
use std::sync::Arc;

use diesel::{ConnectionError, ConnectionResult};
use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::bb8::Pool;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, NoTlsStream};
use tokio_postgres::{Client, Config, Connection, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{DatabaseError, StoreError};
use crate::news::Line;
use crate::pool::StoreOptions;
use crate::url::DatabaseUrl;

/// A connection to PostgreSQL.
pub(crate) type PgConn = AsyncPgConnection;

/// Opens the pool; fails when the server cannot be reached.
pub(crate) async fn open(
    url: &DatabaseUrl,
    config: &Config,
    options: &StoreOptions,
) -> Result<Pool<PgConn>, StoreError> {
    let mut config = config.clone();
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.acquire_timeout);
    }
    // Asked once directly: the pool would only say that it waited for too long.
    connect(&config).await.map_err(|error| no_connection(url, &error))?;
    let mut manager = ManagerConfig::default();
    // The manager gets no URL: it would keep the password in clear.
    manager.custom_setup = Box::new(move |_| {
        let config = config.clone();
        Box::pin(async move { connect(&config).await })
    });
    Pool::builder()
        .max_size(options.connections)
        .connection_timeout(options.acquire_timeout)
        .build(AsyncDieselConnectionManager::new_with_config("", manager))
        .await
        .map_err(|error| {
            DatabaseError::Unreachable { database: url.to_string(), reason: error.to_string() }.into()
        })
}

/// A connection of its own, outside of the pool.
pub(crate) async fn connect(config: &Config) -> ConnectionResult<PgConn> {
    if plain(config) {
        let (client, connection) = in_the_clear(config).await?;
        return PgConn::try_from_client_and_connection(client, connection).await;
    }
    let (client, connection) = with_tls(config).await?;
    PgConn::try_from_client_and_connection(client, connection).await
}

/// A connection on which news come.
pub(crate) async fn listen(config: &Config) -> ConnectionResult<Line> {
    let line = if plain(config) {
        let (client, connection) = in_the_clear(config).await?;
        Line::of(client, connection).await
    } else {
        let (client, connection) = with_tls(config).await?;
        Line::of(client, connection).await
    };
    line.map_err(|error| failed(&error))
}

type Connected<T> = ConnectionResult<(Client, Connection<Socket, T>)>;

async fn in_the_clear(config: &Config) -> Connected<NoTlsStream> {
    let mut config = config.clone();
    config.ssl_mode(SslMode::Disable);
    config.connect(NoTls).await.map_err(|error| failed(&error))
}

async fn with_tls(config: &Config) -> Connected<<MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream> {
    let mut config = config.clone();
    config.ssl_mode(SslMode::Require);
    let tls = tls().map_err(|error| ConnectionError::BadConnection(format!("TLS: {error}")))?;
    config.connect(tls).await.map_err(|error| failed(&error))
}

/// Why there is no connection: the server cannot be reached, or lets nobody in as we are.
pub(crate) fn no_connection(url: &DatabaseUrl, error: &ConnectionError) -> StoreError {
    let (database, reason) = (url.to_string(), error.to_string());
    match error {
        ConnectionError::InvalidConnectionUrl(_) => DatabaseError::Unusable { database, reason },
        _ => DatabaseError::Unreachable { database, reason },
    }
    .into()
}

fn plain(config: &Config) -> bool {
    match config.get_ssl_mode() {
        SslMode::Disable => true,
        SslMode::Prefer => {
            config.get_hosts().iter().all(is_here) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
        }
        _ => false,
    }
}

fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

fn tls() -> Result<MakeRustlsConnect, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_platform_verifier()?
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// tokio-postgres names the cause only in the error's source.
fn failed(error: &tokio_postgres::Error) -> ConnectionError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let no_tls = text.contains("server does not support TLS");
    if no_tls {
        text.push_str("; sslmode=disable in the URL permits plain text");
    }
    // Diesel's word for what stays so for as long as the URL does.
    match no_tls || error.code().is_some_and(refuses) {
        true => ConnectionError::InvalidConnectionUrl(text),
        false => ConnectionError::BadConnection(text),
    }
}

/// Whether this is the fault of what the URL names: classes 28 (authorization) and 3D (no such database).
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn refuses(code: &SqlState) -> bool {
    ["28", "3D"].iter().any(|class| code.code().starts_with(class))
}
