//! What the routes take, beside the domain's drafts.

use std::collections::BTreeSet;

use berth_domain::{MachineName, PlanName, RevisionId, ServiceName, TenantName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::patch::ServicesPatch;

/// A deployment to be made: of the tenant as it is specified now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// Only find out what would change: the operation is a `preview`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A rollback to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRollback {
    /// The revision to go back to; the one that was deployed before the one that is deployed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_revision: Option<RevisionId>,
}

/// A machine to be started anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReboot {
    /// Only within the tenant's maintenance window; outside of it the request is refused, and says when the next one begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_window: bool,
}

/// A snapshot to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSnapshot {}

/// A snapshot to be put in place of a tenant's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRestore {
    /// The snapshot.
    pub snapshot: Uuid,
    /// The tenant whose state it is put in place of, where that is another one: it gets a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<TenantName>,
}

/// A snapshot to be tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDrill {
    /// The machine that is lent for it: registered, and no tenant's.
    pub machine: MachineName,
    /// The snapshot; the newest whole one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
}

/// A bundle to be made of everything that a tenant owns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExport {
    /// The snapshot that it is made of; a new one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
    /// The age recipient (`age1…`) that secrets are sealed to; without one, no secrets are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
}

/// A bundle that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBundle {
    /// How many bytes it has.
    pub size: u64,
}

/// A tenant that is to be made of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// The machine that the tenant comes to.
    pub machine: MachineName,
    /// What the tenant is to be called here; what it was called when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TenantName>,
    /// Its domain here; the one that it had when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The plan that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// What differs from the bundle's settings, as a merge patch (RFC 7396) to a tenant's `services`; what was given in confidence
    /// is in no bundle, and is given anew here.
    #[serde(default, skip_serializing_if = "ServicesPatch::is_empty")]
    #[schema(value_type = Object)]
    pub services: ServicesPatch,
    /// The thumbprint of the key that the bundle is signed with, where that is not a trusted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_signer: Option<String>,
    /// The secrets that are sealed in the bundle, in clear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<BroughtSecret>,
    /// Whether it is taken in although secrets of it are missing: services make new ones, and what the old ones opened stays
    /// closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_secrets: bool,
    /// Whether the services are started at the end, and objects come back into buckets. A bundle is a copy: whoever says so knows that
    /// nobody else serves the tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub go_live: bool,
}

impl NewImport {
    /// Onto a machine, with everything else as it is when absent.
    pub fn onto(machine: MachineName) -> Self {
        Self {
            machine,
            name: None,
            domain: None,
            plan: None,
            services: ServicesPatch::default(),
            accept_signer: None,
            secrets: Vec::new(),
            without_secrets: false,
            go_live: false,
        }
    }
}

/// A secret of a bundle, opened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BroughtSecret {
    /// The service.
    pub service: String,
    /// The secret's name.
    pub name: String,
    /// The secret.
    #[schema(format = Password)]
    pub value: String,
}

impl std::fmt::Debug for BroughtSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { service, name, .. } = self;
        f.debug_struct("BroughtSecret").field("service", service).field("name", name).finish_non_exhaustive()
    }
}

/// A token to be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "panel", "scope": "tenant:acme:read", "expires_in_seconds": 86400}))]
pub struct NewToken {
    /// What it is for, for people: 1 to 100 characters.
    pub name: String,
    /// What it opens: `admin`, `operator`, `tenant:NAME:read` or `tenant:NAME:write`.
    pub scope: String,
    /// After how many seconds it stops working; never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A link for a customer to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWatchLink {
    /// After how many seconds it stops working: 60 to 2592000 (30 days); a day when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

/// A wish to pause a rollout, or to go on with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWish {}

/// A wish to end a rollout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAbortion {
    /// Whether the deployments that run are asked to stop as well; they end by themselves when absent.
    #[serde(default)]
    pub cancel_operations: bool,
}

/// A wish to have a tenant checked now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCheck {}

/// A wish to stop an operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCancellation {}

/// A ticket to be issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTicket {
    /// The machine that the tenant comes to.
    pub machine: MachineName,
    /// What the tenant is to be called here; what it is called at its old provider when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantName>,
    /// The plan that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// The only services that it may bring; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub services: Option<BTreeSet<ServiceName>>,
    /// How many bytes it may bring into its vault; as many as there is room for when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// How long it can be handed in, in seconds; a week when absent, ninety days at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_seconds: Option<u64>,
}

impl NewTicket {
    /// For whatever tenant comes to this machine, with everything else as it is when absent.
    pub fn for_machine(machine: MachineName) -> Self {
        let (services, max_bytes, expires_in_seconds) = (None, None, None);
        Self { machine, tenant: None, plan: None, services, max_bytes, expires_in_seconds }
    }
}

/// The acceptance of a tenant that wants to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAcceptance {
    /// The code that the source shows.
    #[schema(example = "K7QF-2M9X")]
    pub code: String,
    /// What is to differ from the tenant's settings, as a merge patch (RFC 7396) to its `services`. Where it names another bucket, the
    /// objects are copied there.
    #[serde(default, skip_serializing_if = "ServicesPatch::is_empty")]
    #[schema(value_type = Object)]
    pub services: ServicesPatch,
}

impl NewAcceptance {
    /// By the code, with everything as it is.
    pub fn by(code: &str) -> Self {
        Self { code: code.to_owned(), services: ServicesPatch::default() }
    }
}

/// A tenant that is to move to another provider.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMigration {
    /// The ticket, as the other provider issued it.
    #[schema(format = Password)]
    pub ticket: String,
    /// Whether the tenant stays: the other provider tries a copy of it out behind a fence, says what it found, and throws it
    /// away. The ticket can then be handed in again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rehearsal: bool,
}

impl std::fmt::Debug for NewMigration {
    /// Whoever has the ticket can hand it in.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewMigration").finish_non_exhaustive()
    }
}

/// Where a repository of snapshots lies: in a bucket of an object store, or in a folder of the daemon's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryPlace {
    /// In a bucket of an object store.
    S3(S3Place),
    /// In a folder of the daemon's host, below the one that its configuration names (`vault.import_folder`).
    Folder(String),
}

/// Where in an object store a repository lies, and what opens that.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Place {
    /// The store's address, such as `https://s3.example.org`.
    pub endpoint: String,
    /// The store's region, such as `us-east-1`.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What the keys of the repository's objects begin with, without slashes at its ends; nothing when absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The id of a key that may list and read the bucket.
    pub access_key: String,
    /// The key's secret.
    #[schema(format = Password)]
    pub secret_key: String,
}

impl std::fmt::Debug for S3Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { endpoint, bucket, prefix, .. } = self;
        let mut debug = f.debug_struct("S3Place");
        debug
            .field("endpoint", endpoint)
            .field("bucket", bucket)
            .field("prefix", prefix)
            .finish_non_exhaustive()
    }
}

/// A wish to know what a repository of snapshots holds.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVaultLook {
    /// Where the repository lies.
    pub repository: RepositoryPlace,
    /// What it is encrypted with.
    #[schema(format = Password)]
    pub password: String,
    /// The snapshot that would be taken in; the newest whole one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
    /// The machine that the tenant would come to. Without one, it is not told what is in the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineName>,
    /// What the tenant would be called here; what it was called when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TenantName>,
    /// Its domain here; the one that it had when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The plan that it would get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// What would differ from its settings, as a merge patch (RFC 7396) to a tenant's `services`.
    #[serde(default, skip_serializing_if = "ServicesPatch::is_empty")]
    #[schema(value_type = Object)]
    pub services: ServicesPatch,
}

/// A tenant that is to be made of a repository of snapshots.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVaultImport {
    /// Where the repository lies.
    pub repository: RepositoryPlace,
    /// What it is encrypted with.
    #[schema(format = Password)]
    pub password: String,
    /// The snapshot; the newest whole one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
    /// The machine that the tenant comes to.
    pub machine: MachineName,
    /// What the tenant is to be called here; what it was called when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<TenantName>,
    /// Its domain here; the one that it had when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The plan that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanName>,
    /// What differs from its settings, as a merge patch (RFC 7396) to a tenant's `services`.
    #[serde(default, skip_serializing_if = "ServicesPatch::is_empty")]
    #[schema(value_type = Object)]
    pub services: ServicesPatch,
    /// Whether the services are started at the end, and objects come back into buckets. Whoever says so knows that nobody else serves
    /// the tenant.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub go_live: bool,
}

impl std::fmt::Debug for NewVaultLook {
    /// The password and settings are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repository, snapshot, .. } = self;
        let mut debug = f.debug_struct("NewVaultLook");
        debug.field("repository", repository).field("snapshot", snapshot).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for NewVaultImport {
    /// The password and settings are secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { repository, snapshot, machine, .. } = self;
        let mut debug = f.debug_struct("NewVaultImport");
        debug.field("repository", repository).field("snapshot", snapshot);
        debug.field("machine", machine).finish_non_exhaustive()
    }
}
