//! By the operation that called us: over the Unix socket that it listens on, in the words of
//! [`berth_protocol::nixops4`].

use std::path::PathBuf;

use async_trait::async_trait;
use berth_protocol::MAX_LINE;
use berth_protocol::nixops4::{Line, Question, StateChange};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::UnixStream;

use crate::backend::{Backend, ProviderError};
use crate::resources::{Deployed, Deployment, StateOf};

/// The operation behind a socket.
pub struct Operation {
    socket: PathBuf,
    stream: Option<BufStream<UnixStream>>,
}

impl Operation {
    /// The operation that listens there. Connects to nothing yet.
    pub fn at(socket: PathBuf) -> Self {
        Self { socket, stream: None }
    }

    /// Asks and returns the answer.
    async fn ask(&mut self, question: &Question) -> Result<Line, ProviderError> {
        let gone = |error: std::io::Error| {
            ProviderError::Operation(format!("the operation that started this is gone: {error}"))
        };
        if self.stream.is_none() {
            self.stream = Some(BufStream::new(UnixStream::connect(&self.socket).await.map_err(gone)?));
        }
        let Some(stream) = &mut self.stream else {
            return Err(gone(std::io::ErrorKind::NotConnected.into()));
        };
        let mut text = serde_json::to_vec(question).map_err(|error| gone(error.into()))?;
        text.push(b'\n');
        if text.len() > MAX_LINE {
            return Err(ProviderError::Operation(format!(
                "a change of the state has at most {MAX_LINE} bytes"
            )));
        }
        stream.write_all(&text).await.map_err(gone)?;
        stream.flush().await.map_err(gone)?;
        let mut line = Vec::new();
        // The state comes in one line, and may be as large as it may be.
        let mut bounded = (&mut *stream).take(8 * MAX_LINE as u64);
        if bounded.read_until(b'\n', &mut line).await.map_err(gone)? == 0 {
            return Err(gone(std::io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_slice(&line) {
            Ok(Line::Failed(message)) => Err(ProviderError::Operation(message)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(unexpected()),
        }
    }
}

fn unexpected() -> ProviderError {
    ProviderError::Operation(
        "the operation that started this answers something else than what was asked".into(),
    )
}

#[async_trait]
impl Backend for Operation {
    async fn deploy(&mut self, wanted: &Deployment) -> Result<Deployed, ProviderError> {
        let question =
            Question::Activate { machine: wanted.machine.to_string(), system: wanted.system.clone() };
        match self.ask(&question).await? {
            Line::Activated { operation, revision } => {
                Ok(Deployed { system: wanted.system.clone(), revision, operation: operation.to_string() })
            }
            _ => Err(unexpected()),
        }
    }

    /// The operation's own tenant has one; that it is asked about no other is seen when it is asked.
    async fn check_state(&mut self, _: &StateOf) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn take_state(&mut self, of: &StateOf) -> Result<Value, ProviderError> {
        match self.ask(&Question::ReadState { tenant: of.tenant.to_string() }).await? {
            Line::State(state) => Ok(state),
            _ => Err(unexpected()),
        }
    }

    async fn look_at_state(&mut self, of: &StateOf) -> Result<Value, ProviderError> {
        self.take_state(of).await
    }

    async fn change_state(&mut self, of: &StateOf, change: StateChange) -> Result<(), ProviderError> {
        match self.ask(&Question::ChangeState { tenant: of.tenant.to_string(), change }).await? {
            Line::Kept => Ok(()),
            _ => Err(unexpected()),
        }
    }

    /// The operation gives everything back when the connection ends.
    async fn close(&mut self) {
        self.stream = None;
    }
}
