//! What Berth talks about, as types in which wrong states cannot be built. No I/O.
//!
//! A request arrives as a *draft* ([`TenantDraft`], [`MachineDraft`]): plain strings, whatever a client
//! sent. Checking a draft yields the real thing ([`TenantSpec`], [`MachineSpec`]) or [`Invalid`]: every
//! broken rule at once, each with the JSON pointer of its field. Past that point nobody checks again.
//!
//! | module | subject |
//! | --- | --- |
//! | [`invalid`] | broken rules of a request: field, rule, message |
//! | [`name`] | names that are DNS labels: tenants, machines, services, plans |
//! | [`hostname`] | domains and addresses |
//! | [`contact`] | e-mail addresses |
//! | [`ssh`] | SSH public keys |
//! | [`setting`] | the values a service's settings are made of: what JSON and Nix both can say |
//! | [`tenant`] | a customer's unit: name, domain, machine, mode, services |
//! | [`machine`] | a host that Berth deploys to, and what is known of it |
//! | [`driver`] | how deployments reach a machine |
//! | [`network`], [`window`] | where administrators come from; when a machine may be worked on |
//! | [`catalogue`] | the services on offer, as the modules describe them |
//! | [`manifest`] | what a built system says of itself to the agent |
//! | [`condition`] | what a check of a deployed tenant found |
//! | [`revision`] | an immutable rendered configuration |
//! | [`snapshot`] | a tenant's state at one instant |
//! | [`backup`] | when snapshots are made by themselves, and which are kept |
//! | [`drill`] | a snapshot tried out on a machine that is free |
//! | [`rehearsal`] | a copy of a tenant that wants to move, tried out and thrown away |
//! | [`operation`] | a long-running job and its steps |
//! | [`bundle`] | a bundle that is brought here, so that a tenant is made of it |
//! | [`preview`] | what a deployment would change |
//! | [`event`] | what an operation reports, numbered |
//! | [`rollout`] | the same change to many tenants, in waves |
//! | [`progress`] | how far something is, or that this is unknown |
//! | [`token`] | who may do what |
//! | [`redact`] | what is shown of texts that may hold secrets |

pub mod backup;
pub mod bundle;
pub mod catalogue;
pub mod condition;
pub mod contact;
pub mod drill;
pub mod driver;
pub mod event;
pub mod hostname;
pub mod invalid;
pub mod machine;
pub mod manifest;
pub mod migration;
pub mod name;
pub mod network;
pub mod offsite;
pub mod operation;
pub mod preview;
pub mod progress;
pub mod redact;
pub mod rehearsal;
pub mod revision;
pub mod rollout;
pub mod setting;
pub mod snapshot;
pub mod ssh;
pub mod tenant;
pub mod token;
pub mod window;

pub use backup::{BackupDraft, BackupFailure, BackupPlan, Backups, DrillPlan, LastWhole, Pause};
pub use bundle::{
    BundleAbout, BundleId, BundleRefusal, BundleStatus, BundledBucket, BundledService, IncomingBundle,
    TakenIn,
};
pub use catalogue::Catalogue;
pub use condition::{Condition, Finding, FindingKind};
pub use drill::{Drill, DrillOutcome, DrilledService};
pub use driver::Driver;
pub use event::{Event, EventKind};
pub use hostname::{Address, DomainName};
pub use invalid::{FieldError, Invalid};
pub use machine::{MachineDraft, MachineFacts, MachineSpec};
pub use manifest::Manifest;
pub use migration::{Arrival, Departure, MigrationId, MovePhase, Obstacle};
pub use name::{Label, MachineName, PlanName, ServiceName, TenantName};
pub use network::Network;
pub use offsite::{OffsiteService, OffsiteSnapshot, OffsiteTenant, OffsiteVault};
pub use operation::{Operation, OperationId, OperationKind, OperationStatus, Step, StepName, StepStatus};
pub use preview::Preview;
pub use progress::Progress;
pub use rehearsal::{CopyTimes, Rehearsal, RehearsedService};
pub use revision::{Revision, RevisionId};
pub use rollout::{
    Rollout, RolloutDraft, RolloutEvent, RolloutId, RolloutSpec, RolloutStatus, RolloutTenant,
};
pub use setting::{SealedSecret, Setting};
pub use snapshot::{
    CapturedBucket, CapturedService, Snapshot, SnapshotId, SnapshotPart, TenantPart, VaultId,
};
pub use tenant::{Mode, ServiceSelection, TenantDraft, TenantSpec};
pub use token::{Permission, Scope, TokenId};
pub use window::MaintenanceWindow;

/// An instant, always in UTC; written as RFC 3339 with milliseconds.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
