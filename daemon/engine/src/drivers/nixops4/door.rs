//! The socket of a running operation, and the talk with one provider. It stands in a folder that only the daemon's own
//! account can enter, for as long as the apply takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::TenantName;
use berth_protocol::nixops4::{Line, Question};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::state::HeldState;
use crate::engine::Shared;
use crate::error::StepError;
use crate::steps::Context;

/// How long providers may take to hang up once the apply is over.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often the lease of a state is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(15);

/// Somebody wants the machine switched.
pub(super) struct Wanted {
    pub(super) machine: String,
    pub(super) system: String,
    reply: oneshot::Sender<Line>,
}

impl Wanted {
    /// Answers. Whoever asked may be gone.
    pub(super) fn answer(self, line: Line) {
        let _ = self.reply.send(line);
    }
}

/// What every talk needs.
#[derive(Clone)]
struct Talk {
    shared: Arc<Shared>,
    tenant: TenantName,
    holder: String,
    wants: mpsc::Sender<Wanted>,
}

pub(super) struct Door {
    folder: TempDir,
    listener: UnixListener,
    wanted: mpsc::Receiver<Wanted>,
    talk: Talk,
    talks: JoinSet<()>,
}

impl Door {
    /// Opens the operation's door.
    pub(super) fn open(context: &Context) -> Result<Self, StepError> {
        let failed = |error: std::io::Error| {
            StepError::failed("internal", format!("cannot listen for nixops4's providers: {error}"))
        };
        // A path of a socket has at most 107 bytes, so not below the daemon's own folder. Mode 0700.
        let folder = tempfile::Builder::new().prefix("berth-nixops4-").tempdir().map_err(failed)?;
        let listener = UnixListener::bind(folder.path().join("socket")).map_err(failed)?;
        let (wants, wanted) = mpsc::channel(1);
        let talk = Talk {
            shared: Arc::clone(&context.shared),
            tenant: context.tenant.clone(),
            holder: format!("operation {}", context.operation),
            wants,
        };
        Ok(Self { folder, listener, wanted, talk, talks: JoinSet::new() })
    }

    /// The socket's path.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The next wish that the machine be switched. Whatever else is asked for is answered meanwhile.
    pub(super) async fn next(&mut self) -> Wanted {
        loop {
            tokio::select! {
                Some(wanted) = self.wanted.recv() => return wanted,
                Ok((stream, _)) = self.listener.accept() => {
                    self.talks.spawn(self.talk.clone().with(stream));
                }
                Some(_) = self.talks.join_next() => {}
            }
        }
    }

    /// Waits until nobody talks any more, so that what they held is given back.
    pub(super) async fn close(mut self) {
        drop((self.listener, self.wanted));
        let _ = timeout(FAREWELL, async { while self.talks.join_next().await.is_some() {} }).await;
    }
}

impl Talk {
    /// Talks with one provider until it hangs up.
    async fn with(self, stream: UnixStream) {
        let mut state = HeldState::new(Arc::clone(&self.shared), self.tenant.clone(), self.holder.clone());
        if let Err(error) = self.exchange(stream, &mut state).await {
            tracing::warn!(tenant = %self.tenant, %error, "a provider of nixops4 hung up");
        }
        state.give_back().await;
    }

    async fn exchange(&self, stream: UnixStream, state: &mut HeldState) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut lines = BufReader::new(reader).lines();
        let mut renew = interval(RENEW_EVERY);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let line = tokio::select! {
                line = lines.next_line() => line?,
                _ = renew.tick() => {
                    state.renew().await;
                    continue;
                }
            };
            let Some(line) = line else { return Ok(()) };
            let answer = match serde_json::from_str(&line) {
                Ok(question) => self.answer(question, state).await,
                Err(_) => Line::Failed("this is no question that an operation answers".into()),
            };
            let mut text = serde_json::to_vec(&answer)?;
            text.push(b'\n');
            writer.write_all(&text).await?;
        }
    }

    async fn answer(&self, question: Question, state: &mut HeldState) -> Line {
        match question {
            Question::Activate { machine, system } => {
                let (reply, answered) = oneshot::channel();
                let over = || Line::Failed("the operation is over".into());
                if self.wants.send(Wanted { machine, system, reply }).await.is_err() {
                    return over();
                }
                answered.await.unwrap_or_else(|_| over())
            }
            Question::ReadState { tenant } | Question::ChangeState { tenant, .. }
                if tenant != self.tenant.as_str() =>
            {
                Line::Failed(format!("this operation is about the tenant {}, not {tenant}", self.tenant))
            }
            Question::ReadState { .. } => {
                state.read().await.map_or_else(|error| Line::Failed(error.to_string()), Line::State)
            }
            Question::ChangeState { change, .. } => {
                let kept = state.change(change).await;
                kept.map_or_else(|error| Line::Failed(error.to_string()), |()| Line::Kept)
            }
        }
    }
}
