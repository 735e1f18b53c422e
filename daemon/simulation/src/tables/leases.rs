//! Who runs an operation.

use std::time::Duration;

use berth_domain::{OperationStatus, Timestamp};
use berth_store::{Claim, Claimed, Hold, News, Renewed, StoreError};

use super::{Result, Row, Tables, stored};
use crate::weather::Weakness;

/// How long a rollout's operation lets others go first, in milliseconds.
const PATIENCE: i64 = 10 * 60 * 1000;

fn until(now: Timestamp, lasting: Duration) -> i64 {
    now.timestamp_millis() + i64::try_from(lasting.as_millis()).unwrap_or(i64::MAX / 2)
}

impl Row {
    fn may_be_taken(&self, claim: &Claim, now: i64) -> bool {
        if claim.except.contains(&self.operation.id) {
            return false;
        }
        let dead = claim.restarted && self.owner.as_ref() == Some(&claim.owner);
        let left = self.until.is_none_or(|until| until <= now) || dead;
        match self.operation.status {
            OperationStatus::Queued => true,
            OperationStatus::Running => left,
            _ => false,
        }
    }

    /// Whether those go first that somebody waits for.
    fn lets_others_go_first(&self, now: i64) -> bool {
        let queued = self.operation.status == OperationStatus::Queued;
        let young = self.operation.created_at.timestamp_millis() > now - PATIENCE;
        queued && young && self.operation.rollout.is_some()
    }
}

impl Tables {
    /// The row of an operation that is held.
    pub(super) fn held(&mut self, hold: Hold) -> Result<(&mut Row, &mut Vec<News>)> {
        let lax = self.weakness == Some(Weakness::RecordsIgnoreFences);
        let (row, news) = self.row(hold.operation)?;
        if row.fence.cast_unsigned() != hold.fence && !lax {
            return Err(StoreError::LeaseLost { operation: hold.operation, fence: hold.fence });
        }
        Ok((row, news))
    }

    /// As the store's.
    pub fn claim(&mut self, claim: &Claim, now: Timestamp) -> Option<Claimed> {
        let millis = now.timestamp_millis();
        let open = self.operations.iter().filter(|(_, row)| row.may_be_taken(claim, millis));
        let (id, _) = open.min_by_key(|(id, row)| (row.lets_others_go_first(millis), **id))?;
        let id = *id;
        let row = self.operations.get_mut(&id)?;
        let (_, last) = self.machines.get_mut(&row.operation.machine)?;
        *last = if *last >= millis { *last + 1 } else { millis };
        let taken_over = row.operation.status != OperationStatus::Queued;
        if !taken_over {
            row.operation.started_at = Some(stored(now));
        }
        row.operation.status = OperationStatus::Running;
        (row.owner, row.until) = (Some(claim.owner.clone()), Some(until(now, claim.lasting)));
        (row.fence, row.writes) = (*last, 0);
        let hold = Hold { operation: row.operation.id, fence: last.cast_unsigned() };
        Some(Claimed { operation: row.operation.clone(), hold, taken_over })
    }

    /// As the store's.
    pub fn renew(&mut self, hold: Hold, lasting: Duration, now: Timestamp) -> Result<Renewed> {
        let (row, _) = self.held(hold)?;
        if row.operation.status.is_final() {
            return Err(StoreError::Finished { operation: hold.operation, status: row.operation.status });
        }
        row.until = Some(until(now, lasting));
        Ok(Renewed { cancel_requested: row.operation.cancel_requested })
    }

    /// As the store's.
    pub fn release(&mut self, hold: Hold) -> Result<()> {
        let (row, news) = self.held(hold)?;
        (row.owner, row.until) = (None, None);
        news.push(News::Queued);
        Ok(())
    }
}
