//! Commands on other machines, over SSH connections that are open.
//!
//! An `ssh` that only hands its streams to a connection that is open already takes as long to start as many a command takes to
//! run. So the process that holds the connection is asked directly, at its control socket, as `ssh` itself asks it (OpenSSH's
//! `PROTOCOL.mux`); where it refuses or is not there, `ssh` is started after all, and has its own ways and words. Neither has a limit: one that
//! listens and says nothing is waited for, as `ssh` would.
//!
//! | module | subject |
//! | --- | --- |
//! | [`shared`] | asking the process that holds a connection |
//! | [`ending`] | how a command ended |

pub mod ending;
pub mod shared;

use std::io;
use std::path::Path;
use std::process::Stdio;

use tokio::net::unix::pipe;
use tokio::process::Command;

pub use ending::Ending;

/// A command that runs, here or on another machine, and its three streams. Dropping [`Ending`] ends a local command, and hangs up
/// on one of another machine.
#[derive(Debug)]
pub struct Running {
    /// What it reads.
    pub input: pipe::Sender,
    /// What it writes.
    pub output: pipe::Receiver,
    /// What it writes to its standard error.
    pub words: pipe::Receiver,
    /// Its end.
    pub ending: Ending,
}

impl Running {
    /// Starts a command on the machine that is connected with at a control socket; by what `ssh` makes, a command that does the same, where
    /// nobody does so at the socket. The words are joined by spaces and read by the other user's shell, as `ssh` has it.
    ///
    /// # Errors
    /// Where `ssh` cannot be started.
    pub async fn over(socket: &Path, words: &[&str], ssh: impl FnOnce() -> Command) -> io::Result<Self> {
        match shared::start(socket, words).await {
            Ok(running) => Ok(running),
            Err(error) => {
                tracing::debug!(socket = %socket.display(), %error, "the connection is not shared; ssh is started");
                Self::start(ssh())
            }
        }
    }

    /// Starts a command of this host, in a process group of its own. It is killed when its [`Ending`] is dropped.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let (streams, theirs) = Streams::new()?;
        let [stdin, stdout, stderr] = theirs.map(Stdio::from);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        Ok(streams.with(Ending::of_program(child)))
    }
}

/// Our ends of three pipes.
struct Streams {
    input: pipe::Sender,
    output: pipe::Receiver,
    words: pipe::Receiver,
}

impl Streams {
    /// Three pipes: our ends, and the command's, which block.
    fn new() -> io::Result<(Self, [std::os::fd::OwnedFd; 3])> {
        let (input, stdin) = pipe::pipe()?;
        let (stdout, output) = pipe::pipe()?;
        let (stderr, words) = pipe::pipe()?;
        let theirs = [stdin.into_blocking_fd()?, stdout.into_blocking_fd()?, stderr.into_blocking_fd()?];
        Ok((Self { input, output, words }, theirs))
    }

    fn with(self, ending: Ending) -> Running {
        let Self { input, output, words } = self;
        Running { input, output, words, ending }
    }
}
