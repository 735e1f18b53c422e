//! The tenant that is deployed.

use berth_client::Client;
use berth_contract::Tenant;
use berth_domain::{MachineDraft, MachineName, OperationStatus, TenantDraft, TenantName};
use serde_json::{Map, Value, json};

use super::stage::Stage;
use crate::failure::{Failure, Result};
use crate::progress::{Shown, follow};

/// Its name.
pub(super) const NAME: &str = "acme";

const MACHINE: &str = "vm1";

pub(super) fn machine_name() -> Result<MachineName> {
    MACHINE.parse().map_err(refused)
}

pub(super) fn name() -> Result<TenantName> {
    NAME.parse().map_err(refused)
}

/// A name that is none.
pub(super) fn refused(rule: berth_domain::invalid::Rule) -> Failure {
    Failure::local(rule.message)
}

/// Registers the machine and creates the tenant on it.
pub(super) async fn create(stage: &Stage) -> Result<Tenant> {
    let host_key = stage.machine.host_key().to_string();
    create_at(&stage.client, stage.machine.address().to_string(), host_key).await
}

/// The same for a machine that is elsewhere.
pub(super) async fn create_at(client: &Client, address: String, host_key: String) -> Result<Tenant> {
    register(client, MACHINE, address, host_key).await?;
    Ok(client.create_tenant(&draft()).await?)
}

/// Registers a machine with a daemon.
pub(super) async fn register(client: &Client, name: &str, address: String, host_key: String) -> Result<()> {
    let name = name.to_owned();
    let machine = MachineDraft { name, address, port: None, user: None, host_key, driver: None };
    client.create_machine(&machine).await?;
    Ok(())
}

/// What it is to be.
pub(super) fn draft() -> TenantDraft {
    let settings = |value: Value| match value {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    TenantDraft {
        name: NAME.to_owned(),
        domain: "acme.example".to_owned(),
        contact_email: "ann@acme.example".to_owned(),
        machine: MACHINE.to_owned(),
        services: [
            ("gitea", json!({"app_name": "Acme Git", "landing_page": "explore"})),
            ("mastodon", json!({})),
            ("peertube", json!({"instance_name": "Acme Video"})),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), settings(value)))
        .collect(),
        ..TenantDraft::default()
    }
}

/// Deploys it, and shows how that comes along.
pub(super) async fn deploy(client: &Client, shown: &mut Shown) -> Result<()> {
    let operation = client.deploy(&name()?).await?;
    let ended = follow(client, &operation, 0, shown).await?;
    if ended.status == OperationStatus::Succeeded {
        return Ok(());
    }
    Err(Failure::Operation(Box::new(ended)))
}

/// It, as the daemon has it now.
pub(super) async fn look(client: &Client) -> Result<Tenant> {
    Ok(client.tenant(&name()?).await?)
}
