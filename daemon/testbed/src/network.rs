//! A machine's network: a namespace, a pair of virtual interfaces, a subnet of its own.
//!
//! Network *N* is 10.77.*N*.0/24: the host is .1 on interface `berthN`, the machine .2 on `host0` inside the
//! namespace `berth-N`. The host forwards between such interfaces (only what arrives on them: its other
//! interfaces are left as they are), so machines reach each other.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::Call;
use crate::error::{Context, Result};

const TIMEOUT: Duration = Duration::from_secs(10);

/// The machine's interface, by the name that systemd-nspawn's own use.
const INSIDE: &str = "host0";

/// A network by its number; there is at most one machine in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Network(pub(crate) u8);

impl Network {
    pub(crate) fn host_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.0, 1)
    }

    pub(crate) fn machine_address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, self.0, 2)
    }

    pub(crate) fn namespace(self) -> String {
        format!("berth-{}", self.0)
    }

    pub(crate) fn interface(self) -> String {
        format!("berth{}", self.0)
    }

    pub(crate) fn namespace_path(self) -> PathBuf {
        PathBuf::from("/run/netns").join(self.namespace())
    }

    /// Whether the host has nothing of that name yet.
    pub(crate) fn is_unused(self) -> bool {
        !self.namespace_path().exists() && !self.interface_path().exists()
    }

    fn interface_path(self) -> PathBuf {
        PathBuf::from("/sys/class/net").join(self.interface())
    }

    /// Makes the namespace and connects it.
    pub(crate) async fn create(self) -> Result<()> {
        let (namespace, interface) = (self.namespace(), self.interface());
        let (host, machine) =
            (format!("{}/24", self.host_address()), format!("{}/24", self.machine_address()));
        ip(&["netns", "add", &namespace]).await?;
        ip(&["link", "add", &interface, "type", "veth", "peer", "name", INSIDE, "netns", &namespace]).await?;
        ip(&["address", "add", &host, "dev", &interface]).await?;
        ip(&["link", "set", &interface, "up"]).await?;
        ip(&["-n", &namespace, "link", "set", "lo", "up"]).await?;
        ip(&["-n", &namespace, "address", "add", &machine, "dev", INSIDE]).await?;
        self.plug_in().await?;
        self.keep_neighbour().await?;
        let forwarding = format!("/proc/sys/net/ipv4/conf/{interface}/forwarding");
        std::fs::write(&forwarding, "1").context(|| format!("cannot write {forwarding}"))
    }

    /// Makes the host remember the machine's hardware address for good: packets to an unplugged machine then
    /// vanish, as on a broken line, instead of being refused by the host after a failed look-up.
    async fn keep_neighbour(self) -> Result<()> {
        let shown = ip(&["-n", &self.namespace(), "-json", "link", "show", INSIDE]).await?;
        let links: Vec<Link> = serde_json::from_slice(&shown)
            .map_err(std::io::Error::from)
            .context(|| "cannot read what ip shows".to_owned())?;
        let (address, interface) = (self.machine_address().to_string(), self.interface());
        for link in links {
            let hardware = link.address;
            ip(&[
                "neighbour",
                "replace",
                &address,
                "lladdr",
                &hardware,
                "dev",
                &interface,
                "nud",
                "permanent",
            ])
            .await?;
        }
        Ok(())
    }

    /// Takes the machine's end down, as if a cable was pulled. Safe to repeat.
    pub(crate) async fn unplug(self) -> Result<()> {
        ip(&["-n", &self.namespace(), "link", "set", INSIDE, "down"]).await.map(drop)
    }

    /// Brings the machine's end up again, and its way out. Safe to repeat.
    pub(crate) async fn plug_in(self) -> Result<()> {
        let (namespace, host) = (self.namespace(), self.host_address().to_string());
        ip(&["-n", &namespace, "link", "set", INSIDE, "up"]).await?;
        ip(&["-n", &namespace, "route", "replace", "default", "via", &host]).await.map(drop)
    }

    /// Takes interfaces and namespace away, as far as they are there.
    pub(crate) fn remove(self) -> Result<()> {
        // The interface first and by itself: with the namespace it would go, but some time later.
        if self.interface_path().exists() {
            Call::new("ip", ["link", "delete", &self.interface()])?.run_now()?;
        }
        if self.namespace_path().exists() {
            Call::new("ip", ["netns", "delete", &self.namespace()])?.run_now()?;
        }
        Ok(())
    }
}

/// What `ip -json link show` says, as far as it is needed.
#[derive(Deserialize)]
struct Link {
    address: String,
}

async fn ip(arguments: &[&str]) -> Result<Vec<u8>> {
    Ok(Call::new("ip", arguments)?.run(TIMEOUT).await?.stdout)
}
