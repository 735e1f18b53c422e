//! Who runs an operation.
//!
//! A daemon *claims* an operation and then *holds* it, by a lease that it renews. A lease that is not renewed in time,
//! or that its owner left behind when it ended, is anybody's; and whoever claims an operation gets a *fence*, a number
//! that is greater than any before it on that machine. Every write of an operation names the fence that it was claimed
//! with, in the same transaction that looks whether it is still the newest: a holder that was taken for dead and comes
//! back writes nothing any more and learns so ([`StoreError::LeaseLost`]). Machines do the same with what they are asked
//! for.
//!
//! The fence is the machine's, not the operation's, as a machine that refuses older ones does not care which operation a
//! late call belongs to. It is the time of the claim in milliseconds since 1970, or one more than the fence before it
//! where clocks stand still or go back. So it also grows over a machine that is registered anew, and over a database that
//! was put back from a copy.

use std::time::Duration;

use berth_domain::{Operation, OperationId, OperationStatus};
use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::columns::word;
use crate::dialect::{Claimant, Dialect};
use crate::error::StoreError;
use crate::news::News;
use crate::operations::Operations;
use crate::pool::Store;
use crate::run::{for_both, transact};
use crate::schema::{machines, operations};

/// A claim on an operation that succeeded: what its holder names with everything that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hold {
    /// The operation.
    pub operation: OperationId,
    /// The claim's number; grows at every claim on the same machine. Below 2^53, so that every JSON reader keeps it.
    pub fence: u64,
}

/// What a daemon asks for when it looks for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The daemon's own id, the same whenever it is started again on its data folder, and nobody else's.
    pub owner: String,
    /// How long the lease lasts unless it is renewed.
    pub lasting: Duration,
    /// What runs there already.
    pub except: Vec<OperationId>,
    /// Whether the daemon has just started. Then what its owner holds was left by a predecessor that is dead.
    pub restarted: bool,
}

/// An operation that was claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// The operation, which is running now.
    pub operation: Operation,
    /// The claim.
    pub hold: Hold,
    /// Whether another holder had begun it.
    pub taken_over: bool,
}

/// What a renewed lease tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed {
    /// Whether somebody asked to cancel the operation.
    pub cancel_requested: bool,
}

/// An operation's row, for its holder.
pub(crate) struct Held {
    pub status: OperationStatus,
    pub cancel_requested: bool,
    pub last_seq: i64,
    pub writes: i64,
}

/// Leases within a transaction.
pub(crate) trait Guard {
    /// The row of an operation that is held, kept from others until the transaction ends.
    async fn hold(&mut self, hold: Hold) -> Result<Held, StoreError>;

    /// The next fence of a machine; it has it from now on.
    async fn next_fence(&mut self, machine: &str, now: i64) -> Result<i64, StoreError>;
}

for_both! {
    impl Guard {
        async fn hold(&mut self, hold: Hold) -> Result<Held, StoreError> {
            let id = hold.operation.to_string();
            self.lock_operation(&id).await?;
            let row = operations::table.find(&id).select((
                operations::status,
                operations::cancel_requested,
                operations::last_seq,
                operations::fence,
                operations::writes,
            ));
            let row: Option<(String, bool, i64, i64, i64)> = row.get_result(self).await.optional()?;
            let (status, cancel_requested, last_seq, fence, writes) =
                row.ok_or_else(|| StoreError::not_found("operation", &id))?;
            if fence.cast_unsigned() != hold.fence {
                return Err(lost(hold));
            }
            let status = word("operations.status", &status, OperationStatus::from_word)?;
            Ok(Held { status, cancel_requested, last_seq, writes })
        }

        async fn next_fence(&mut self, machine: &str, now: i64) -> Result<i64, StoreError> {
            let grown = case_when(machines::fence.ge(now), machines::fence + 1).otherwise(now);
            let row = diesel::update(machines::table.find(machine)).set(machines::fence.eq(grown));
            row.execute(self).await?;
            let fence = machines::table.find(machine).select(machines::fence).get_result(self).await.optional()?;
            fence.ok_or_else(|| StoreError::not_found("machine", machine))
        }
    }
}

fn lost(hold: Hold) -> StoreError {
    StoreError::LeaseLost { operation: hold.operation, fence: hold.fence }
}

/// When a lease that is given at `now` ends.
fn end(now: i64, lasting: Duration) -> i64 {
    now.saturating_add(i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX))
}

impl Store {
    /// Claims the oldest operation that is queued, or running without anybody who holds it. It is running from now on,
    /// at the claimant's.
    ///
    /// # Errors
    /// [`StoreError::Database`]
    pub async fn claim(&self, claim: &Claim) -> Result<Option<Claimed>, StoreError> {
        let (owner, lasting, restarted) = (claim.owner.clone(), claim.lasting, claim.restarted);
        let except: Vec<String> = claim.except.iter().map(ToString::to_string).collect();
        transact!(self, conn => {
            let now = conn.clock().await?;
            let dead = restarted.then_some(owner.as_str());
            let Some(id) = conn.take(now, &Claimant { dead, except: &except }).await? else {
                return Ok(None);
            };
            let found = operations::table.find(&id).select((operations::machine, operations::status));
            let (machine, status): (String, String) = found.get_result(conn).await?;
            let fence = conn.next_fence(&machine, now).await?;
            let taken_over = status != OperationStatus::Queued.word();
            let row = operations::table.find(&id);
            diesel::update(row).set((
                operations::status.eq(OperationStatus::Running.word()),
                operations::lease_owner.eq(&owner),
                operations::lease_until.eq(end(now, lasting)),
                operations::fence.eq(fence),
                operations::writes.eq(0),
            )).execute(conn).await?;
            if !taken_over {
                diesel::update(row).set(operations::started_at.eq(now)).execute(conn).await?;
            }
            let operation = conn.load_one(&id).await?;
            let hold = Hold { operation: operation.id, fence: fence.cast_unsigned() };
            Ok::<_, StoreError>(Some(Claimed { operation, hold, taken_over }))
        })
    }

    /// Makes a lease last longer, from now on; also one that ran out, as long as nobody else claimed the operation.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]; [`StoreError::Finished`] for one that has ended, [`StoreError::NotFound`]
    pub async fn renew(&self, hold: Hold, lasting: Duration) -> Result<Renewed, StoreError> {
        transact!(self, conn => {
            let held = conn.hold(hold).await?;
            if held.status.is_final() {
                return Err(StoreError::Finished { operation: hold.operation, status: held.status });
            }
            let until = end(conn.clock().await?, lasting);
            let row = operations::table.find(hold.operation.to_string());
            diesel::update(row).set(operations::lease_until.eq(until)).execute(conn).await?;
            Ok(Renewed { cancel_requested: held.cancel_requested })
        })
    }

    /// Gives an unfinished operation back, so that anybody may go on with it at once.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NotFound`]
    pub async fn release(&self, hold: Hold) -> Result<(), StoreError> {
        transact!(self, conn => {
            conn.hold(hold).await?;
            let row = operations::table.find(hold.operation.to_string());
            let nobody =
                (operations::lease_owner.eq(None::<String>), operations::lease_until.eq(None::<i64>));
            diesel::update(row).set(nobody).execute(conn).await?;
            Ok(conn.tell(&News::Queued).await?)
        })
    }
}
