//! Every service on offer, on a real machine.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::stage::Stage;
use berth_tests::web;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

/// What stands below each service's host on the rehearsal platform: its own answer to whether it is well.
const HEALTH: &[(&str, &str)] = &[
    ("forgejo", "/api/healthz"),
    ("galene", "/public-groups.json"),
    ("garage", "/health"),
    ("gitea", "/api/healthz"),
    ("mastodon", "/api/v1/streaming/health"),
    ("pages", "/"),
    ("peertube", "/api/v1/ping"),
    ("pixelfed", "/api/nodeinfo/2.0.json"),
    ("woodpecker", "/version"),
];

/// Settings that touch what the defaults leave out: secrets of the tenant's own store, several processes, rooms, sites.
fn settings(service: &str) -> Map<String, Value> {
    let value = match service {
        "galene" => json!({ "rooms": [{ "name": "garden", "public": true }] }),
        "mastodon" => json!({ "media_in_own_store": true, "streaming_processes": 2 }),
        "pages" => json!({ "sites": [{ "name": "handbook" }] }),
        "peertube" | "pixelfed" => json!({ "media_in_own_store": true }),
        "woodpecker" => json!({ "forge": "gitea" }),
        _ => json!({}),
    };
    value.as_object().cloned().unwrap_or_default()
}

#[tokio::test]
async fn every_service_on_offer_serves_on_one_machine_and_keeps_its_secrets_from_everybody_else() -> Result<()>
{
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("all").await?;
    let offer: Vec<_> =
        stage.client.services().await?.into_iter().map(|service| service.name.to_string()).collect();
    assert_eq!(
        offer,
        HEALTH.iter().map(|(service, _)| *service).collect::<Vec<_>>(),
        "a service has no line above"
    );
    let mut draft = tenant("acme", "all");
    draft.services =
        offer.iter().map(|service| (service.clone(), settings(service))).collect::<BTreeMap<_, _>>();
    let created = stage.client.create_tenant(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    for (service, path) in HEALTH {
        let url = &created.urls[*service];
        let host = url.strip_prefix("http://").context("a URL")?;
        let page = web::get(&machine, host, path).await?;
        assert_eq!(page.status, StatusCode::OK, "{service}: {}", page.text);
    }
    secrets_are_files_of_their_owners(&machine).await?;

    // Suspended, every host says so, and nothing of it runs.
    draft.mode = Some("suspended".into());
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    for (service, path) in HEALTH {
        let host = created.urls[*service].strip_prefix("http://").context("a URL")?;
        assert_eq!(
            web::get(&machine, host, path).await?.status,
            StatusCode::SERVICE_UNAVAILABLE,
            "{service}"
        );
    }
    let running =
        machine.exec(&["systemctl", "list-units", "--plain", "--no-legend", "--state=running"]).await?;
    let running = String::from_utf8_lossy(&running.stdout).into_owned();
    for unit in ["forgejo", "galene", "garage", "gitea", "mastodon", "peertube.", "pixelfed-", "woodpecker"] {
        let found = running.lines().find(|line| line.starts_with(unit));
        assert!(found.is_none(), "{found:?} still runs");
    }
    Ok(())
}

async fn secrets_are_files_of_their_owners(machine: &Machine) -> Result<()> {
    let found =
        machine.exec(&["find", "/var/lib/berth/secrets", "-type", "f", "-printf", "%u %m %s %P\n"]).await?;
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    let file = |name: &str| {
        found
            .lines()
            .find(|line| line.ends_with(&format!(" {name}")))
            .with_context(|| format!("{name}: {found}"))
    };
    // Bytes of each: hexadecimal digits, words, the key's prefix, a key pair's halves.
    assert!(file("mastodon/secret-key-base")?.starts_with("mastodon 400 128 "));
    assert!(file("mastodon/encryption-primary-key")?.starts_with("mastodon 400 32 "));
    assert!(file("mastodon/vapid-private-key")?.starts_with("mastodon 400 44 "));
    assert!(file("mastodon/vapid-public-key")?.starts_with("mastodon 400 88 "));
    assert!(file("mastodon/object-key-id")?.starts_with("mastodon 400 26 "));
    assert!(file("pixelfed/app-key")?.starts_with("pixelfed 400 51 "));
    assert!(file("garage/rpc-secret")?.starts_with("garage 400 64 "));
    assert!(!found.lines().any(|line| line.split(' ').nth(1) != Some("400")), "{found}");
    let environment = machine.exec(&["cat", "/var/lib/berth/secrets/pixelfed/environment"]).await?;
    let environment = String::from_utf8_lossy(&environment.stdout).into_owned();
    assert!(
        environment.contains("APP_KEY=\"base64:") && environment.contains("AWS_ACCESS_KEY_ID=\"GK"),
        "{environment}"
    );
    let room = machine.exec(&["cat", "/var/lib/galene/groups/garden.json"]).await?;
    let room: Value = serde_json::from_slice(&room.stdout)?;
    assert_eq!(room["users"]["operator"]["password"].as_str().map(str::len), Some(24));
    Ok(())
}
