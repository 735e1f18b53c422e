//! Copying paths to another store.
//!
//! Nix's own command starts anew for each copy, which takes it longer than a small change takes to send, and tells no bytes in
//! some versions. So both stores are asked here, in Nix's worker protocol: this host's for what there is, the other one for
//! what it lacks.

use std::path::Path;

use berth_domain::Progress;
use berth_domain::progress::Unit;
use berth_remote::Running;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::process::Command;
use tokio::time::Instant;

use crate::error::NixError;
use crate::log::{Throttle, Update};
use crate::nix::{Nix, Run, spawnable};
use crate::store_path::StorePath;
use crate::worker::frames::Frames;
use crate::worker::info::Info;
use crate::worker::peer::{Peer, Refusal};
use crate::worker::wire::Outgoing;
use crate::worker::{Failed, Worker, WorkerError};

/// Where paths are copied to.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The store's URL: `ssh-ng://root@192.0.2.10` without options, or one that this host's own Nix can open.
    pub url: &'a str,
    /// Options for `ssh`, as `NIX_SSHOPTS` holds them: divided by spaces, without quotes.
    pub ssh_options: Option<&'a str>,
    /// Where somebody can be asked who holds an SSH connection with the host; without anybody there, `ssh` connects.
    pub socket: Option<&'a Path>,
}

impl Nix {
    /// Copies paths, and all that they refer to, to another store. What is there already is not copied again.
    ///
    /// Signatures are not asked for: what goes is what this store holds, and a user whom the other store does not
    /// trust cannot write to it.
    ///
    /// Bytes are those of the paths as archives, before compression.
    ///
    /// # Errors
    /// [`NixError::CopyFailed`] with what `ssh` or the other store said; [`NixError::CommandFailed`] when a path is not in this
    /// store.
    pub async fn copy(
        &self,
        paths: &[StorePath],
        to: Destination<'_>,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<(), NixError> {
        if paths.is_empty() {
            return Ok(());
        }
        run.bound(self.send_missing(paths, to, sink)).await
    }

    async fn send_missing(
        &self,
        paths: &[StorePath],
        to: Destination<'_>,
        sink: impl FnMut(Update) + Send,
    ) -> Result<(), NixError> {
        // `ssh` takes as long to start as this store takes to answer.
        let looking = async {
            let mut here = self.here().await?;
            let closure = held_closure(&mut here.peer.worker, paths).await;
            Ok::<_, NixError>((here, closure))
        };
        let (looked, there) = tokio::join!(looking, self.there(to));
        let (mut here, closure) = looked?;
        let closure = match closure {
            Ok(closure) => closure,
            Err(error) => return here.done(Err(error)).await,
        };
        let mut there = there?;
        match send_missing(&mut here.peer.worker, &mut there.worker, &closure, sink).await {
            Ok(()) => here.done(Ok(())).await,
            Err(Failed::Here(error)) => here.done(Err(error)).await,
            Err(Failed::There(error)) => Err(refused(there.explained(error).await)),
        }
    }

    /// The other store's daemon: behind `ssh`, or here.
    pub(crate) async fn there(&self, to: Destination<'_>) -> Result<Peer, NixError> {
        let (program, started) = match to.url.strip_prefix("ssh-ng://") {
            Some(host) => ("ssh", self.over_ssh(host, to).await),
            None => ("nix-daemon", Running::start(self.nix_daemon(Some(to.url)))),
        };
        Peer::greet(started, program, refused).await.map_err(|error| match error {
            NixError::NotFound { program } => {
                NixError::CopyFailed { message: format!("the program “{program}” was not found") }
            }
            error => error,
        })
    }

    async fn over_ssh(&self, host: &str, to: Destination<'_>) -> std::io::Result<Running> {
        const DAEMON: [&str; 2] = ["nix-daemon", "--stdio"];
        let ssh = || {
            let mut ssh = spawnable(Path::new("ssh"));
            self.environment(&mut ssh);
            ssh.args(to.ssh_options.unwrap_or_default().split_whitespace()).args(["--", host]).args(DAEMON);
            lend_the_ssh_agent(ssh.env("LC_ALL", "C"));
            ssh
        };
        match to.socket {
            Some(socket) => Running::over(socket, &DAEMON, ssh).await,
            None => Running::start(ssh()),
        }
    }
}

/// What is to be sent, and stays until it is.
async fn held_closure(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    paths: &[StorePath],
) -> Result<Vec<Info>, WorkerError> {
    here.hold(paths).await?;
    here.closure(paths).await
}

pub(crate) fn refused(Refusal(message): Refusal) -> NixError {
    NixError::CopyFailed { message }
}

/// Sends what the other store lacks of a closure in which whatever others refer to comes before them.
async fn send_missing(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    there: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    closure: &[Info],
    sink: impl FnMut(Update) + Send,
) -> Result<(), Failed> {
    let valid = there.valid(closure.iter().map(|info| &info.path)).await?;
    let missing: Vec<&Info> = closure.iter().filter(|info| !valid.contains(&info.path)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut counted = Counted::of(&missing, sink);
    let (mut frames, answer) = there.add(missing.len()).await?;
    let sending = async {
        for info in missing {
            let mut about = Outgoing::default();
            info.write(&mut about);
            frames.put(about.bytes()).await?;
            send_content(here, info, &mut frames, |bytes| counted.bytes(bytes)).await?;
            counted.path();
        }
        frames.end().await.map_err(Failed::There)
    };
    answer.to(sending).await?;
    counted.finish();
    Ok(())
}

/// Sends a path's content.
pub(crate) async fn send_content(
    here: &mut Worker<impl AsyncRead + Unpin, impl AsyncWrite + Unpin>,
    info: &Info,
    frames: &mut Frames<'_, impl AsyncWrite + Unpin>,
    mut sent: impl FnMut(u64) + Send,
) -> Result<(), Failed> {
    let unreadable =
        |error| Failed::Here(WorkerError::Refused(format!("reading {} failed: {error}", info.path)));
    let mut archive = here.archive(&info.path).await.map_err(unreadable)?;
    let mut length = 0;
    while let Some(bytes) = archive.next().await.map_err(unreadable)? {
        frames.put(bytes).await?;
        length += bytes.len() as u64;
        sent(bytes.len() as u64);
    }
    if length == info.nar_bytes {
        return Ok(());
    }
    let (path, registered) = (&info.path, info.nar_bytes);
    let problem = format!("path '{path}' is damaged here: {length} bytes, not {registered} as registered");
    Err(Failed::Here(WorkerError::Refused(problem)))
}

/// How much was sent.
struct Counted<S> {
    paths: (u64, u64),
    bytes: (u64, u64),
    throttle: Throttle,
    sink: S,
}

impl<S: FnMut(Update)> Counted<S> {
    fn of(missing: &[&Info], sink: S) -> Self {
        let bytes = missing.iter().map(|info| info.nar_bytes).sum();
        let (paths, bytes) = ((0, missing.len() as u64), (0, bytes));
        let mut counted = Self { paths, bytes, throttle: Throttle::default(), sink };
        counted.tell();
        counted
    }

    fn bytes(&mut self, more: u64) {
        self.bytes.0 += more;
        self.tell();
    }

    fn path(&mut self) {
        self.paths.0 += 1;
        self.tell();
    }

    fn tell(&mut self) {
        let now = Instant::now();
        for ((done, expected), unit) in [(self.paths, Unit::Paths), (self.bytes, Unit::Bytes)] {
            let told = self.throttle.offer(Progress::of(done, expected, unit), now);
            told.map(Update::Progress).into_iter().for_each(&mut self.sink);
        }
    }

    fn finish(mut self) {
        self.throttle.flush().into_iter().map(Update::Progress).for_each(self.sink);
    }
}

/// Nothing of this process's environment reaches what it starts, but `ssh` needs the way to whoever holds its keys.
pub(crate) fn lend_the_ssh_agent(command: &mut Command) {
    if let Some(agent) = std::env::var_os("SSH_AUTH_SOCK") {
        command.env("SSH_AUTH_SOCK", agent);
    }
}
