//! Operations: long-running jobs on a tenant, made of steps.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::name::{MachineName, TenantName};
use crate::progress::Progress;
use crate::revision::RevisionId;

/// An operation's id (UUID version 7: ids sort by time).
pub type OperationId = Uuid;

macro_rules! words {
    ($(#[doc = $doc:expr])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word that stands for it in JSON and in the database.
            pub const fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)+ }
            }

            /// The variant that a word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.word() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }

        // By hand, because utoipa's derive does not see a name that comes through a macro.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::schema::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::SchemaType::new(utoipa::openapi::schema::Type::String))
                    .description(Some(concat!($($doc, "\n"),*).trim()))
                    .enum_values(Some(Self::ALL.iter().map(|variant| variant.word())))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}
pub(crate) use words;

words! {
    /// What an operation does.
    OperationKind {
        /// Brings the tenant's configuration onto its machine.
        Deploy = "deploy",
        /// Brings an earlier revision of the tenant's configuration back onto its machine.
        Rollback = "rollback",
        /// Starts the tenant's machine anew.
        Reboot = "reboot",
        /// Takes the tenant off its machine and forgets it.
        Destroy = "destroy",
        /// Finds out what a deployment would change, and changes nothing.
        Preview = "preview",
        /// Copies the tenant's state into its vault.
        Snapshot = "snapshot",
        /// Removes snapshots that are not kept any more from the tenant's vault.
        Prune = "prune",
        /// Puts a snapshot in place of the tenant's state.
        Restore = "restore",
        /// Puts a snapshot onto a machine that is free, behind a fence, to find out whether and how fast it comes back.
        Drill = "drill",
        /// Makes a bundle of everything that the tenant owns, to be downloaded.
        Export = "export",
        /// Moves the tenant to another provider, and forwards to it.
        Migrate = "migrate",
        /// Takes in a tenant that another provider moves here.
        Import = "import",
        /// Has another provider try out whether the tenant could move there; the tenant stays, and goes on.
        Rehearse = "rehearse",
        /// Tries out a copy of a tenant that another provider may move here, behind a fence, and throws it away.
        TryOut = "try-out",
        /// Makes the tenant of a bundle that somebody brought here, or of a repository of snapshots that lies elsewhere.
        TakeIn = "take-in",
    }
}

words! {
    /// Where an operation stands.
    OperationStatus {
        /// Waits for its turn.
        Queued = "queued",
        /// Runs.
        Running = "running",
        /// Ended well: everything it promises was observed.
        Succeeded = "succeeded",
        /// Ended badly; the error says why.
        Failed = "failed",
        /// Ended because somebody asked for it.
        Cancelled = "cancelled",
    }
}

impl OperationStatus {
    /// Whether nothing will happen any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

words! {
    /// The steps that operations are made of.
    StepName {
        /// Spec to flake.
        Render = "render",
        /// Flake to derivation.
        Evaluate = "evaluate",
        /// Derivation to store paths.
        Build = "build",
        /// Finds out how files and packages would differ.
        Compare = "compare",
        /// Store paths to the machine.
        Copy = "copy",
        /// The machine tells what a switch would do.
        DryActivate = "dry-activate",
        /// Removes the tenant's data from the machine.
        Wipe = "wipe",
        /// The machine goes down and comes back with what was committed.
        Reboot = "reboot",
        /// Most of the state is copied into the vault while the services go on.
        Precopy = "precopy",
        /// What is left of the state is copied, each service being quiet meanwhile.
        Capture = "capture",
        /// Snapshots that are not kept any more are removed from the vault.
        Prune = "prune",
        /// A snapshot takes the place of the state.
        Restore = "restore",
        /// The machine that was lent for a drill, or that a copy was tried out on, is emptied.
        Empty = "empty",
        /// A snapshot becomes a signed bundle.
        Bundle = "bundle",
        /// The target is shown what is to be moved, and accepts it.
        Agree = "agree",
        /// This provider stops for good, and the target takes over.
        HandOver = "hand-over",
        /// The tenant's system comes onto its machine, its services stopped.
        Prepare = "prepare",
        /// The source sends the state.
        Receive = "receive",
        /// What was brought, a bundle or what is left of a vault, becomes a snapshot in the tenant's own.
        Unpack = "unpack",
        /// The state that was brought takes its place, and is compared with what was signed.
        PutInPlace = "put-in-place",
        /// Nobody else serves the tenant any more; the services are started.
        GoLive = "go-live",
        /// The target tries the copy out; what it finds is waited for.
        Rehearse = "rehearse",
        /// The services of a copy are started behind a fence, and asked.
        TryOut = "try-out",
        /// The machine switches to the new system.
        Activate = "activate",
        /// The new system proves that it serves.
        Verify = "verify",
        /// The new system becomes the one that boots.
        Commit = "commit",
        /// The daemon forgets the tenant.
        Forget = "forget",
    }
}

words! {
    /// Where a step stands.
    StepStatus {
        /// Not begun.
        Pending = "pending",
        /// Runs.
        Running = "running",
        /// Done, and observed to be done.
        Succeeded = "succeeded",
        /// Not needed: its outcome was there already.
        Skipped = "skipped",
        /// Could not be done, and the operation goes on without it.
        Missed = "missed",
        /// Ended badly.
        Failed = "failed",
        /// Ended on request.
        Cancelled = "cancelled",
        /// Begun, and not observed since: the daemon lost sight of it.
        Unknown = "unknown",
    }
}

impl OperationKind {
    /// Whether the tenant is on its machine afterwards, as one of its revisions says.
    pub fn deploys(self) -> bool {
        matches!(self, Self::Deploy | Self::Rollback)
    }

    /// Whether it works on the tenant itself, so that no other such operation may at the same time. A drill works on a copy.
    pub fn is_alone(self) -> bool {
        self != Self::Drill
    }

    /// Whether the tenant comes or goes by it: it deploys within its steps, in one mode after the other.
    pub fn moves(self) -> bool {
        matches!(self, Self::Migrate | Self::Import | Self::TakeIn | Self::TryOut)
    }

    /// The steps of such an operation, in their order. `wipe` says whether a destroy also removes the data.
    pub fn steps(self, wipe: bool) -> Vec<StepName> {
        use StepName::{
            Activate, Agree, Build, Bundle, Capture, Commit, Compare, Copy, DryActivate, Empty, Evaluate,
            Forget, GoLive, HandOver, Precopy, Prepare, Prune, PutInPlace, Reboot, Receive, Rehearse, Render,
            Restore, TryOut, Unpack, Verify, Wipe,
        };
        match self {
            Self::Deploy | Self::Rollback => vec![Render, Evaluate, Build, Copy, Activate, Verify, Commit],
            Self::Preview => vec![Render, Evaluate, Build, Compare, Copy, DryActivate],
            Self::Reboot => vec![Reboot, Verify],
            Self::Snapshot => vec![Precopy, Capture],
            Self::Prune => vec![Prune],
            Self::Restore => vec![Restore, Verify],
            Self::Drill => vec![Render, Evaluate, Build, Copy, Activate, Commit, Restore, Verify, Empty],
            Self::Export => vec![Precopy, Capture, Bundle],
            Self::Migrate => vec![Agree, Precopy, Capture, HandOver],
            Self::Import => vec![Prepare, Receive, PutInPlace, GoLive],
            // Neither has a step in which anybody hands over, or goes live.
            Self::Rehearse => vec![Agree, Precopy, Capture, Rehearse],
            Self::TryOut => vec![Prepare, Receive, PutInPlace, TryOut, Empty],
            Self::TakeIn => vec![Prepare, Unpack, PutInPlace, GoLive],
            Self::Destroy if wipe => {
                vec![Render, Evaluate, Build, Copy, Wipe, Activate, Verify, Commit, Forget]
            }
            Self::Destroy => vec![Render, Evaluate, Build, Copy, Activate, Verify, Commit, Forget],
        }
    }
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Which step.
    pub name: StepName,
    /// Where it stands.
    pub status: StepStatus,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The last known count.
    pub progress: Option<Progress>,
}

impl Step {
    /// A step that has not begun.
    pub fn pending(name: StepName) -> Self {
        Self { name, status: StepStatus::Pending, started_at: None, finished_at: None, progress: None }
    }
}

/// Why an operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationError {
    /// A stable name, such as `build-failed`; docs/problems lists them all.
    #[schema(example = "build-failed")]
    pub code: String,
    /// What happened, for a person.
    pub message: String,
    /// The step in which it happened.
    pub step: Option<StepName>,
    /// The failing derivation, for a failed build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derivation: Option<String>,
    /// The last lines of the log that belongs to it: of the build, or of the units that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Whether the same request may succeed later without any change.
    pub retryable: bool,
}

/// A long-running job on a tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// The tenant that it works on.
    pub tenant: TenantName,
    /// The machine that it works on.
    pub machine: MachineName,
    /// What it does.
    pub kind: OperationKind,
    /// For `destroy`: whether the tenant's data on the machine is removed as well.
    pub wipe: bool,
    /// Where it stands.
    pub status: OperationStatus,
    /// The revision that it deploys, or would; known once rendered.
    pub revision: Option<RevisionId>,
    /// The system's store path; known once evaluated.
    pub system: Option<String>,
    /// The snapshot that it makes, puts in place, tries out, makes a bundle of, or was asked to remove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<Uuid>,
    /// When the snapshot that it makes, or the drill, was due by the tenant's backup plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<DateTime<Utc>>,
    /// The age recipient that the secrets in a bundle are sealed to; without one, no secrets are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The migration that it is one provider's half of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Uuid>,
    /// Its steps, in order.
    pub steps: Vec<Step>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// The rollout that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Uuid>,
    /// Why it failed.
    pub error: Option<OperationError>,
    /// The name of the token that asked for it.
    pub requested_by: String,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it began to run.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// The number of its newest event.
    pub last_seq: i64,
}

/// Whether it makes a snapshot, which then has its id.
fn makes_snapshot(kind: OperationKind) -> bool {
    matches!(kind, OperationKind::Snapshot | OperationKind::Export | OperationKind::TakeIn)
}

impl Operation {
    /// A queued operation.
    pub fn queued(
        tenant: TenantName,
        machine: MachineName,
        kind: OperationKind,
        wipe: bool,
        requested_by: String,
        now: DateTime<Utc>,
    ) -> Self {
        let id = Uuid::now_v7();
        Self {
            id,
            tenant,
            machine,
            kind,
            wipe,
            status: OperationStatus::Queued,
            revision: None,
            system: None,
            snapshot: makes_snapshot(kind).then_some(id),
            due_at: None,
            recipient: None,
            migration: None,
            steps: kind.steps(wipe).into_iter().map(Step::pending).collect(),
            cancel_requested: false,
            rollout: None,
            error: None,
            requested_by,
            created_at: now,
            started_at: None,
            finished_at: None,
            last_seq: 0,
        }
    }

    /// The operation as it stands once its first event, that it was accepted, is written.
    #[must_use]
    pub fn after_acceptance(&self) -> Self {
        Self { last_seq: 1, ..self.clone() }
    }

    /// The step of that name.
    pub fn step(&self, name: StepName) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The step of that name, to be changed.
    pub fn step_mut(&mut self, name: StepName) -> Option<&mut Step> {
        self.steps.iter_mut().find(|step| step.name == name)
    }
}
