//! Questions to the agent and its answers.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::MachineName;
use berth_protocol::{Answer, Call, Hello, MAX_LINE, Note, PROTOCOL, Reply, Request, Response, StorePath};
use berth_remote::{Ending, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connector::or_cancelled;
use crate::error::MachineError;
use crate::lines::{self, Line};
use crate::ssh::{Endpoint, diagnosis, master};

/// How long the agent, or the `ssh` before it, may take to end once its output has ended.
const ENDING: Duration = Duration::from_secs(5);

/// The most that is kept of what the remote side writes to its standard error, in bytes.
const MAX_STDERR: usize = 16 * 1024;

/// The agent of a machine, running. It ends when this value is dropped; what it started on the machine goes on.
#[derive(Debug)]
pub struct Agent {
    endpoint: Arc<Endpoint>,
    version: String,
    next_id: u64,
    /// Nothing once an answer was not awaited to its end: what came then could not be told from the next answer.
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    input: pipe::Sender,
    output: BufReader<pipe::Receiver>,
    words: JoinHandle<String>,
    ending: Ending,
}

impl Agent {
    /// Awaits the greeting of an agent that was started.
    pub(crate) async fn greet(
        running: Running,
        endpoint: Arc<Endpoint>,
        path: &StorePath,
    ) -> Result<Self, MachineError> {
        let mut connection = Connection::of(running);
        let machine = || endpoint.machine.name.clone();
        let line = match connection.read(&machine()).await? {
            Some(line) => line,
            None => return Err(not_started(connection, &endpoint, path).await),
        };
        let hello: Hello = parse(&machine(), &line)?;
        if hello.protocol != PROTOCOL {
            let (ours, theirs) = (PROTOCOL, hello.protocol);
            return Err(MachineError::AgentProtocol { machine: machine(), ours, theirs });
        }
        Ok(Self { endpoint, version: hello.version, next_id: 1, connection: Some(connection) })
    }

    /// The agent's own version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether further calls can be answered: not once one was lost, cancelled or late.
    pub fn is_usable(&self) -> bool {
        self.connection.is_some()
    }

    /// Asks, and awaits the answer for at most `limit`. Notes on the way are handed on as they come.
    ///
    /// # Errors
    /// [`MachineError::Failed`] is the agent's own refusal; after it, the agent can be asked on. After
    /// [`MachineError::Lost`], [`MachineError::Timeout`], [`MachineError::Cancelled`] and
    /// [`MachineError::AgentGarbled`] it cannot: start another one, and repeat the question, which is safe.
    pub async fn call(
        &mut self,
        request: Request,
        limit: Duration,
        cancel: &CancellationToken,
        on_note: impl FnMut(Note) + Send,
    ) -> Result<Answer, MachineError> {
        let machine = self.endpoint.machine.name.clone();
        let what = name_of(&request);
        let Some(mut connection) = self.connection.take() else {
            return Err(MachineError::Lost { machine, reason: "an earlier answer was not awaited".into() });
        };
        let id = self.next_id;
        self.next_id += 1;
        let late = MachineError::Timeout { machine: machine.clone(), what: what.into(), after: limit };
        let exchange = async {
            let reply = connection.exchange(&machine, Call { id, request }, on_note);
            timeout(limit, reply).await.map_err(|_| late)?
        };
        match or_cancelled(cancel, exchange).await? {
            Some(Reply::Done(answer)) => {
                self.connection = Some(connection);
                Ok(answer)
            }
            Some(Reply::Failed(failure)) => {
                self.connection = Some(connection);
                Err(MachineError::Failed { machine, failure })
            }
            Some(Reply::Note(_)) | None => Err(lost(connection, &self.endpoint).await),
        }
    }
}

impl Connection {
    fn of(running: Running) -> Self {
        let Running { input, output, words, ending } = running;
        Self { input, output: BufReader::new(output), words: tokio::spawn(collect(words)), ending }
    }

    /// The reply that ends a call; nothing when the connection ended before.
    async fn exchange(
        &mut self,
        machine: &MachineName,
        call: Call,
        mut on_note: impl FnMut(Note),
    ) -> Result<Option<Reply>, MachineError> {
        let mut line = serde_json::to_vec(&call)
            .map_err(|error| MachineError::io("cannot write the call")(std::io::Error::other(error)))?;
        line.push(b'\n');
        // A failed write is a connection that ended; why, reading tells better.
        let _ = self.input.write_all(&line).await;
        loop {
            let Some(line) = self.read(machine).await? else { return Ok(None) };
            let response: Response = parse(machine, &line)?;
            if response.id != call.id {
                let problem = format!("an answer to call {} instead of {}", response.id, call.id);
                return Err(MachineError::AgentGarbled { machine: machine.clone(), problem });
            }
            match response.reply {
                Reply::Note(note) => on_note(note),
                reply => return Ok(Some(reply)),
            }
        }
    }

    /// The next line; nothing at the end.
    async fn read(&mut self, machine: &MachineName) -> Result<Option<Vec<u8>>, MachineError> {
        match lines::read(&mut self.output, MAX_LINE).await {
            Ok(Line::Whole(line)) => Ok(Some(line)),
            Ok(Line::End) | Err(_) => Ok(None),
            Ok(Line::TooLong) => Err(MachineError::AgentGarbled {
                machine: machine.clone(),
                problem: format!("a line of more than {MAX_LINE} bytes"),
            }),
        }
    }

    /// How the agent ended, and what was written to its standard error. The words come first: with the status, the connection
    /// hangs up.
    async fn end(self) -> (Option<ExitStatus>, String) {
        let words = timeout(ENDING, self.words).await.ok().and_then(Result::ok);
        let status = timeout(ENDING, self.ending.status()).await.ok().flatten();
        (status, words.unwrap_or_default())
    }
}

/// Why the agent ended before it greeted.
async fn not_started(connection: Connection, endpoint: &Endpoint, path: &StorePath) -> MachineError {
    let machine = endpoint.machine.name.clone();
    let (status, words) = connection.end().await;
    match status.and_then(|status| status.code()) {
        // POSIX, “Shell Command Language”, 2.8.2: not found, or found but not to be run.
        Some(126 | 127) => {
            MachineError::AgentMissing { machine, path: path.to_string(), reason: diagnosis::reason(&words) }
        }
        Some(255) => match diagnosis::of_connecting(&endpoint.machine, &words) {
            MachineError::Unreachable { machine, reason } => MachineError::Lost { machine, reason },
            other => other,
        },
        None => MachineError::Lost { machine, reason: ended(status, &words) },
        // It was started and ended without a word, as a program of which only a part is on the disk does.
        Some(_) => {
            let reason = ended(status, &words);
            MachineError::AgentMissing { machine, path: path.to_string(), reason }
        }
    }
}

/// Why the connection ended in the middle.
async fn lost(connection: Connection, endpoint: &Endpoint) -> MachineError {
    let (status, words) = connection.end().await;
    let master = master::words(endpoint);
    let reason = match status.and_then(|status| status.code()) {
        Some(255) if !words.trim().is_empty() => diagnosis::reason(&words),
        Some(255) if !master.trim().is_empty() => diagnosis::reason(&master),
        Some(255) => "the SSH connection ended".into(),
        _ => ended(status, &words),
    };
    MachineError::Lost { machine: endpoint.machine.name.clone(), reason }
}

fn ended(status: Option<ExitStatus>, words: &str) -> String {
    let how = status.map_or_else(|| "no exit status".into(), |status| status.to_string());
    match words.trim() {
        "" => format!("the agent ended ({how})"),
        _ => format!("the agent ended ({how}): {}", diagnosis::reason(words)),
    }
}

/// Reads to the end and keeps the newest part.
async fn collect(mut stderr: pipe::Receiver) -> String {
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..read]);
        let excess = kept.len().saturating_sub(MAX_STDERR);
        kept.drain(..excess);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn parse<'a, T: serde::Deserialize<'a>>(machine: &MachineName, line: &'a [u8]) -> Result<T, MachineError> {
    serde_json::from_slice(line).map_err(|error| {
        let beginning: String = String::from_utf8_lossy(line).chars().take(200).collect();
        MachineError::AgentGarbled {
            machine: machine.clone(), problem: format!("{error} in “{beginning}”")
        }
    })
}

fn name_of(request: &Request) -> &'static str {
    match request {
        Request::Facts => "finding out about the machine",
        Request::PrepareSecrets { .. } => "the secrets",
        Request::Activate { .. } => "the activation",
        Request::DryActivate { .. } => "what a switch would do",
        Request::CheckStore { .. } => "a look at the store",
        Request::Extend { .. } => "more time",
        Request::Revert { .. } => "the way back",
        Request::Outcome { .. } => "the outcome of the activation",
        Request::Probe { .. } => "probing the services",
        Request::Commit { .. } => "the commit",
        Request::Reboot { .. } => "starting the machine anew",
        Request::Logs { .. } => "reading logs",
        Request::AwaitQuiet { .. } => "waiting for its quiet",
        Request::Wipe { .. } => "removing the data",
        Request::Capture { .. } => "the capture",
        Request::KeepQuiet { .. } => "more time in quiet",
        Request::Resume { .. } => "starting the services again",
        Request::Restore { .. } => "bringing the state back",
        Request::RestoreAhead { .. } => "restoring what has arrived",
        Request::SecretsOf { .. } => "reading the secrets",
        Request::AdoptSecrets { .. } => "taking the secrets over",
        Request::SumAhead { .. } => "reading the files ahead",
        Request::Fingerprint { .. } => "fingerprinting the state",
    }
}
