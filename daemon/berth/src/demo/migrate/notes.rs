//! What the services of the rehearsal platform keep: notes, in a database and in files, each chained to the one before, so that
//! nothing can be lost, doubled or changed unseen.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use berth_contract::Tenant;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::super::visit;
use crate::failure::{Failure, Result};

/// What a service keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// The service's host.
    #[serde(default)]
    pub(super) host: String,
    /// How many notes there are.
    pub(super) count: u64,
    /// The newest one's hash, which is made of all before it.
    pub(super) head: String,
    /// Whether none is lost, doubled or changed.
    pub(super) intact: bool,
}

/// The hosts of a tenant's services.
pub(super) fn hosts(tenant: &Tenant) -> Vec<String> {
    let host = |url: &String| Some(Url::parse(url).ok()?.host_str()?.to_owned());
    tenant.urls.values().filter_map(host).collect()
}

/// Has each service keep so many notes.
pub(super) async fn write(machine: Ipv4Addr, hosts: &[String], count: usize) -> Result<()> {
    for host in hosts {
        let client = client(host, machine)?;
        for number in 1..=count {
            let body = json!({ "text": format!("note {number}") });
            let sent = client.post(format!("http://{host}/stand-in/notes")).json(&body).send().await;
            sent.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        }
    }
    Ok(())
}

/// What each service keeps.
pub(super) async fn read(machine: Ipv4Addr, hosts: &[String]) -> Result<Vec<Kept>> {
    let mut all = Vec::new();
    for host in hosts {
        let answer = client(host, machine)?.get(format!("http://{host}/stand-in/notes")).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let kept: Kept = answer.json().await.map_err(failed)?;
        all.push(Kept { host: host.clone(), ..kept });
    }
    Ok(all)
}

/// A client that finds a host at a machine.
pub(super) fn client(host: &str, machine: Ipv4Addr) -> Result<reqwest::Client> {
    visit::client(host, SocketAddr::new(IpAddr::V4(machine), 80))
}

#[allow(clippy::needless_pass_by_value)] // for map_err
fn failed(error: reqwest::Error) -> Failure {
    Failure::local(error.to_string())
}
