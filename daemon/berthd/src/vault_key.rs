//! `vault-key`: what opens a tenant's vault, for whoever reads it with restic itself.

use anyhow::{Context as _, bail};
use berth_domain::TenantName;
use berth_seal::{About, SealError};
use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Config;
use crate::opening;
use crate::secrets_key::Keep;

/// What is wanted.
#[derive(Debug, clap::Args)]
pub struct VaultKey {
    /// The tenant.
    tenant: TenantName,
    /// Print where the repository is, as restic takes it, in place of its key.
    #[arg(long)]
    repository: bool,
}

/// The key, or the repository's place.
///
/// # Errors
/// The tenant has no vault; its key cannot be opened.
pub async fn find(config: &Config, wanted: &VaultKey) -> anyhow::Result<SecretString> {
    let store = opening::store(config).await?;
    let vault = store.vault(&wanted.tenant).await?;
    let vault = vault.with_context(|| format!("{} has no vault: no snapshot was made yet", wanted.tenant))?;
    if wanted.repository {
        return Ok(place(config, &vault.id.to_string()).into());
    }
    let about = About::vault(&vault.id.to_string());
    for keys in Keep::of(&config.data_dir).keys()? {
        match keys.open(&about, &vault.sealed_key) {
            Err(SealError::Open(_)) => {}
            opened => return Ok(opened?),
        }
    }
    bail!("the key of this vault is sealed to another key than the daemon's")
}

fn place(config: &Config, id: &str) -> String {
    match &config.vault.s3 {
        Some(s3) => {
            let parts = [s3.endpoint.trim_end_matches('/'), &s3.bucket, &s3.prefix, id];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!("s3:{}", parts.join("/"))
        }
        None => config.vault_folder().join(id).display().to_string(),
    }
}

/// The text that is printed.
pub fn shown(found: &SecretString) -> &str {
    found.expose_secret()
}
