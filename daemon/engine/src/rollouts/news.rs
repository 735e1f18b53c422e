//! That something happened which a rollout may want to know of. Unlike `tokio::sync::watch`, which wakes those who wait in an
//! order of its own choice, it wakes them as they came: a simulated world is the same every time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// Counts what happened. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct News(Arc<Inner>);

#[derive(Default)]
struct Inner {
    count: AtomicU64,
    told: Notify,
}

/// Somebody who wants to know.
pub(super) struct Reader {
    news: News,
    seen: u64,
}

impl News {
    /// Something happened.
    pub(super) fn tell(&self) {
        self.0.count.fetch_add(1, Ordering::Release);
        self.0.told.notify_waiters();
    }

    /// A reader who knows of everything so far.
    pub(super) fn subscribe(&self) -> Reader {
        Reader { news: self.clone(), seen: self.count() }
    }

    fn count(&self) -> u64 {
        self.0.count.load(Ordering::Acquire)
    }
}

impl Reader {
    /// Knows of everything so far; to be called before looking, so that nothing falls between looking and waiting.
    pub(super) fn mark_seen(&mut self) {
        self.seen = self.news.count();
    }

    /// Waits until something happens that it does not know of.
    pub(super) async fn changed(&self) {
        // Told of what comes from here on, before it looks what came.
        let told = self.news.0.told.notified();
        if self.news.count() == self.seen {
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_happens_between_looking_and_waiting_is_not_missed() {
        let news = News::default();
        let mut reader = news.subscribe();
        news.tell();
        let waited = tokio::time::timeout(Duration::from_secs(1), reader.changed()).await;
        assert!(waited.is_ok());
        reader.mark_seen();
        let nothing = tokio::time::timeout(Duration::from_secs(1), reader.changed()).await;
        assert!(nothing.is_err());
        let told = async { tokio::join!(reader.changed(), async { news.tell() }) };
        assert!(tokio::time::timeout(Duration::from_secs(1), told).await.is_ok());
    }
}
