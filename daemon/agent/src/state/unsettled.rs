//! The agent that a boot has to run before the services start, while a restore is not over, or the database server keeps what changes
//! for somebody who may be gone.
//!
//! A tenant's system has a unit for it, `berth-settle.service` (modules/tenant/state.nix), which does nothing where this link is
//! not there. It leads to the very agent that restores, as that of the system may be older and not understand its records.

use super::record::Files;
use super::replica::slots;
use crate::entry::Myself;
use crate::failure::Result;
use crate::roots;

/// With the path's own name: `/nix/var/nix/gcroots/berth/unsettled-agent`.
const WORK: &str = "unsettled";

/// Has a boot run this program, until [`release`].
pub(super) fn keep(myself: &Myself) -> Result<()> {
    roots::keep(WORK, [("agent", myself.program()?.as_path())])
}

/// Has a boot run nothing any more, unless there is still something to be undone. What nobody can read may be that.
pub(super) fn release(any: &Files) {
    let is_settled = |files: Files| match files.read() {
        Ok(record) => record.is_none_or(|record| record.undo.is_none()),
        Err(_) => false,
    };
    if !slots::are_expected() && any.all().into_iter().all(is_settled) {
        roots::release(WORK);
    }
}
