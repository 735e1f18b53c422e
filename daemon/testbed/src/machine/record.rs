//! What is written down of a machine before it is made.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use berth_domain::MachineName;
use serde::{Deserialize, Serialize};

use crate::network::Network;

/// A machine as `machine.json` has it: enough to find all that belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineRecord {
    /// Its name, which is its host name as well.
    pub name: MachineName,
    pub(crate) network: Network,
    /// What is written where the network is claimed; a network that is taken anew has another.
    pub(crate) claim: String,
    /// Where its tree is mounted.
    pub root: PathBuf,
    /// Where what it writes is kept.
    pub(crate) disk: PathBuf,
    /// The groups that its processes are in.
    #[serde(default)]
    pub(crate) cgroups: Vec<PathBuf>,
}

impl MachineRecord {
    /// Its address, which the host reaches.
    pub fn address(&self) -> Ipv4Addr {
        self.network.machine_address()
    }

    /// What systemd-nspawn calls it; unlike the host name unique on the host.
    pub(crate) fn nspawn_name(&self) -> String {
        self.network.namespace()
    }
}
