//! Tenants and machines as a panel would send them.

use std::collections::BTreeMap;

use berth_domain::{MachineDraft, TenantDraft};
use serde_json::{Map, Value, json};

/// A tenant with all three services on a machine, whose name and domain are made from `name`.
pub fn tenant(name: &str, machine: &str) -> TenantDraft {
    TenantDraft {
        name: name.to_owned(),
        domain: format!("{name}.example"),
        contact_email: format!("owner@{name}.example"),
        machine: machine.to_owned(),
        services: BTreeMap::from([
            ("gitea".to_owned(), settings(json!({ "enable": true, "app_name": format!("Git of {name}") }))),
            ("mastodon".to_owned(), settings(json!({ "enable": true }))),
            ("peertube".to_owned(), settings(json!({ "enable": true }))),
        ]),
        ..TenantDraft::default()
    }
}

/// The tenants `t0`, `t1`, … on the machines `m0`, `m1`, …
pub fn many(count: usize) -> impl Iterator<Item = TenantDraft> {
    (0..count).map(|number| tenant(&format!("t{number}"), &format!("m{number}")))
}

/// A machine that nobody ever answers for: its address is one for documentation (RFC 5737), and nobody has the other half
/// of its key.
pub fn absent_machine(name: &str) -> MachineDraft {
    MachineDraft {
        name: name.to_owned(),
        address: "192.0.2.10".to_owned(),
        port: None,
        user: None,
        host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
            .to_owned(),
        driver: None,
    }
}

/// An object of JSON as settings.
///
/// # Panics
/// If it is none.
pub fn settings(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is not an object"),
    }
}
