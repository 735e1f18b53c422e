//! Machines: the hosts that Berth deploys to over SSH.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::driver::Driver;
use crate::hostname::Address;
use crate::invalid::{Invalid, Rule};
use crate::name::MachineName;
use crate::ssh::SshPublicKey;

/// A machine as a client writes it: unchecked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "vm1", "address": "192.0.2.10",
    "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
}))]
pub struct MachineDraft {
    /// Unique name: a DNS label.
    #[schema(value_type = MachineName)]
    pub name: String,
    /// IP address or host name at which SSH answers.
    #[schema(value_type = Address)]
    pub address: String,
    /// SSH port; 22 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub port: Option<u16>,
    /// SSH user; `root` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z_][a-z0-9_-]{0,31}$")]
    pub user: Option<String>,
    /// The machine's SSH host key (as `ssh-keyscan` prints it, without the host); a machine that shows another is refused.
    pub host_key: String,
    /// How deployments reach it; `berth` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Driver>)]
    pub driver: Option<String>,
}

/// A checked machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MachineDraft", into = "MachineDraft")]
pub struct MachineSpec {
    /// Unique name.
    pub name: MachineName,
    /// Where SSH answers.
    pub address: Address,
    /// SSH port.
    pub port: u16,
    /// SSH user.
    pub user: UnixUser,
    /// The pinned host key.
    pub host_key: SshPublicKey,
    /// How deployments reach it.
    pub driver: Driver,
}

impl TryFrom<MachineDraft> for MachineSpec {
    type Error = Invalid;

    fn try_from(draft: MachineDraft) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let name = invalid.take("/name", draft.name.parse());
        let address = invalid.take("/address", draft.address.parse());
        let port = draft.port.unwrap_or(22);
        if port == 0 {
            invalid.push("/port", "port", "must be between 1 and 65535");
        }
        let user = invalid.take("/user", draft.user.unwrap_or_else(|| "root".into()).try_into());
        let host_key = invalid.take("/host_key", draft.host_key.parse());
        let driver = match draft.driver {
            Some(word) => invalid.take("/driver", word.parse()),
            None => Some(Driver::Berth),
        };
        match (name, address, user, host_key, driver) {
            (Some(name), Some(address), Some(user), Some(host_key), Some(driver)) if invalid.is_empty() => {
                Ok(Self { name, address, port, user, host_key, driver })
            }
            _ => Err(invalid),
        }
    }
}

impl From<MachineSpec> for MachineDraft {
    fn from(spec: MachineSpec) -> Self {
        Self {
            name: spec.name.into(),
            address: spec.address.into(),
            port: Some(spec.port),
            user: Some(spec.user.into()),
            host_key: spec.host_key.into(),
            driver: Some(spec.driver.word().to_owned()),
        }
    }
}

/// A Unix user name, as `useradd` accepts it by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnixUser(String);

impl UnixUser {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UnixUser {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        let good = (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.chars().all(inner);
        if good {
            Ok(Self(text))
        } else {
            Err(Rule::new("unix-user", "must be a Unix user name such as root"))
        }
    }
}

impl From<UnixUser> for String {
    fn from(user: UnixUser) -> String {
        user.0
    }
}

/// What the agent found out about a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MachineFacts {
    /// When it was found out, by the machine's own clock.
    pub at: DateTime<Utc>,
    /// `PRETTY_NAME` of `/etc/os-release`.
    #[schema(example = "Debian GNU/Linux 13 (trixie)")]
    pub os: String,
    /// NixOS's version, when the machine runs NixOS.
    pub nixos_version: Option<String>,
    /// Nix's name for processor and kernel, such as `x86_64-linux`.
    #[schema(example = "x86_64-linux")]
    pub system: String,
    /// The kernel's release.
    pub kernel: String,
    /// systemd's version.
    pub systemd_version: Option<String>,
    /// Nix's version.
    pub nix_version: Option<String>,
    /// The agent's version.
    pub agent_version: String,
    /// Number of processors online.
    pub processors: u32,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Memory that new programs could use, in bytes.
    pub memory_available_bytes: u64,
    /// Size of the file system that holds `/nix/store`, in bytes.
    pub disk_bytes: u64,
    /// Space left there, in bytes.
    pub disk_available_bytes: u64,
    /// Size of the file system that holds `/var/lib`, where the services' data is, in bytes.
    #[serde(default)]
    pub data_disk_bytes: u64,
    /// Space left there, in bytes.
    #[serde(default)]
    pub data_disk_available_bytes: u64,
    /// What `/run/current-system` points at: the system that runs.
    pub running_system: Option<String>,
    /// What `/run/booted-system` points at: the system that the machine booted into.
    pub booted_system: Option<String>,
    /// What `/nix/var/nix/profiles/system` resolves to: the system that the next boot runs.
    pub committed_system: Option<String>,
    /// Whether the committed system has parts that only a reboot takes over: another kernel, or another init system.
    #[serde(default)]
    pub needs_reboot: bool,
    /// Names of units that have failed.
    pub failed_units: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn machines_are_checked_field_by_field() {
        let draft: MachineDraft = serde_json::from_value(json!({
            "name": "vm_1", "address": "-oProxyCommand=id", "port": 0, "user": "-l", "host_key": "x",
            "driver": "colmena"
        }))
        .unwrap();
        let invalid = MachineSpec::try_from(draft).unwrap_err();
        let fields: Vec<_> = invalid.errors().iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["/name", "/address", "/port", "/user", "/host_key", "/driver"]);
    }

    #[test]
    fn a_machine_that_was_registered_before_there_were_drivers_has_the_driver_berth() {
        let stored = json!({
            "name": "vm1", "address": "192.0.2.10", "port": 22, "user": "root",
            "host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj"
        });
        let machine: MachineSpec = serde_json::from_value(stored).unwrap();
        assert_eq!(machine.driver, Driver::Berth);
        let other = MachineSpec { driver: Driver::NixosRebuild, ..machine };
        let json = serde_json::to_value(&other).unwrap();
        assert_eq!(json["driver"], "nixos-rebuild");
        assert_eq!(serde_json::from_value::<MachineSpec>(json).unwrap(), other);
    }
}
