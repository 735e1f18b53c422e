//! Why a call was refused or failed.

use berth_domain::{
    DomainName, MachineName, OperationId, OperationStatus, RolloutId, RolloutStatus, TenantName, Timestamp,
};

/// Why a call was refused or failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error("there is no {what} “{name}”")]
    NotFound {
        /// What was looked for: `tenant`, `machine`, `operation`, `revision`, `token`.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// The name or id is taken.
    #[error("the {what} “{name}” exists already")]
    Exists {
        /// What was to be created.
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// Another tenant has the domain.
    #[error("the domain {domain} belongs to the tenant “{tenant}”")]
    DomainTaken {
        /// The domain.
        domain: DomainName,
        /// Whose it is.
        tenant: TenantName,
    },
    /// Another tenant is on the machine.
    #[error("the machine “{machine}” belongs to the tenant “{tenant}”")]
    MachineTaken {
        /// The machine.
        machine: MachineName,
        /// Who is on it.
        tenant: TenantName,
    },
    /// The machine still holds the data of a tenant that was taken off it.
    #[error("the machine “{machine}” still holds the data of the tenant “{of}”")]
    MachineHoldsData {
        /// The machine.
        machine: MachineName,
        /// Whose data it holds.
        of: TenantName,
    },
    /// The machine is lent for a drill, or may still hold what one left.
    #[error("the machine “{machine}” is lent for a drill of the tenant “{tenant}”")]
    MachineLent {
        /// The machine.
        machine: MachineName,
        /// Whose state is tried there.
        tenant: TenantName,
    },
    /// The tenant has no whole snapshot.
    #[error("the tenant “{tenant}” has no whole snapshot")]
    NoSnapshot {
        /// The tenant.
        tenant: TenantName,
    },
    /// The tenant names a machine that is not registered.
    #[error("there is no machine “{machine}”")]
    NoSuchMachine {
        /// The name.
        machine: MachineName,
    },
    /// The machine cannot go: a tenant is on it.
    #[error("the tenant “{tenant}” is on this machine")]
    MachineInUse {
        /// Who is on it.
        tenant: TenantName,
    },
    /// A deployed tenant cannot change its machine.
    #[error("the tenant “{tenant}” is deployed on the machine “{machine}” and cannot change to another")]
    TenantDeployed {
        /// The tenant.
        tenant: TenantName,
        /// Where it is deployed.
        machine: MachineName,
    },
    /// Somebody else changed it meanwhile.
    #[error("it was changed meanwhile: its version is {current} now")]
    VersionMismatch {
        /// The version that is stored.
        current: i64,
    },
    /// The tenant has an unfinished operation.
    #[error("the operation {operation} of this tenant has not ended yet")]
    OperationRunning {
        /// That operation.
        operation: OperationId,
    },
    /// A tenant is being made of the same repository.
    #[error("the operation {operation} makes a tenant of this repository at the moment")]
    RepositoryInUse {
        /// The operation that does, or is about to.
        operation: OperationId,
    },
    /// The operation has ended and does not change any more.
    #[error("the operation {operation} has ended already: {status}")]
    Finished {
        /// The operation.
        operation: OperationId,
        /// How it ended.
        status: OperationStatus,
    },
    /// Somebody else is about to change the NixOps4 state.
    #[error("“{by}” is working on this state; it is free at {until} at the latest")]
    StateLeased {
        /// Who.
        by: String,
        /// When the lease ends unless it is renewed.
        until: Timestamp,
    },
    /// Somebody else took the lease of the NixOps4 state since, or it was given back.
    #[error("the lease {fence} of this state does not hold any more")]
    StateLeaseLost {
        /// The fence that does not count any more.
        fence: i64,
    },
    /// The rollout has ended and does not change any more.
    #[error("the rollout {rollout} has ended already: {status}")]
    RolloutFinished {
        /// The rollout.
        rollout: RolloutId,
        /// How it ended.
        status: RolloutStatus,
    },
    /// The rollout changed since it was read; read it again.
    #[error("the rollout was changed meanwhile")]
    RolloutChanged,
    /// The tenant never was deployed, so there is nothing to compare it with.
    #[error("the tenant “{tenant}” never was deployed")]
    NotDeployed {
        /// The tenant.
        tenant: TenantName,
    },
    /// Another daemon has claimed the operation since, or the lease was given back: whoever is told so stops at once.
    #[error("the operation {operation} is not held any more with the fence {fence}")]
    LeaseLost {
        /// The operation.
        operation: OperationId,
        /// The number of the claim that does not count any more.
        fence: u64,
    },
    /// Another operation reads what is in the vault.
    #[error("the operation {operation} reads snapshots of this vault")]
    VaultInUse {
        /// That operation.
        operation: OperationId,
    },
    /// The same request was answered before; [`Store::idempotency`](crate::Store::idempotency) has the reply.
    #[error("a request with this idempotency key was answered before")]
    IdempotencyReplay,
    /// The text given as `after` is no cursor of this list.
    #[error("the cursor is not one of this list")]
    InvalidCursor,
    /// The database's tables are newer than this program.
    #[error("the database was migrated by a newer version (migration {version}); this one cannot use it")]
    Newer {
        /// The migration that this program does not know.
        version: String,
    },
    /// Daemons use the database, and this wants it for itself; or the other way round.
    #[error("{0}")]
    InUse(&'static str),
    /// What the database holds is not sealed to the key that was looked at.
    #[error("the database is sealed to {recipient}")]
    SealedToAnother {
        /// The public half of the key that it is sealed to.
        recipient: String,
    },
    /// Something sealed cannot be sealed anew.
    #[error("{0}")]
    Reseal(String),
    /// The database failed or could not be reached.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// How the database failed. No message holds a password or a stored secret.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It could not be reached or opened.
    #[error("cannot reach the database {database}: {reason}")]
    Unreachable {
        /// Which one, without its password.
        database: String,
        /// Why.
        reason: String,
    },
    /// It is none that we may use, and will be none by itself: another password, no such database, no place for a file.
    #[error("cannot use the database {database}: {reason}")]
    Unusable {
        /// Which one, without its password.
        database: String,
        /// Why.
        reason: String,
    },
    /// Every connection stayed in use for too long.
    #[error("no connection to the database became free in time")]
    Busy,
    /// A query failed.
    #[error("the database refused a query: {0}")]
    Query(#[from] diesel::result::Error),
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migration(String),
    /// A row does not hold what this program writes.
    #[error("the column {column} holds something else than it should: {reason}")]
    Damaged {
        /// Table and column.
        column: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The task that talks to the database ended early: the program is stopping, or it panicked.
    #[error("the database task ended early: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl From<diesel::result::Error> for StoreError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(DatabaseError::Query(error))
    }
}

impl StoreError {
    pub(crate) fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }

    pub(crate) fn exists(what: &'static str, name: impl ToString) -> Self {
        Self::Exists { what, name: name.to_string() }
    }

    /// Whether the same call may succeed later although nobody changes anything: the database could not be reached or
    /// did not do its part.
    pub fn is_transient(&self) -> bool {
        let Self::Database(error) = self else { return false };
        !matches!(
            error,
            DatabaseError::Damaged { .. } | DatabaseError::Migration(_) | DatabaseError::Unusable { .. }
        )
    }

    /// Whether another transaction got in between, so that the same one, run again, sees what it ran into.
    pub(crate) fn is_race(&self) -> bool {
        use diesel::result::{DatabaseErrorKind as Kind, Error};
        let Self::Database(DatabaseError::Query(Error::DatabaseError(kind, information))) = self else {
            return false;
        };
        match kind {
            Kind::UniqueViolation | Kind::ForeignKeyViolation | Kind::SerializationFailure => true,
            // diesel has no kind for PostgreSQL's 40P01.
            _ => information.message() == "deadlock detected",
        }
    }
}
