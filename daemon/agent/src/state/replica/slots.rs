//! How long slots live. What a slot keeps fills the source's disk, up to the server's own bound (`max_slot_wal_keep_size`), so none
//! outlives what it is for: a note says that there may be some, from before the first is made until the last is gone.
//!
//! They go with the last pass, when the capture is given up, before any other work on the state, when the machine boots, and by a
//! timer once nobody has gone on for long.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use super::prefix;
use crate::entry::Myself;
use crate::failure::{Result, io};
use crate::files::{Draft, remove_if_there};
use crate::places::SLOTS;
use crate::postgres::slot::{self, Which};
use crate::state::record::{Files, Kind, Name};
use crate::state::unsettled;
use crate::systemd;
use crate::transient::{Transient, own_command};

/// What lets go of them once nobody has gone on.
const TIMER: &str = "berth-slots.timer";
const SERVICE: &str = "berth-slots.service";

/// How long nobody has to have gone on: longer than the source of a migration waits for its target.
const PATIENCE: Duration = Duration::from_secs(26 * 3600);

/// How long letting go of them may take once it is to stop.
const STOP: Duration = Duration::from_secs(300);

/// How long after a failure it is tried again.
const PAUSE: Duration = Duration::from_secs(600);

/// Before the first slot is made: whatever happens from here on, it goes.
pub(super) fn expect(myself: &Myself) -> Result<()> {
    unsettled::keep(myself)?;
    Draft::of(Path::new(SLOTS)).and_then(Draft::replace).map_err(io(format!("cannot write {SLOTS}")))?;
    renew(myself)
}

/// Somebody goes on: the timer waits anew.
pub(in crate::state) fn renew(myself: &Myself) -> Result<()> {
    if !are_expected() {
        return Ok(());
    }
    systemd::stop(TIMER)?;
    let own = own_command(myself, &["run-release"])?;
    let service = Transient::new(SERVICE, "Berth lets go of what nobody follows any more", STOP, own);
    // Another may have started it meanwhile.
    service.again_after(PAUSE).start_after(PATIENCE)
}

/// Whether there may be slots.
pub(in crate::state) fn are_expected() -> bool {
    Path::new(SLOTS).exists()
}

/// Lets go of an operation's slots.
pub(in crate::state) fn release(operation: Uuid) -> Result<()> {
    let prefix = prefix(operation);
    drop_those(Which::With(&prefix))
}

/// Lets go of those of other operations.
pub(in crate::state) fn release_others(operation: Uuid) -> Result<()> {
    let prefix = prefix(operation);
    drop_those(Which::Without(&prefix))
}

/// Lets go of all of them.
pub(crate) fn release_all() -> Result<()> {
    drop_those(Which::All)
}

/// Lets go of those that an operation has made of a database.
pub(super) fn release_of(prefix: &str, database: &str) -> Result<()> {
    drop_those(Which::Of { prefix, database })
}

/// Lets go of one.
pub(super) fn release_one(stream: &str) -> Result<()> {
    drop_those(Which::With(stream))
}

fn drop_those(which: Which<'_>) -> Result<()> {
    if !are_expected() {
        return Ok(());
    }
    slot::drop_all(which)?;
    if !slot::any()? {
        remove_if_there(Path::new(SLOTS)).map_err(io(format!("cannot remove {SLOTS}")))?;
        systemd::stop(TIMER)?;
        unsettled::release(&Files::of(Name { operation: Uuid::nil(), kind: Kind::Restore }));
    }
    Ok(())
}
