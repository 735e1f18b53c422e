//! Says that a daemon uses the database, for as long as it runs.

use std::time::Duration;

use anyhow::bail;
use berth_store::{Presence, Store};

/// How often to see whether it is still said.
const LOOK: Duration = Duration::from_secs(10);

/// How long to wait before it is said again.
const AGAIN: Duration = Duration::from_secs(1);

/// Keeps it said, on a new connection where one is lost. Ends only where that is not possible: what daemons must be absent
/// for was done meanwhile.
///
/// # Errors
/// The database is sealed to another key than `recipient` now.
pub async fn keep(store: Store, mut presence: Presence, recipient: String) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(LOOK).await;
        if presence.holds().await {
            continue;
        }
        presence = again(&store).await;
        match store.sealed_to().await {
            Ok(Some(noted)) if noted != recipient => {
                bail!("the database is sealed to another key now: {noted}")
            }
            _ => {}
        }
    }
}

async fn again(store: &Store) -> Presence {
    loop {
        match store.join().await {
            Ok(presence) => return presence,
            Err(error) => {
                tracing::warn!(%error, "cannot say that this daemon uses the database; trying again")
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}
