//! What the dead-man timer starts: waits for the deadline, then puts the previous system back.
//!
//! The timer elapses at the earliest moment at which the deadline can be over. Where it is not, because the switch took
//! its time or the daemon asked for more, this process waits for the rest. If it is killed, systemd starts it again.

use std::thread::sleep;
use std::time::Duration;

use berth_protocol::RevertedBy;
use uuid::Uuid;

use super::record::{Files, Record};
use super::{back, deadline, unit};
use crate::failure::Result;
use crate::lock::Lock;

/// How often it is looked whether the deadline has moved or the operation has ended.
const LOOK: Duration = Duration::from_millis(500);

/// How long whoever changes the machine is waited for; a commit that writes to a slow boot loader, for instance.
const PATIENCE: Duration = Duration::from_secs(900);

/// Waits until the operation has ended, or ends it.
pub(crate) fn run(operation: Uuid) -> Result<()> {
    let files = Files::of(operation);
    while files.read()?.is_some_and(|record| record.is_pending()) {
        match over(operation)? {
            Err(left) => sleep(left.min(LOOK)),
            Ok(by) => {
                if by == RevertedBy::Timer {
                    unit::stop_switch(operation)?;
                }
                put_back(&files, by)?;
            }
        }
    }
    Ok(())
}

/// Whether the time is over, and on whose account; or what is left of it.
fn over(operation: Uuid) -> Result<std::result::Result<RevertedBy, Duration>> {
    // Without a deadline there is nobody who could have asked for more time.
    let Some(deadline) = deadline::read(operation)? else { return Ok(Ok(RevertedBy::Timer)) };
    Ok(deadline.left().map_or(Ok(deadline.by), Err))
}

/// Puts the previous system back, unless a commit or more time came while the machine was waited for.
fn put_back(files: &Files, by: RevertedBy) -> Result<()> {
    let operation = files.operation();
    let _lock = Lock::machine_within(&format!("the way back of operation {operation}"), PATIENCE)?;
    let Some(record) = files.read()?.filter(Record::is_pending) else { return Ok(()) };
    match over(operation)? {
        Err(_) => Ok(()),
        Ok(_) => back::go(files, record, by),
    }
}
