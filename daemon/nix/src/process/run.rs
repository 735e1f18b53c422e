//! Running a command to its end, whichever end that is.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::family::Family;
use super::lines::Lines;
use crate::error::NixError;
use crate::log::{Tracker, Update};
use crate::nix::Run;
use crate::store_path::StorePath;

/// How long a child may take to end when asked to, before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// The most that is kept of a child's standard output, in bytes.
const MAX_OUTPUT: usize = 64 * 1024 * 1024;

/// What becomes of a child's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// It is the answer, and kept.
    Kept,
    /// It is told line by line, as what comes on standard error is.
    Told,
}

/// A command that ended by itself.
#[derive(Debug)]
pub(crate) struct Finished {
    status: ExitStatus,
    /// Its standard output; empty where that was told.
    pub(crate) stdout: String,
    tracker: Tracker,
}

impl Finished {
    pub(crate) fn success(&self) -> bool {
        self.status.success()
    }

    /// Its exit code, as a shell would tell it.
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + self.status.signal().unwrap_or(0))
    }

    /// Why it failed: Nix's errors, else what other programs wrote, else the exit status.
    pub(crate) fn message(&self) -> String {
        let texts = [self.tracker.errors(), self.tracker.plain()];
        texts.into_iter().find(|text| !text.is_empty()).unwrap_or_else(|| self.status.to_string())
    }

    /// Why it failed: first what other programs wrote, as `ssh` does, then Nix's errors.
    pub(crate) fn message_of_all(&self) -> String {
        match (self.tracker.plain(), self.tracker.errors()) {
            (plain, errors) if !plain.is_empty() && !errors.is_empty() => format!("{plain}\n{errors}"),
            _ => self.message(),
        }
    }

    /// The derivation that failed and its last lines.
    pub(crate) fn failed_build(&self) -> (Option<String>, Vec<String>) {
        self.tracker.failed_build()
    }

    /// Whether it gave up because nobody builds: it may not itself (`max-jobs` is 0), and no other machine does. The words are
    /// those of Nix's `src/libstore/build/worker.cc`, which begin with a capital in some versions.
    pub(crate) fn found_no_builder(&self) -> bool {
        self.tracker.errors().to_lowercase().contains("unable to start any build")
    }

    /// The store paths that it printed, one a line.
    pub(crate) fn store_paths(&self) -> Result<Vec<StorePath>, NixError> {
        let lines = self.stdout.lines().filter(|line| !line.is_empty());
        lines.map(|line| line.parse().map_err(NixError::from)).collect()
    }
}

/// Runs a command to its end. Its standard error is read as a log.
pub(crate) async fn run(
    mut command: Command,
    program: &str,
    bounds: &Run,
    stdout: Stdout,
    mut sink: impl FnMut(Update) + Send,
) -> Result<Finished, NixError> {
    if bounds.cancel.is_cancelled() {
        return Err(NixError::Cancelled);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let io = |source| NixError::io(program)(source);
    let child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => NixError::NotFound { program: program.to_owned() },
        _ => io(error),
    })?;
    let mut running = Running::new(child, stdout).map_err(io)?;
    let stopped = tokio::select! {
        biased;
        () = bounds.cancel.cancelled() => NixError::Cancelled,
        () = sleep(bounds.timeout) => NixError::Timeout { after: bounds.timeout },
        ended = running.watch(&mut sink) => match ended {
            Ok(status) => return Ok(running.finished(status, &mut sink)),
            Err(error) => io(error),
        },
    };
    running.end().await;
    Err(stopped)
}

/// A child that runs. Dropping it kills it and its descendants at once.
struct Running {
    child: Child,
    /// Nothing once the child is reaped: its number may belong to another process then.
    family: Option<Family>,
    output: Output,
    lines: Lines<BufReader<ChildStderr>>,
    tracker: Tracker,
}

/// A child's standard output.
enum Output {
    Kept { stream: ChildStdout, bytes: Vec<u8> },
    Told(Lines<BufReader<ChildStdout>>),
}

impl Output {
    fn new(stream: ChildStdout, what: Stdout) -> Self {
        match what {
            Stdout::Kept => Self::Kept { stream, bytes: Vec::new() },
            Stdout::Told => Self::Told(Lines::new(BufReader::new(stream))),
        }
    }

    /// Reads on: the next line where it is told, nothing where it is kept; says whether there may be more. Dropping the
    /// future loses nothing.
    async fn read(&mut self) -> std::io::Result<(bool, Option<&[u8]>)> {
        match self {
            Self::Kept { stream, bytes } => {
                let mut buffer = [0; 16 * 1024];
                let read = stream.read(&mut buffer).await?;
                let room = MAX_OUTPUT.saturating_sub(bytes.len()).min(read);
                bytes.extend_from_slice(&buffer[..room]);
                Ok((read > 0, None))
            }
            Self::Told(lines) => {
                let line = lines.next().await?;
                Ok((line.is_some(), line))
            }
        }
    }

    /// What was kept.
    fn take(&mut self) -> String {
        match self {
            Self::Kept { bytes, .. } => String::from_utf8_lossy(&std::mem::take(bytes)).into_owned(),
            Self::Told(_) => String::new(),
        }
    }
}

impl Running {
    fn new(mut child: Child, stdout: Stdout) -> std::io::Result<Self> {
        let family = child.id().and_then(|id| i32::try_from(id).ok()).map(Family::of);
        let (Some(stream), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(std::io::Error::other("the child's output was not piped"));
        };
        let lines = Lines::new(BufReader::new(stderr));
        Ok(Self { child, family, output: Output::new(stream, stdout), lines, tracker: Tracker::default() })
    }

    /// Reads until both outputs end, then waits for the child.
    async fn watch(&mut self, sink: &mut (impl FnMut(Update) + Send)) -> std::io::Result<ExitStatus> {
        let (mut out_open, mut err_open) = (true, true);
        while out_open || err_open {
            let due = self.tracker.due();
            tokio::select! {
                read = self.output.read(), if out_open => {
                    let (open, line) = read?;
                    out_open = open;
                    if let Some(line) = line {
                        self.tracker.line(line, Instant::now(), sink);
                    }
                }
                line = self.lines.next(), if err_open => match line? {
                    Some(line) => self.tracker.line(line, Instant::now(), sink),
                    None => err_open = false,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tracker.tick(Instant::now(), sink);
                }
            }
        }
        let status = self.child.wait().await?;
        self.family = None;
        Ok(status)
    }

    fn finished(mut self, status: ExitStatus, sink: &mut impl FnMut(Update)) -> Finished {
        self.tracker.finish(sink);
        Finished { status, stdout: self.output.take(), tracker: std::mem::take(&mut self.tracker) }
    }

    /// Asks the child to end and waits; kills it when it takes too long; in both cases ends what it left behind.
    async fn end(&mut self) {
        let Some(mut family) = self.family.take() else { return };
        // From here on, a dropped future must still kill: the family goes back as long as the child is not reaped.
        family.look();
        family.terminate();
        self.family = Some(family);
        let ended = timeout(GRACE, self.drained_exit()).await.is_ok();
        if !ended {
            if let Some(family) = &mut self.family {
                family.kill();
            }
            // A killed process ends as soon as the kernel lets it; nobody waits for one that hangs in the kernel.
            let _ = timeout(GRACE, self.child.wait()).await;
        }
        if let Some(mut family) = self.family.take() {
            family.kill_rest();
        }
    }

    /// Waits for the child while its outputs are read, lest it should block on writing.
    async fn drained_exit(&mut self) {
        let (mut out_open, mut err_open) = (true, true);
        loop {
            tokio::select! {
                _ = self.child.wait() => return,
                read = self.output.read(), if out_open => out_open = read.is_ok_and(|(open, _)| open),
                line = self.lines.next(), if err_open => err_open = line.is_ok_and(|line| line.is_some()),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(family) = &mut self.family {
            family.kill();
        }
    }
}
