//! The process that is asked.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Worker, WorkerError};
use crate::error::NixError;
use crate::log::clean;

/// The most that is kept of what the process writes besides, in bytes.
const MAX_WORDS: u64 = 16 * 1024;

/// How long its last words are waited for.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A `nix-daemon --stdio` that was greeted, here or behind `ssh`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) worker: Worker<ChildStdout, ChildStdin>,
    /// When it was started.
    pub(crate) since: Instant,
    process: Process,
}

#[derive(Debug)]
struct Process {
    child: Child,
    words: JoinHandle<String>,
}

/// Why a peer did not do what it should, with what its process wrote.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Peer {
    /// Starts the process and greets it.
    ///
    /// # Errors
    /// [`NixError::Io`] or [`NixError::NotFound`] where it cannot be started, and what `refused` makes of its refusal.
    pub(crate) async fn start(
        mut command: Command,
        program: &str,
        refused: impl FnOnce(Refusal) -> NixError,
    ) -> Result<Self, NixError> {
        let since = Instant::now();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let mut child = child.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => NixError::NotFound { program: program.to_owned() },
            _ => NixError::io(program)(error),
        })?;
        let streams = (child.stdout.take(), child.stdin.take(), child.stderr.take());
        let (Some(output), Some(input), Some(stderr)) = streams else {
            return Err(NixError::io(program)(std::io::Error::other("its streams were not piped")));
        };
        let mut process = Process { child, words: tokio::spawn(words(stderr)) };
        match Worker::greet(output, input).await {
            Ok(worker) => Ok(Self { worker, since, process }),
            Err(error) => Err(refused(process.explained(error).await)),
        }
    }

    /// Whether it has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// Ends it, after it failed.
    pub(crate) async fn explained(mut self, error: WorkerError) -> Refusal {
        self.process.explained(error).await
    }
}

impl Process {
    /// What the store said; where it said nothing, what the process wrote.
    async fn explained(&mut self, error: WorkerError) -> Refusal {
        let _ = self.child.start_kill();
        let silent = matches!(error, WorkerError::Io(_) | WorkerError::Garbled(_));
        // Without its words there is still the error.
        let words = match silent {
            true => timeout(LAST_WORDS, &mut self.words).await.ok().and_then(Result::ok).unwrap_or_default(),
            false => String::new(),
        };
        let words = clean(&words).trim().to_owned();
        Refusal(if words.is_empty() { error.to_string() } else { format!("{words}\n{error}") })
    }
}

/// Reads all that a process writes, lest it should block, and keeps the beginning.
async fn words(mut stderr: ChildStderr) -> String {
    let mut kept = Vec::new();
    // Where it cannot be read, nothing is known of it.
    let _ = (&mut stderr).take(MAX_WORDS).read_to_end(&mut kept).await;
    let mut rest = tokio::io::sink();
    let _ = tokio::io::copy(&mut stderr, &mut rest).await;
    let _ = rest.shutdown().await;
    String::from_utf8_lossy(&kept).into_owned()
}
