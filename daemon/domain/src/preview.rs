//! What a deployment would change.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::operation::words;
use crate::revision::RevisionId;

/// What deploying a tenant would change, as it was found when the operation that asked looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Preview {
    /// The revision that would be deployed; it is not kept.
    pub revision: RevisionId,
    /// The revision that was deployed last, with which the files are compared; absent before the first deployment.
    pub deployed_revision: Option<RevisionId>,
    /// The store path of the system that would be deployed.
    pub system: String,
    /// The one that was deployed last, with which the packages are compared.
    pub deployed_system: Option<String>,
    /// The configuration's files that would differ, by path.
    pub files: Vec<FileChange>,
    /// The packages that would come, go or change; absent where `missing` says why.
    pub closure: Option<ClosureChange>,
    /// What would happen on the machine; absent where `missing` says why.
    pub machine: Option<MachineChange>,
    /// The parts that could not be had.
    pub missing: Vec<MissingPart>,
}

impl Preview {
    /// Whether a deployment would change nothing, as far as every part is known.
    pub fn is_empty(&self) -> bool {
        let closure = self.closure.as_ref().is_some_and(|closure| closure.packages.is_empty());
        let machine = self.machine.as_ref().is_some_and(MachineChange::is_empty);
        self.files.is_empty() && closure && machine && self.deployed_system.as_ref() == Some(&self.system)
    }
}

/// A file of the configuration that would differ. What customers gave in confidence is not in these files: a number
/// stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileChange {
    /// Its path in the flake.
    #[schema(example = "tenant.nix")]
    pub path: String,
    /// The difference as a unified diff, with three lines around each change.
    pub diff: String,
}

/// How the store paths of two systems differ, all that they refer to included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClosureChange {
    /// The size of the deployed system in bytes; 0 before the first deployment.
    pub bytes_before: u64,
    /// The size of the system that would be deployed, in bytes.
    pub bytes_after: u64,
    /// Packages whose versions or sizes differ, by name.
    pub packages: Vec<PackageChange>,
}

/// A package that differs between two systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageChange {
    /// Its name, without version.
    #[schema(example = "nginx")]
    pub name: String,
    /// The versions that the deployed system has; empty for a package that is new. A package that has no version counts
    /// as one whose version is empty.
    pub before: Vec<String>,
    /// The versions that the other system has; empty for a package that would go.
    pub after: Vec<String>,
    /// By how many bytes it would grow (or shrink, when negative).
    pub bytes: i64,
}

/// What switching would do on a machine, as its own `switch-to-configuration dry-activate` tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MachineChange {
    /// Units that would stop.
    pub stop: Vec<String>,
    /// Units that would start.
    pub start: Vec<String>,
    /// Units that would restart.
    pub restart: Vec<String>,
    /// Units that would reload.
    pub reload: Vec<String>,
    /// Units that have changed and would be left as they are until they are started anew.
    pub left: Vec<String>,
    /// Why the machine has to be rebooted for all of it to take effect; empty when it need not be.
    pub reboot: Vec<RebootReason>,
}

impl MachineChange {
    /// Whether nothing would happen.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

words! {
    /// Why a reboot would be needed.
    RebootReason {
        /// The switch itself is refused until then: the init system's interface has changed.
        Init = "init",
        /// Another kernel would boot.
        Kernel = "kernel",
        /// Other kernel modules would be there.
        Modules = "modules",
        /// Another initial ramdisk would boot.
        Initrd = "initrd",
        /// The kernel would be given other parameters.
        Parameters = "parameters",
    }
}

words! {
    /// A part of a preview that may be missing.
    PreviewPart {
        /// The packages.
        Closure = "closure",
        /// What would happen on the machine.
        Machine = "machine",
    }
}

/// A part of a preview that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MissingPart {
    /// Which.
    pub part: PreviewPart,
    /// A stable name, as in an operation's error.
    #[schema(example = "machine-unreachable")]
    pub code: String,
    /// Why, for a person.
    pub message: String,
}
