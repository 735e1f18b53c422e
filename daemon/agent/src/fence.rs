//! The highest fencing number that this machine has seen.
//!
//! A worker whose operation was taken over by another may not know it yet. Its number is lower than its successor's, and
//! so nothing that it asks for is done any more.

use std::io::ErrorKind;
use std::path::Path;

use berth_protocol::{Claim, FailureCode};

use crate::activation::record::starting;
use crate::failure::{Result, failure, io};
use crate::files::write_whole;
use crate::places::FENCE;

/// Refuses a number that is lower than the highest that was seen, and remembers a higher one.
pub(crate) fn check(claim: &Claim) -> Result<()> {
    let _alone = starting()?;
    check_in(Path::new(FENCE), claim.fence)
}

/// The highest number that was seen.
pub(crate) fn highest() -> Result<u64> {
    seen(Path::new(FENCE))
}

fn check_in(path: &Path, fence: u64) -> Result<()> {
    let seen = seen(path)?;
    if fence < seen {
        let message = format!(
            "this machine obeys the fencing number {seen} and not {fence} any more: another worker has taken over"
        );
        return Err(failure(FailureCode::Fenced, message));
    }
    if fence > seen {
        let problem = io(format!("cannot write {}", path.display()));
        write_whole(path, fence.to_string().as_bytes()).map_err(problem)?;
    }
    Ok(())
}

fn seen(path: &Path) -> Result<u64> {
    let problem = || io(format!("cannot read {}", path.display()));
    match std::fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(|_| problem()(ErrorKind::InvalidData.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(problem()(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_number_than_was_seen_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fence");
        for fence in [0, 3, 3, 7] {
            check_in(&path, fence).unwrap();
        }
        let failure = check_in(&path, 6).unwrap_err();
        assert_eq!(failure.code, FailureCode::Fenced);
        check_in(&path, 7).unwrap();
    }
}
