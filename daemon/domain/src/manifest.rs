//! What a built system says of itself: `etc/berth/manifest.json` in its closure, written by the modules and
//! obeyed by the agent. No program code knows one service from another; this is where it learns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::name::ServiceName;

pub mod data_version;
pub mod secret;
pub mod state;

pub use data_version::DataVersion;
pub use secret::{Generator, Loss, Secret};
pub use state::{Bucket, Directory, StateContract};

/// Where the manifest stands below a system's store path.
pub const MANIFEST_PATH: &str = "etc/berth/manifest.json";

/// The manifest of one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The format's version: 1.
    pub version: u32,
    /// `nixos`, or `rehearsal` for the stand-in platform.
    pub platform: String,
    /// The tenant, or nothing on a vacant machine.
    pub tenant: Option<String>,
    /// The tenant's mode.
    pub mode: Option<String>,
    /// The enabled services, by name.
    #[serde(default)]
    pub services: BTreeMap<ServiceName, ServiceManifest>,
}

/// What a service says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceManifest {
    /// Its name for people.
    pub title: String,
    /// Where customers open it.
    pub url: String,
    /// Whether this is a stand-in and not the real software.
    #[serde(default)]
    pub stand_in: bool,
    /// The systemd units that must be active while the service runs.
    pub units: Vec<String>,
    /// The requests that prove that it serves; empty in a mode in which it does not.
    pub probes: Vec<Probe>,
    /// What must be kept for the customer.
    pub state: StateContract,
    /// The version that its data is of. It grows whenever the software changes its data in a way that an older version
    /// cannot read; nothing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<DataVersion>,
    /// The secrets that it reads.
    #[serde(default)]
    pub secrets: Vec<Secret>,
    /// Requests and sizes that tell how much is used; the metering reads them.
    #[serde(default)]
    pub usage: Vec<UsageProbe>,
    /// Commands that may be run for the customer, by name.
    #[serde(default)]
    pub commands: BTreeMap<String, Command>,
}

/// An HTTP request through the machine's own web server and what it must answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Probe {
    /// Its name for people, unique within the service.
    pub name: String,
    /// The host that is asked for.
    pub host: String,
    /// `http` or `https`.
    pub scheme: String,
    /// The path, starting with `/`.
    pub path: String,
    /// The expected status code.
    pub status: u16,
    /// Text that the body must contain.
    #[serde(default)]
    pub contains: Option<String>,
    /// Whether only the machine itself can ask, as in a mode that shows visitors something else.
    #[serde(default)]
    pub inside_only: bool,
    /// Whether no authority vouches for the certificate, since the machine made its own: then it has to be that one.
    #[serde(default)]
    pub any_certificate: bool,
}

/// Something that can be measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum UsageProbe {
    /// Size of a database, in bytes.
    DatabaseSize {
        /// The measure's name.
        name: String,
        /// The database.
        database: String,
    },
    /// Size of a directory, in bytes.
    DirectorySize {
        /// The measure's name.
        name: String,
        /// The directory.
        path: String,
    },
}

/// A command that may be run for the customer. Arguments are a vector, never a shell line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// What it does, for people.
    pub title: String,
    /// The program and its arguments; `{name}` stands for the parameter of that name.
    pub argv: Vec<String>,
    /// The user it runs as.
    pub user: String,
    /// Its parameters and the anchored pattern that each must match.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}
