//! The first token.

use std::path::{Path, PathBuf};

use berth_api::TokenSecret;
use berth_domain::Scope;
use berth_store::{Store, TokenRecord};
use chrono::{SubsecRound, Utc};
use secrecy::ExposeSecret;

use crate::data_dir::write_private;

/// Where the first token stands.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("admin.token")
}

/// Where there is no token at all, issues one for everything and writes it down for the daemon's user.
///
/// # Errors
/// The database or the folder failed.
pub async fn ensure(store: &Store, data_dir: &Path) -> anyhow::Result<()> {
    if store.count_tokens().await? > 0 {
        return Ok(());
    }
    let secret = TokenSecret::generate()?;
    let record = TokenRecord {
        id: secret.id,
        name: "first administrator".into(),
        scope: Scope::Admin,
        hash: secret.hash(),
        created_at: Utc::now().trunc_subsecs(3),
        expires_at: None,
    };
    // The file first: a daemon that ends in between finds no token in the database and writes another file.
    write_private(&path(data_dir), format!("{}\n", secret.reveal().expose_secret()).as_bytes())?;
    store.create_token(&record, None).await?;
    tracing::info!(file = %path(data_dir).display(), "wrote the first administrator's token");
    Ok(())
}
