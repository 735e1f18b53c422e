//! An operation that waits for people, or for another provider, leaves its slot to one that does not.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::engine::Shared;

/// An operation that stands aside, until this is dropped.
pub(crate) struct Aside {
    slots: Arc<Semaphore>,
}

impl Shared {
    /// Has another operation run in place of the caller's as long as the answer lives.
    pub(crate) fn step_aside(&self) -> Aside {
        self.slots.add_permits(1);
        Aside { slots: Arc::clone(&self.slots) }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // The operation goes on at once: it is the next one that waits until a slot is free.
        let slots = Arc::clone(&self.slots);
        tokio::spawn(async move {
            if let Ok(slot) = slots.acquire_owned().await {
                slot.forget();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slot_is_there_while_somebody_stands_aside_and_not_any_more_afterwards() {
        let slots = Arc::new(Semaphore::new(0));
        slots.add_permits(1);
        let aside = Aside { slots: Arc::clone(&slots) };
        let other = Arc::clone(&slots).try_acquire_owned().unwrap();
        drop(aside);
        drop(other);
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        assert_eq!(slots.available_permits(), 0);
    }
}
