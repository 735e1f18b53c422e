//! Daemons of this host's own store. One that has answered is kept for the next question for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_remote::Running;

use super::WorkerError;
use super::peer::{Peer, Refusal};
use crate::error::NixError;
use crate::nix::Nix;

/// How many are kept.
const MOST: usize = 8;

/// How old one may get and still be asked: Nix and its settings may be other ones since it was started.
const LIFE: Duration = Duration::from_secs(30);

/// Daemons that wait.
#[derive(Debug, Default, Clone)]
pub(crate) struct Idle(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    peers: Vec<Peer>,
    /// Whether somebody will look after those that are too old.
    watched: bool,
}

impl Waiting {
    fn end_the_old(&mut self) {
        self.peers.retain(|peer| peer.since.elapsed() < LIFE);
    }
}

impl Idle {
    fn with<T>(&self, work: impl FnOnce(&mut Waiting) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One that answers; the last one first: those that nobody needs get old.
    async fn take(&self) -> Option<Peer> {
        let next = || {
            self.with(|waiting| {
                waiting.end_the_old();
                waiting.peers.pop()
            })
        };
        while let Some(mut peer) = next() {
            // It may have been killed meanwhile.
            if peer.worker.valid(std::iter::empty()).await.is_ok() {
                return Some(peer);
            }
        }
        None
    }

    fn keep(&self, peer: Peer) {
        peer.forget_its_words();
        let unwatched = self.with(|waiting| {
            if waiting.peers.len() < MOST {
                waiting.peers.push(peer);
            }
            !std::mem::replace(&mut waiting.watched, true)
        });
        if unwatched {
            let idle = self.clone();
            tokio::spawn(async move { while idle.look_after_a_while().await {} });
        }
    }

    /// Whether some are left.
    async fn look_after_a_while(&self) -> bool {
        tokio::time::sleep(LIFE).await;
        self.with(|waiting| {
            waiting.end_the_old();
            waiting.watched = !waiting.peers.is_empty();
            waiting.watched
        })
    }
}

/// A daemon of this host's store, for one question.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) peer: Peer,
    idle: Idle,
}

impl Nix {
    /// A daemon of this host's store.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] with why none answers.
    pub(crate) async fn here(&self) -> Result<Here, NixError> {
        let idle = self.idle().clone();
        let peer = match idle.take().await {
            Some(peer) => peer,
            None => {
                let program = self.options().program.to_string_lossy();
                Peer::greet(Running::start(self.nix_daemon(None)), &program, failed).await?
            }
        };
        Ok(Here { peer, idle })
    }
}

impl Here {
    /// Keeps it for the next question where this one was answered, and ends it otherwise.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] with what it said.
    pub(crate) async fn done<T>(self, answer: Result<T, WorkerError>) -> Result<T, NixError> {
        match answer {
            Ok(answer) => {
                self.idle.keep(self.peer);
                Ok(answer)
            }
            Err(error) => Err(failed(self.peer.explained(error).await)),
        }
    }
}

fn failed(Refusal(message): Refusal) -> NixError {
    NixError::CommandFailed { command: "nix-daemon", message }
}
