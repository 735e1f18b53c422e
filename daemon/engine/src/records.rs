//! What the engine keeps in the database, as traits: so that a simulation can keep it elsewhere and let it fail.
//! [`Store`] is the real one, and its documentation says what each function promises.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use berth_domain::event::NewEvent;
use berth_domain::rollout::NewRolloutEvent;
use berth_domain::{
    Condition, Departure, Drill, Event, MachineFacts, MachineName, MigrationId, Mode, Operation, OperationId,
    OperationKind, Preview, Revision, RevisionId, Rollout, RolloutEvent, RolloutId, RolloutStatus,
    ServiceName, Snapshot, SnapshotId, StepName, TenantName, TenantSpec, Timestamp, VaultId,
};
use berth_store::bucket_copies::BucketCopyRecord;
use berth_store::conditions::Due;
use berth_store::nixops4::{ChangeRecord, LeaseRecord, NewState, StateRecord};
use berth_store::rollouts::RolloutChange;
use berth_store::{
    ArrivalRecord, BackupRecord, Claim, Claimed, DepartureRecord, DrillRecord, EventPage, Hold,
    IdempotencyRecord, Listener, MachineRecord, MovedInto, MovedObject, News, OffsiteRecord, Page, Recorded,
    Renewed, RolloutEventPage, Standing, Store, StoreError, TenantRecord, VaultRecord,
};

/// What comes of a call to the database.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Hears what other daemons on the same database tell.
#[async_trait]
pub trait Listening: Send {
    /// The next news; waits for them.
    async fn next(&mut self) -> News;
}

#[async_trait]
impl Listening for Listener {
    async fn next(&mut self) -> News {
        Self::next(self).await
    }
}

/// What the engine keeps in the database.
pub trait Records:
    OperationRecords + FleetRecords + StateRecords + SnapshotRecords + BackupRecords + DrillRecords + MoveRecords
{
    /// Hears what other daemons tell; nothing where there are none.
    fn listen(&self) -> Option<Box<dyn Listening>>;
}

/// How many tenants are asked for at once.
const PAGE: u32 = 500;

impl dyn Records {
    /// What `of` makes of all tenants, by name.
    ///
    /// # Errors
    /// The database's.
    pub async fn of_tenants<T>(&self, of: impl Fn(TenantRecord) -> Option<T>) -> Result<Vec<T>> {
        let (mut found, mut after): (Vec<T>, Option<String>) = (Vec::new(), None);
        loop {
            let page = self.list_tenants(after.as_deref(), PAGE).await?;
            found.extend(page.items.into_iter().filter_map(&of));
            after = page.next.map(String::from);
            if after.is_none() {
                return Ok(found);
            }
        }
    }
}

impl Records for Store {
    fn listen(&self) -> Option<Box<dyn Listening>> {
        Self::listen(self).map(|listener| Box::new(listener) as Box<dyn Listening>)
    }
}

/// Declares a trait and implements it by the store's functions of the same names.
macro_rules! records {
    (
        $(#[$about:meta])* $records:ident
        $($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)+
    ) => {
        $(#[$about])*
        #[async_trait]
        pub trait $records: Send + Sync {
            $($(#[$doc])* async fn $name(&self, $($argument: $type),*) -> Result<$answer>;)+
        }

        #[async_trait]
        impl $records for Store {
            $(async fn $name(&self, $($argument: $type),*) -> Result<$answer> {
                Self::$name(self, $($argument),*).await
            })+
        }
    };
}

records! {
    /// Operations, and what they keep of their tenants and machines.
    OperationRecords

    /// Writes an operation down with its first event.
    create_operation(operation: &Operation, first: NewEvent, once: Option<&IdempotencyRecord>) -> ();
    /// Writes a rollback down, and makes the tenant what it goes back to.
    create_rollback(operation: &Operation, spec: &TenantSpec, expected: i64, first: NewEvent, once: Option<&IdempotencyRecord>) -> ();
    /// Notes that somebody asked an operation to stop.
    request_cancel(id: OperationId, event: NewEvent, once: Option<&IdempotencyRecord>) -> (Operation, Option<Event>);
    /// An operation.
    operation(id: OperationId) -> Operation;
    /// The events after number `after`.
    events(id: OperationId, after: i64, limit: u32) -> EventPage;
    /// Removes all but the newest events of an operation.
    trim_events(id: OperationId, keep: i64) -> u64;
    /// How long each step took in the newest operations that succeeded, in milliseconds.
    step_durations(kind: OperationKind, limit: u32) -> Vec<(StepName, i64)>;
    /// Claims the operation whose turn it is among those that nobody holds.
    claim(claim: &Claim) -> Option<Claimed>;
    /// Makes a lease last longer.
    renew(hold: Hold, lasting: Duration) -> Renewed;
    /// Gives an operation back.
    release(hold: Hold) -> ();
    /// Writes how an operation stands, and its new events.
    record(hold: Hold, write: i64, operation: &Operation, events: Vec<NewEvent>) -> Recorded;
    /// Writes a preview down with its first event.
    create_preview(operation: &Operation, spec: &TenantSpec, first: NewEvent, once: Option<&IdempotencyRecord>) -> ();
    /// What an unfinished preview was asked about.
    previewed_spec(id: OperationId) -> TenantSpec;
    /// Keeps what a preview found.
    keep_preview(hold: Hold, preview: &Preview) -> ();
    /// A tenant.
    tenant(name: &TenantName) -> TenantRecord;
    /// A machine.
    machine(name: &MachineName) -> MachineRecord;
    /// A revision.
    revision(tenant: &TenantName, id: &RevisionId) -> Revision;
    /// Keeps a revision.
    keep_revision(hold: Hold, revision: &Revision) -> ();
    /// Keeps what a machine's agent found out.
    set_machine_facts(hold: Hold, name: &MachineName, facts: &MachineFacts) -> ();
    /// Notes what a tenant's machine was committed to.
    set_tenant_deployed(hold: Hold, name: &TenantName, revision: &RevisionId, system: &str, platform: &str) -> ();
    /// The platform that a rollout brings its tenants to, if it has one.
    rollout_platform(id: RolloutId) -> Option<String>;
    /// Forgets a tenant.
    forget_tenant(hold: Hold, name: &TenantName, machine: &MachineName, keeps_data: bool) -> ();
}

records! {
    /// Rollouts, and what checks found.
    FleetRecords

    /// The tenants, by name.
    list_tenants(after: Option<&str>, limit: u32) -> Page<TenantRecord>;
    /// The platforms that tenants were deployed with.
    platforms() -> Vec<String>;
    /// Writes a rollout down.
    create_rollout(rollout: &Rollout, first: NewRolloutEvent, once: Option<&IdempotencyRecord>) -> ();
    /// A rollout with all its tenants.
    rollout(id: RolloutId) -> Rollout;
    /// The rollouts that still have something to do.
    unfinished_rollouts() -> Vec<(RolloutId, RolloutStatus)>;
    /// How many unfinished operations belong to rollouts.
    rollout_operations() -> usize;
    /// Writes how a rollout stands, unless somebody changed it since it was read.
    record_rollout(rollout: &mut Rollout, change: RolloutChange, once: Option<&IdempotencyRecord>) -> Vec<RolloutEvent>;
    /// How operations stand; those that are gone are left out.
    standings(ids: &[OperationId]) -> Vec<Standing>;
    /// The number of the newest event of a rollout.
    rollout_seq(id: RolloutId) -> i64;
    /// The events of a rollout after number `after`.
    rollout_events(id: RolloutId, after: i64, limit: u32) -> RolloutEventPage;
    /// The tenants whose check is due, and whether they had a turn before.
    due_checks(due: Due, limit: u32) -> Vec<(TenantName, bool)>;
    /// Takes a due check for oneself.
    claim_check(name: &TenantName, due: Due, next: Timestamp) -> bool;
    /// Keeps what a check found.
    set_condition(name: &TenantName, revision: &RevisionId, condition: &Condition, once: Option<&IdempotencyRecord>) -> ();
    /// Keeps what a machine's agent found out for a check.
    set_checked_facts(name: &MachineName, facts: &MachineFacts) -> ();
}

records! {
    /// What NixOps4 knows of tenants' resources.
    StateRecords

    /// A tenant's state.
    nixops4_state(tenant: &TenantName) -> StateRecord;
    /// Takes the lease of a state, or renews it.
    lease_nixops4_state(tenant: &TenantName, wanted: &LeaseRecord, now: Timestamp) -> i64;
    /// Gives the lease of a state back.
    release_nixops4_state(tenant: &TenantName, fence: i64) -> ();
    /// Keeps a changed state.
    keep_nixops4_state(tenant: &TenantName, new: &NewState, once: Option<&IdempotencyRecord>) -> ();
    /// The changes of a state, newest first.
    list_nixops4_changes(tenant: &TenantName, after: Option<&str>, limit: u32) -> Page<ChangeRecord>;
}

records! {
    /// Tenants' vaults and snapshots.
    SnapshotRecords

    /// The vault of a tenant, if it has one.
    vault(tenant: &TenantName) -> Option<VaultRecord>;
    /// Gives a tenant a vault, unless it has one.
    keep_vault(hold: Hold, tenant: &TenantName, vault: &VaultRecord, now: Timestamp) -> VaultRecord;
    /// Forgets a vault that was destroyed.
    forget_vault(hold: Hold, id: VaultId) -> ();
    /// Writes a snapshot down.
    keep_snapshot(hold: Hold, vault: VaultId, snapshot: &Snapshot) -> ();
    /// A snapshot and the vault that it is in.
    snapshot(id: SnapshotId) -> (Snapshot, VaultRecord);
    /// Everything that is written down of a vault.
    snapshots_in(vault: VaultId) -> Vec<Snapshot>;
    /// The newest copy of a service's bucket that was made here.
    bucket_copy(vault: VaultId, service: &ServiceName, bucket: &str) -> Option<BucketCopyRecord>;
    /// Writes down the newest copy of a service's bucket.
    keep_bucket_copy(hold: Hold, vault: VaultId, service: &ServiceName, bucket: &str, restic: &str) -> ();
    /// Begins to remove snapshots from a vault.
    begin_to_forget(hold: Hold, vault: VaultId, ids: &BTreeSet<SnapshotId>) -> ();
    /// Forgets the snapshots that were removed from a vault.
    forget_snapshots(hold: Hold, vault: VaultId) -> usize;
    /// The unfinished operation that removes something from a vault.
    pruner(vault: VaultId) -> Option<OperationId>;
}

records! {
    /// Backup plans.
    BackupRecords

    /// A tenant's plan.
    backup_plan(tenant: &TenantName) -> BackupRecord;
    /// The plans whose snapshot is due, and can begin or has waited too long.
    due_backups(now: Timestamp, limit: u32) -> Vec<BackupRecord>;
    /// Begins the snapshot that is due, unless somebody else was faster.
    start_backup(plan: &BackupRecord, operation: &Operation, first: NewEvent, next: Timestamp) -> bool;
    /// Lets a time go by, unless somebody else was faster.
    skip_backup(plan: &BackupRecord, next: Timestamp) -> bool;
    /// Notes that a snapshot could not begin in time, unless somebody else was faster.
    miss_backup(plan: &BackupRecord, operation: &Operation, events: Vec<NewEvent>) -> bool;
    /// The plans of which it is to be looked which snapshots may go.
    due_prunings(now: Timestamp, limit: u32) -> Vec<BackupRecord>;
    /// Takes that upon oneself, unless somebody else was faster.
    start_pruning(plan: &BackupRecord, next: Timestamp, operation: Option<(Operation, NewEvent)>) -> bool;
    /// The operation that works on a tenant.
    unfinished_operation(tenant: &TenantName) -> Option<OperationId>;
}

records! {
    /// Drills, and the machines that are lent for them.
    DrillRecords

    /// Writes a drill down with its first event, and lends it its machine.
    create_drill(operation: &Operation, snapshot: &Snapshot, first: NewEvent, once: Option<&IdempotencyRecord>) -> ();
    /// A drill.
    drill(id: OperationId) -> DrillRecord;
    /// Writes what a drill found so far; `emptied` in it gives its machine back.
    keep_drill(hold: Hold, drill: &Drill) -> ();
    /// The newest whole snapshot of a tenant.
    newest_whole_snapshot(tenant: &TenantName) -> Snapshot;
    /// The plans whose drill is due, and can begin or has waited too long.
    due_drills(now: Timestamp, limit: u32) -> Vec<BackupRecord>;
    /// Begins the drill that is due, unless somebody else was faster.
    start_drill(plan: &BackupRecord, operation: &Operation, snapshot: &Snapshot, first: NewEvent, next: Timestamp) -> bool;
    /// Lets a time go by, unless somebody else was faster.
    skip_drill(plan: &BackupRecord, next: Timestamp) -> bool;
    /// The unfinished drill of a tenant.
    unfinished_drill(tenant: &TenantName) -> Option<OperationId>;
}

records! {
    /// Tenants on their way from one provider to another.
    MoveRecords

    /// A ticket that was issued here.
    arrival(id: MigrationId) -> ArrivalRecord;
    /// Keeps a ticket that is issued.
    create_arrival(record: &ArrivalRecord, once: Option<&IdempotencyRecord>) -> ();
    /// Writes how a ticket stands, unless somebody changed it since it was read; tells whether it did.
    record_arrival(hold: Option<Hold>, record: &ArrivalRecord) -> bool;
    /// Writes down an operation that moves a tenant away, with its ticket.
    create_departure(operation: &Operation, record: &DepartureRecord, first: NewEvent, once: Option<&IdempotencyRecord>) -> ();
    /// What an operation moves away.
    departure(operation: OperationId) -> DepartureRecord;
    /// The newest operation that moves, or moved, a tenant away.
    departure_of(tenant: &TenantName) -> Departure;
    /// Writes how a departure stands.
    record_departure(hold: Hold, departure: &Departure) -> ();
    /// Notes that a tenant is back that had left by this migration.
    record_return(hold: Hold, tenant: &TenantName, left: MigrationId, now: Timestamp) -> ();
    /// The migrations of tenants that left, and are not to be kept any longer.
    overdue_departures(now: Timestamp, limit: u32) -> Vec<Departure>;
    /// Writes down an operation that removes what is left of a tenant, unless it came back or left anew; tells whether it did.
    create_removal(departure: &Departure, operation: &Operation, first: NewEvent) -> bool;
    /// Has what is left of a tenant be due at another time.
    postpone_departure(operation: OperationId, to: Timestamp) -> ();
    /// Notes that nothing is left to be removed of what left by this operation.
    settle_departure(operation: OperationId) -> ();
    /// The migration by which another provider serves a tenant, or may serve it.
    served_elsewhere(tenant: &TenantName) -> Option<MigrationId>;
    /// The repository that lies elsewhere of which an operation is to make a tenant; nothing where it is another thing.
    offsite(operation: OperationId) -> Option<OffsiteRecord>;
    /// Forgets what opens the repository of an operation.
    settle_offsite(operation: OperationId) -> ();
    /// What is known of objects that a migration has moved into a bucket, from behind a key on.
    moved_objects(into: &MovedInto, after: Option<&str>, limit: u32) -> Vec<MovedObject>;
    /// Writes down what is known of some.
    note_moved_objects(hold: Hold, into: &MovedInto, objects: Vec<MovedObject>) -> ();
    /// Forgets what a migration has moved.
    forget_moved_objects(hold: Hold, migration: MigrationId) -> ();
    /// Writes what mode a tenant has, now that its machine has it.
    set_tenant_mode(hold: Hold, name: &TenantName, mode: &Mode, now: Timestamp) -> ();
}
