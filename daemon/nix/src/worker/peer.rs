//! The process that is asked.

use std::sync::{Arc, Mutex, PoisonError};

use berth_remote::{Ending, Running};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::{LAST_WORDS, Worker, WorkerError};
use crate::error::NixError;
use crate::log::clean;

/// The most that is kept of what the process writes besides, in bytes.
const MAX_WORDS: usize = 16 * 1024;

/// A `nix-daemon --stdio` that was greeted, here or behind `ssh`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) worker: Worker<pipe::Receiver, pipe::Sender>,
    /// When it was started.
    pub(crate) since: Instant,
    process: Process,
}

#[derive(Debug)]
struct Process {
    ending: Ending,
    words: Words,
    reading: AbortOnDropHandle<()>,
}

/// What a process wrote besides.
#[derive(Debug, Default, Clone)]
struct Words(Arc<Mutex<Vec<u8>>>);

/// Why a peer did not do what it should, with what its process wrote.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Peer {
    /// Greets a daemon that was started. `program` is what was to be started.
    ///
    /// # Errors
    /// [`NixError::Io`] or [`NixError::NotFound`] where it could not be started, and what `refused` makes of its refusal.
    pub(crate) async fn greet(
        started: std::io::Result<Running>,
        program: &str,
        refused: impl FnOnce(Refusal) -> NixError,
    ) -> Result<Self, NixError> {
        let since = Instant::now();
        let Running { input, output, words: stderr, ending } =
            started.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => NixError::NotFound { program: program.to_owned() },
                _ => NixError::io(program)(error),
            })?;
        let words = Words::default();
        let reading = AbortOnDropHandle::new(tokio::spawn(words.clone().read(stderr)));
        let process = Process { ending, words, reading };
        match Worker::greet(output, input).await {
            Ok(worker) => Ok(Self { worker, since, process }),
            Err(error) => Err(refused(process.explained(error).await)),
        }
    }

    /// What it wrote until now has nothing to do with the next question.
    pub(crate) fn forget_its_words(&self) {
        self.process.words.with(Vec::clear);
    }

    /// Ends it, after it failed.
    pub(crate) async fn explained(self, error: WorkerError) -> Refusal {
        let Self { worker, process, .. } = self;
        // Whoever waits for a question is not asked any more.
        drop(worker);
        process.explained(error).await
    }
}

impl Process {
    /// What the store said; where it said nothing, what the process wrote.
    async fn explained(self, error: WorkerError) -> Refusal {
        if matches!(error, WorkerError::Refused(_) | WorkerError::NotValid(_)) {
            return Refusal(error.to_string());
        }
        // Without its words there is still the error, and one that does not end is ended when it is dropped.
        let ended = async {
            // In this order: with the status, a connection that is shared hangs up.
            let _ = self.reading.await;
            let _ = self.ending.status().await;
        };
        let _ = timeout(LAST_WORDS, ended).await;
        let words = self.words.with(|words| clean(&String::from_utf8_lossy(words)));
        let words = words.trim();
        Refusal(if words.is_empty() { error.to_string() } else { format!("{words}\n{error}") })
    }
}

impl Words {
    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads all that a process writes, lest it should block, and keeps the beginning.
    async fn read(self, mut stderr: pipe::Receiver) {
        let mut piece = [0; 4096];
        // Where it cannot be read, nothing more is known.
        while let Ok(read @ 1..) = stderr.read(&mut piece).await {
            self.with(|words| {
                let room = MAX_WORDS.saturating_sub(words.len()).min(read);
                words.extend_from_slice(&piece[..room]);
            });
        }
    }
}
