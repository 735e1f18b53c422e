//! A tenant in standby that is to be made of what somebody brought: of a bundle, or of a repository.

use std::collections::BTreeMap;

use berth_domain::{Mode, Operation, OperationKind};
use berth_protocol::{DirectoryFingerprint, Fingerprint, ServiceFingerprint};
use chrono::Utc;
use serde_json::json;

use crate::stage::Stage;

/// What the one directory of the service `web` comes to.
pub fn there(sha256: String) -> Fingerprint {
    let directory = DirectoryFingerprint { files: 1, bytes: 5, sha256 };
    let directories = BTreeMap::from([("/var/lib/web".to_owned(), directory)]);
    let web = ServiceFingerprint { directories, ..ServiceFingerprint::default() };
    Fingerprint { services: BTreeMap::from([("web".parse().unwrap(), web)]) }
}

/// A tenant of the service `web`, on whose machine the directory comes to this once it was restored.
pub async fn awaited(found: Fingerprint) -> Stage {
    let stage = Stage::set_up().await;
    let directory = json!({"path": "/var/lib/web", "owner": "web", "group": "web", "mode": "0750"});
    let web = json!({
        "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [], "data_version": "4.3",
        "state": {"databases": ["web"], "directories": [directory]}
    });
    let services = BTreeMap::from([("web".parse().unwrap(), serde_json::from_value(web).unwrap())]);
    *stage.world.services.lock().unwrap() = services;
    *stage.world.state.fingerprint.lock().unwrap() = Some(found);
    let record = stage.store.tenant(&"acme".parse().unwrap()).await.unwrap();
    let spec = berth_domain::TenantSpec { mode: Mode::Standby, ..record.spec };
    stage.store.update_tenant(&spec, Some(record.version), Utc::now()).await.unwrap();
    stage
}

/// The operation that makes it, which nobody has submitted.
pub fn operation() -> Operation {
    let (tenant, machine) = ("acme".parse().unwrap(), "vm1".parse().unwrap());
    Operation::queued(tenant, machine, OperationKind::TakeIn, false, "test".into(), Utc::now())
}

pub fn code(operation: &Operation) -> &str {
    operation.error.as_ref().map_or("", |error| &error.code)
}

pub async fn mode(stage: &Stage) -> Mode {
    stage.store.tenant(&"acme".parse().unwrap()).await.unwrap().spec.mode
}
