//! Claims queued operations, a bounded number at once.

use std::sync::Arc;
use std::time::Duration;

use berth_domain::Operation;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::engine::Engine;
use crate::hub::locked;
use crate::journal::Journal;
use crate::runner::{Beginning, Runner};

/// How often the queue is looked at although nobody told of news: another daemon may have queued.
const POLL: Duration = Duration::from_secs(5);

/// Takes up what a predecessor left, then claims until the engine stops.
pub(crate) async fn work(engine: Engine) {
    let slots = Arc::new(Semaphore::new(engine.shared.options.parallel_operations));
    let stopping = engine.shared.stopping.clone();
    let taken_up = stopping.run_until_cancelled(take_up(&engine, &slots)).await;
    if taken_up.is_none() {
        return;
    }
    loop {
        // Registered before looking, so that nothing queued in between is missed.
        let news = engine.shared.queued.notified();
        let claimed = stopping.run_until_cancelled(claim(&engine, &slots)).await;
        match claimed {
            None => return,
            Some(true) => continue,
            Some(false) => {}
        }
        if stopping.run_until_cancelled(tokio::time::timeout(POLL, news)).await.is_none() {
            return;
        }
    }
}

/// Resumes every operation that was running when the predecessor ended.
async fn take_up(engine: &Engine, slots: &Arc<Semaphore>) {
    let unfinished = loop {
        match engine.shared.store.unfinished_operations().await {
            Ok(operations) => break operations,
            Err(error) => {
                tracing::error!(%error, "cannot read unfinished operations; trying again");
                tokio::time::sleep(POLL).await;
            }
        }
    };
    for operation in unfinished {
        if operation.status == berth_domain::OperationStatus::Running
            && let Some(slot) = slot(slots).await
        {
            tracing::info!(operation = %operation.id, tenant = %operation.tenant, "resuming");
            spawn(engine, operation, Beginning::Resumed, slot);
        }
    }
}

/// Claims one operation if there is room; says whether there may be more.
async fn claim(engine: &Engine, slots: &Arc<Semaphore>) -> bool {
    let Some(slot) = slot(slots).await else { return false };
    match engine.shared.store.claim_queued(1).await {
        Ok(claimed) => {
            let Some(operation) = claimed.into_iter().next() else { return false };
            spawn(engine, operation, Beginning::Claimed, slot);
            true
        }
        Err(error) => {
            tracing::error!(%error, "cannot claim operations");
            false
        }
    }
}

/// A place to run in; nothing if the semaphore was closed, which nobody does.
async fn slot(slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    Arc::clone(slots).acquire_owned().await.ok()
}

fn spawn(engine: &Engine, operation: Operation, beginning: Beginning, slot: OwnedSemaphorePermit) {
    let shared = Arc::clone(&engine.shared);
    let id = operation.id;
    let cancel = shared.stopping.child_token();
    locked(&shared.running).insert(id, cancel.clone());
    engine.shared.tasks.spawn(async move {
        let journal = Journal::new(shared.store.clone(), Arc::clone(&shared.hub), operation, cancel.clone());
        Runner::new(Arc::clone(&shared), journal, cancel).run(beginning).await;
        locked(&shared.running).remove(&id);
        drop(slot);
        shared.queued.notify_one();
    });
}
