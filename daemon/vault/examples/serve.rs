//! A vault of a folder, for a try by hand: `BERTH_VAULT_PASSWORD=… cargo run -p berth-vault --example vault-serve -- FOLDER ADDRESS`
//! serves it at `rest:http://any:PASSWORD@ADDRESS/vault/NAME/`. Whoever knows the password may do everything.

use std::path::PathBuf;
use std::sync::Arc;

use actix_web::{App, HttpServer};
use anyhow::Context as _;
use async_trait::async_trait;
use berth_vault::{Access, Caller, FolderStorage, Gate, Limits, Mode, Refusal, RepositoryName, Vault};
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

struct Password(SecretString);

#[async_trait]
impl Gate for Password {
    async fn admit(&self, _: &RepositoryName, caller: &Caller) -> Result<Access, Refusal> {
        let given = caller.credentials.as_ref().ok_or(Refusal::Unauthorized)?.password.expose_secret();
        if bool::from(given.as_bytes().ct_eq(self.0.expose_secret().as_bytes())) {
            Ok(Access { mode: Mode::Full, quota_bytes: None })
        } else {
            Err(Refusal::Unauthorized)
        }
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().context("no folder is given")?);
    let address = arguments.next().and_then(|text| text.into_string().ok()).context("no address is given")?;
    let password = std::env::var("BERTH_VAULT_PASSWORD").context("BERTH_VAULT_PASSWORD is not set")?;
    let storage = Arc::new(FolderStorage::open(&folder).await?);
    let vault = Vault::new(storage, Arc::new(Password(password.into())), Limits::default());
    let app = move || App::new().configure(berth_vault::routes(vault.clone()));
    HttpServer::new(app).workers(2).bind(address)?.run().await?;
    Ok(())
}
