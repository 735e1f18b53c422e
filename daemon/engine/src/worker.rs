//! Claims operations, a bounded number at once, and hears what other daemons tell.

use std::sync::Arc;
use std::time::Duration;

use berth_store::{Claim, Claimed, News};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::engine::{Engine, Shared};
use crate::hub::locked;
use crate::journal::Journal;
use crate::records::Listening;
use crate::runner::{Beginning, Runner};
use crate::tenure::Tenure;

/// How often work is looked for although nobody told of any: leases run out in silence, and news may be lost.
const POLL: Duration = Duration::from_secs(5);

/// How many events are read at once for those who follow an operation that runs elsewhere.
const BATCH: u32 = 500;

/// Claims until the engine stops.
pub(crate) async fn work(engine: Engine) {
    let slots = Arc::clone(&engine.shared.slots);
    let stopping = engine.shared.stopping.clone();
    let mut restarted = true;
    loop {
        // Registered before looking, so that nothing queued in between is missed.
        let news = engine.shared.queued.notified();
        let Some(found) = stopping.run_until_cancelled(claim(&engine, &slots, restarted)).await else {
            return;
        };
        match found {
            Found::Something => continue,
            Found::Nothing => restarted = false,
            Found::Trouble => {}
        }
        if stopping.run_until_cancelled(tokio::time::timeout(POLL, news)).await.is_none() {
            return;
        }
    }
}

/// What came of a look for work.
enum Found {
    /// An operation; there may be more.
    Something,
    /// There is nothing to do.
    Nothing,
    /// The database did not answer.
    Trouble,
}

/// Claims one operation once there is room. A daemon that has just started also takes what its predecessor left.
async fn claim(engine: &Engine, slots: &Arc<Semaphore>, restarted: bool) -> Found {
    // Nobody closes the semaphore.
    let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return Found::Trouble };
    let shared = &engine.shared;
    let claim = Claim {
        owner: shared.options.replica.clone(),
        lasting: shared.options.lease,
        except: locked(&shared.running).keys().copied().collect(),
        restarted,
    };
    let since = Instant::now();
    match shared.records.claim(&claim).await {
        Ok(Some(claimed)) => {
            begin(engine, claimed, slot, since);
            Found::Something
        }
        Ok(None) => Found::Nothing,
        Err(error) => {
            tracing::error!(%error, "cannot claim operations");
            Found::Trouble
        }
    }
}

fn begin(engine: &Engine, claimed: Claimed, slot: OwnedSemaphorePermit, since: Instant) {
    let Claimed { operation, hold, taken_over } = claimed;
    let (id, shared) = (operation.id, Arc::clone(&engine.shared));
    let beginning = if taken_over { Beginning::TakenOver } else { Beginning::Claimed };
    tracing::info!(operation = %id, tenant = %operation.tenant, fence = hold.fence, taken_over, "claimed");
    let tenure = Tenure::new(hold, &shared.stopping);
    if operation.cancel_requested {
        tenure.cancel();
    }
    locked(&shared.running).insert(id, Arc::clone(&tenure));
    engine.shared.tasks.spawn(async move {
        let keeping = Arc::clone(&tenure).keep(Arc::clone(&shared.records), shared.options.lease, since);
        let keeping = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(keeping));
        let journal = Journal::new(Arc::clone(&shared), Arc::clone(&tenure), operation);
        Runner::new(Arc::clone(&shared), journal, tenure).run(beginning).await;
        drop(keeping);
        locked(&shared.running).remove(&id);
        drop(slot);
        shared.queued.notify_one();
        shared.fleet.look_again();
    });
}

/// Passes on what other daemons tell, until the engine stops.
pub(crate) async fn listen(shared: Arc<Shared>, mut listener: Box<dyn Listening>) {
    let stopping = shared.stopping.clone();
    while let Some(news) = stopping.run_until_cancelled(listener.next()).await {
        match news {
            News::Queued => shared.queued.notify_one(),
            News::Cancel(id) => {
                if let Some(tenure) = locked(&shared.running).get(&id) {
                    tenure.cancel();
                }
                // One that is still queued is ended by whoever claims it.
                shared.queued.notify_one();
            }
            News::Events(id, last) => relay(&shared, id, last).await,
            News::Missed => {
                shared.queued.notify_one();
                shared.hub.doubt_all();
            }
        }
    }
}

/// Reads the events of an operation that runs elsewhere, once for all who follow it here.
async fn relay(shared: &Shared, id: berth_domain::OperationId, last: i64) {
    let Some(channel) = shared.hub.followed(id) else { return };
    let known = channel.last().max(last - i64::from(BATCH));
    if known >= last {
        return;
    }
    match shared.records.events(id, known, BATCH).await {
        Ok(page) => channel.publish(&page.events),
        Err(error) => {
            tracing::warn!(operation = %id, %error, "cannot read the events that another daemon told of");
            channel.doubt();
        }
    }
}
