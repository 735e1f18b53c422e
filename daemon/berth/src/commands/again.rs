//! Changes that are based on a version: where somebody else was faster, they are made anew on top of theirs.

use berth_client::ClientError;

use crate::failure::{Failure, Result};

/// How often one is made.
const ATTEMPTS: u32 = 5;

/// Reads, changes and writes by `change`, and does all of it again where it is refused with one of these statuses.
pub(super) async fn where_refused<T>(
    statuses: &[u16],
    mut change: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    for _ in 1..ATTEMPTS {
        match change().await {
            Err(Failure::Client(ClientError::Refused(problem))) if statuses.contains(&problem.status) => {}
            answer => return answer,
        }
    }
    change().await
}
