//! Work on a thread of its own, for as long as somebody may wait for it.

use tokio_util::sync::CancellationToken;

use crate::ports::Bounds;

/// Why work ended without an outcome.
pub(super) enum Ended<E> {
    /// It failed.
    Failed(E),
    /// It took longer than it may.
    Late,
}

/// Waits for work, and has it end where nobody may wait any longer: nothing goes on unseen. What it then says is not told, if
/// `is_the_end` knows it.
pub(super) async fn in_time<T, E>(
    bounds: &Bounds,
    cancel: &CancellationToken,
    is_the_end: impl Fn(&E) -> bool,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Ended<E>> {
    // Also where whoever waits is dropped.
    let _end = cancel.clone().drop_guard();
    let mut work = std::pin::pin!(work);
    match tokio::time::timeout(bounds.timeout, &mut work).await {
        Ok(done) => done.map_err(Ended::Failed),
        Err(_) => {
            cancel.cancel();
            match work.await {
                Err(error) if is_the_end(&error) => Err(Ended::Late),
                done => done.map_err(Ended::Failed),
            }
        }
    }
}
