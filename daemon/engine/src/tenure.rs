//! How long an operation's runner may go on: until somebody asks it to stop, until the daemon stops, and not a moment
//! longer than it holds the operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use berth_store::{Hold, StoreError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::records::Records;

/// How often a lease is renewed while it lasts.
const RENEWALS: u32 = 5;

/// The tenure of one runner.
#[derive(Debug)]
pub(crate) struct Tenure {
    hold: Hold,
    /// Somebody wished the operation to stop, or it is to be left.
    cancel: CancellationToken,
    /// The operation is to be left for a successor: the daemon stops, or does not hold it any more.
    leave: CancellationToken,
    /// The operation is not held any more.
    lost: CancellationToken,
    /// A wish to stop comes too late.
    committing: AtomicBool,
    /// How many parts of what is done now have a wish to stop wait until they are over.
    deaf: AtomicUsize,
}

impl Tenure {
    /// The tenure that begins with a claim, and ends at the latest with `stopping`.
    pub(crate) fn new(hold: Hold, stopping: &CancellationToken) -> Arc<Self> {
        let leave = stopping.child_token();
        let cancel = leave.child_token();
        let lost = CancellationToken::new();
        let (committing, deaf) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { hold, cancel, leave, lost, committing, deaf })
    }

    /// What every write names.
    pub(crate) fn hold(&self) -> Hold {
        self.hold
    }

    /// Stops the operation, unless it is too late for that.
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// The operation is somebody else's: nothing is written, and the machine is asked for nothing any more.
    pub(crate) fn lose(&self) {
        if !self.lost.is_cancelled() {
            tracing::warn!(operation = %self.hold.operation, "another daemon may go on with this operation");
        }
        self.lost.cancel();
        self.leave.cancel();
    }

    /// From here on only the operation's loss or the daemon's end interrupts it. Whoever is interrupted already does not
    /// come here.
    pub(crate) fn begin_to_commit(&self) {
        self.committing.store(true, Ordering::Relaxed);
    }

    /// No wish interrupts what is done as long as the answer lives.
    pub(crate) fn deafen(self: &Arc<Self>) -> Deaf {
        self.deaf.fetch_add(1, Ordering::Relaxed);
        Deaf { tenure: Arc::clone(self) }
    }

    /// What interrupts the operation now.
    pub(crate) fn interruption(&self) -> &CancellationToken {
        let ignored = self.committing.load(Ordering::Relaxed) || self.deaf.load(Ordering::Relaxed) > 0;
        if ignored { &self.leave } else { &self.cancel }
    }

    /// Whether the operation is left for a successor.
    pub(crate) fn is_over(&self) -> bool {
        self.leave.is_cancelled()
    }

    /// Cancelled when the operation is left for a successor.
    pub(crate) fn end(&self) -> &CancellationToken {
        &self.leave
    }

    /// Whether the operation is not held any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Renews the lease that was given at `since`, until the operation is lost. A holder that cannot reach the database
    /// stops by its own clock, before anybody else may claim the operation.
    pub(crate) async fn keep(self: Arc<Self>, records: Arc<dyn Records>, lease: Duration, since: Instant) {
        let (usual, soon) = (lease / RENEWALS, lease / RENEWALS / 3);
        let (mut sure_until, mut pause) = (since + lease, usual);
        loop {
            tokio::time::sleep(pause).await;
            let asked = Instant::now();
            let left = sure_until.saturating_duration_since(asked);
            // Once also when it is late already, as the process stood still: the database knows whether it is too late.
            let patience = if left.is_zero() { soon } else { left };
            pause = match tokio::time::timeout(patience, records.renew(self.hold, lease)).await {
                Ok(Ok(renewed)) => {
                    sure_until = asked + lease;
                    if renewed.cancel_requested {
                        self.cancel();
                    }
                    usual
                }
                // The runner wrote the end and is about to go.
                Ok(Err(StoreError::Finished { .. })) => return,
                Ok(Err(error)) if error.is_transient() && Instant::now() + soon < sure_until => {
                    tracing::warn!(operation = %self.hold.operation, %error, "cannot renew the lease yet");
                    soon
                }
                Ok(Err(_)) | Err(_) => return self.lose(),
            }
        }
    }
}

/// As long as this lives, a wish to stop waits.
#[derive(Debug)]
pub(crate) struct Deaf {
    tenure: Arc<Tenure>,
}

impl Drop for Deaf {
    fn drop(&mut self) {
        self.tenure.deaf.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(stopping: &CancellationToken) -> Arc<Tenure> {
        Tenure::new(Hold { operation: berth_domain::OperationId::nil(), fence: 1 }, stopping)
    }

    #[test]
    fn a_wish_interrupts_until_the_commit_and_the_daemons_end_always() {
        let stopping = CancellationToken::new();
        let (early, late) = (tenure(&stopping), tenure(&stopping));
        early.cancel();
        assert!(early.interruption().is_cancelled() && !early.is_over());
        late.begin_to_commit();
        late.cancel();
        assert!(!late.interruption().is_cancelled());
        stopping.cancel();
        assert!(late.interruption().is_cancelled() && late.is_over());
        assert!(!late.is_lost(), "whoever stops gives back what it holds");
        late.lose();
        assert!(late.is_lost());
    }

    #[test]
    fn a_wish_waits_as_long_as_anybody_is_deaf_and_the_daemons_end_does_not() {
        let stopping = CancellationToken::new();
        let tenure = tenure(&stopping);
        let (outer, inner) = (tenure.deafen(), tenure.deafen());
        tenure.cancel();
        drop(inner);
        assert!(!tenure.interruption().is_cancelled());
        drop(outer);
        assert!(tenure.interruption().is_cancelled());
        let _deaf = tenure.deafen();
        stopping.cancel();
        assert!(tenure.interruption().is_cancelled() && tenure.is_over());
    }
}
