//! Where the agent keeps what it must know again.

/// What is gone after a boot, when nothing can be going on.
pub(crate) const VOLATILE: &str = "/run/berth";

/// What became of activations; a file for each operation.
pub(crate) const RECORDS: &str = "/var/lib/berth/activations";

/// The highest fencing number that was seen.
pub(crate) const FENCE: &str = "/var/lib/berth/fence";

/// The operation that asked for a reboot last, and the boot in which it did.
pub(crate) const REBOOT: &str = "/var/lib/berth/reboot";

/// The boot in which the store was looked at last; or that it was found damaged.
pub(crate) const STORE_CHECKED: &str = "/var/lib/berth/store-checked";

/// Stands while the profile may name a system whose boot entry was not made yet; holds the system's path.
pub(crate) const COMMIT_UNFINISHED: &str = "/var/lib/berth/commit-unfinished";

/// The versions of the services' data.
pub(crate) const DATA_VERSIONS: &str = "/var/lib/berth/data-versions.json";

/// What keeps store paths from being collected as garbage while a dead-man timer needs them.
pub(crate) const ROOTS: &str = "/nix/var/nix/gcroots/berth";

/// What became of captures and restores; a file for each.
pub(crate) const STATE_RECORDS: &str = "/var/lib/berth/state";

/// What is written down of a service for its snapshot, below a folder for each operation.
pub(crate) const CAPTURE: &str = berth_delta::STAGING;

/// What was read from snapshots and is no directory of a service, below a folder for each operation.
pub(crate) const RESTORE: &str = "/var/lib/berth/restore";

/// Sums of files' contents, kept from one look to the next; a file for each directory.
pub(crate) const SUMS: &str = "/var/lib/berth/sums";

/// What the directories of services held at the last pass that somebody follows; a file for each service.
pub(crate) const LISTINGS: &str = "/var/lib/berth/listings";

/// Stands while the database server may keep for a follower what changes.
pub(crate) const SLOTS: &str = "/var/lib/berth/slots";

/// What restic keeps to be quicker the next time.
pub(crate) const RESTIC_CACHE: &str = "/var/cache/berth/restic";
