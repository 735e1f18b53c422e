//! What has changed of a service's directories since the state that a copy of them is in: it takes as long as there is changed, and
//! not as long as there is.
//!
//! restic goes through everything at every snapshot, and sets the metadata of everything at every restore. While services stand
//! still for a migration, a target that has all but the last changes need not wait for that. So a pass that somebody follows gives
//! each state that it finds a name, and makes up to two snapshots of it: one of what has changed since the state before (a *delta*),
//! and one of everything, as any other. Both have the tag `at:STATE`; the delta also has `delta:SERVICE`, `from:STATE` and the tag
//! of a live pass, as it cannot be brought back by itself. What is not a file that comes stands in the delta's file [`changes`](berth_delta::changes).
//! Which snapshots lead from one state to another, [`Chain`](berth_delta::Chain) tells.
//!
//! Nothing depends on it but time. Where no delta can be made or followed, everything is; whoever follows deltas compares in the
//! end.
//!
//! | module | subject |
//! | --- | --- |
//! | [`listing`] | what a service's directories held, at the source |
//! | `send` | a delta is made |
//! | `apply` | a delta is followed |

mod apply;
mod listing;
mod send;

use std::ffi::CString;
use std::fs::Metadata;
use std::path::Path;

use rustix::io::Errno;

pub(crate) use send::forget;

pub(super) use apply::{Delta, forget_state, set_state, state_of};
pub(super) use send::{Found, Made, Tracked};

/// The most bytes that the names of something's extended attributes have (XATTR_LIST_MAX).
const MAX_NAMES: usize = 65_536;

/// The names of the extended attributes that somebody has given a folder; those of the system's own security are not among them.
fn attributes(list: &mut dyn FnMut(&mut [u8]) -> rustix::io::Result<usize>) -> std::io::Result<Vec<CString>> {
    let mut names = vec![0; MAX_NAMES];
    let length = match list(&mut names) {
        // Not every file system knows any.
        Err(Errno::NOTSUP) => 0,
        length => length?,
    };
    let names = names[..length].split_inclusive(|byte| *byte == 0);
    let names = names.filter_map(|name| CString::from_vec_with_nul(name.to_vec()).ok());
    Ok(names.filter(|name| !name.as_bytes().starts_with(b"security.")).collect())
}

/// How an entry stands to an earlier listing.
enum Change<'a> {
    /// It is new or not the same.
    Comes(&'a Path, &'a Metadata),
    /// It is the same.
    Stays(&'a Path),
    /// It is not there any more.
    Goes(&'a Path),
}
