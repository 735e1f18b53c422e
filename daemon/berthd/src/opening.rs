//! The database, as a daemon begins to use it. One that is away is waited for: a daemon that starts with its host may well be
//! earlier than its database, and one that is killed while that starts anew has nobody to start it at the right time.

use std::time::Duration;

use anyhow::Context as _;
use berth_seal::Keys;
use berth_store::{Presence, Store, StoreError, StoreOptions};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Config;
use crate::{admin_token, secrets_key};

/// How long a database is waited for. Whoever started the daemon is told then, and starts it again or looks.
const PATIENCE: Duration = Duration::from_secs(120);

/// The shortest and the longest wait before it is asked again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The database with its tables, and what a daemon has of it while it runs.
pub struct Opened {
    /// The database.
    pub store: Store,
    /// That this daemon uses it.
    pub presence: Presence,
    /// What its secrets are sealed to.
    pub keys: Keys,
}

/// Opens the database, waiting for one that is away.
///
/// # Errors
/// What cannot pass by itself (no such database, a wrong password, another key), or it stays away for two minutes.
pub async fn wait(config: &Config) -> anyhow::Result<Opened> {
    let end = Instant::now() + PATIENCE;
    let mut pause = PAUSES.0;
    loop {
        let opened = timeout_at(end, open(config)).await;
        match opened.context("the database does not answer")? {
            Err(error) if may_pass(&error) && Instant::now() + pause < end => {
                tracing::warn!(%error, "the database cannot be used yet; waiting for it");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            outcome => return outcome,
        }
    }
}

/// Opens the configured database as it is, without waiting.
///
/// # Errors
/// It cannot be used.
pub async fn store(config: &Config) -> anyhow::Result<Store> {
    Ok(Store::open(&config.database()?, StoreOptions::default()).await?)
}

/// Safe to repeat, as a daemon may be killed in the middle of it.
async fn open(config: &Config) -> anyhow::Result<Opened> {
    let store = store(config).await?;
    store.migrate().await?;
    let presence = store.join().await?;
    let keys = secrets_key::ensure(&store, &config.data_dir).await?;
    admin_token::ensure(&store, &config.data_dir).await?;
    Ok(Opened { store, presence, keys })
}

fn may_pass(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::is_transient)
}
