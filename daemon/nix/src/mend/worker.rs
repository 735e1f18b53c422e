//! As much of Nix's worker protocol as sending a path takes.
//!
//! Version 1.32 (Nix 2.4) is spoken; newer daemons come down to it. Numbers are 64 bits, the least byte first; texts are
//! their length and their bytes, filled up to a multiple of eight. Sources: Nix's `src/libstore/worker-protocol.hh`,
//! `remote-store.cc` and `daemon.cc`, `src/libutil/serialise.hh`.

use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use crate::store_path::StorePath;

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;
const PROTOCOL: u64 = (1 << 8) | 32;
const ADD_TO_STORE_NAR: u64 = 39;

/// What the daemon tells while it works.
mod told {
    pub(super) const LAST: u64 = 0x616c_7473;
    pub(super) const LINE: u64 = 0x6f6c_6d67;
    pub(super) const ERROR: u64 = 0x6378_7470;
    pub(super) const STARTED: u64 = 0x5354_5254;
    pub(super) const STOPPED: u64 = 0x5354_4f50;
    pub(super) const RESULT: u64 = 0x5253_4c54;
}

/// The longest text that is read, in bytes.
const MAX_TEXT: u64 = 1024 * 1024;

/// How much of an archive is sent at once, in bytes.
const FRAME: usize = 64 * 1024;

/// What a store knows of a path.
#[derive(Debug)]
pub(super) struct Info {
    pub(super) path: StorePath,
    /// Empty where nobody knows.
    pub(super) deriver: String,
    /// As Nix writes it, with its algorithm.
    pub(super) nar_hash: String,
    pub(super) nar_bytes: u64,
    pub(super) references: Vec<String>,
    pub(super) signatures: Vec<String>,
    /// Empty where the path is not named by its content.
    pub(super) content_address: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WorkerError {
    /// The store refused.
    #[error("{0}")]
    Refused(String),
    /// It said what is not its protocol.
    #[error("the other store does not speak Nix's protocol: {0}")]
    Garbled(&'static str),
    /// The connection ended.
    #[error("the connection to the other store ended: {0}")]
    Io(#[from] std::io::Error),
}

/// A daemon that was greeted.
pub(super) struct Worker<R, W> {
    input: BufReader<R>,
    output: W,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Worker<R, W> {
    /// Greets the daemon behind two streams.
    pub(super) async fn greet(input: R, output: W) -> Result<Self, WorkerError> {
        let mut worker = Self { input: BufReader::new(input), output };
        let mut hello = Outgoing::default();
        hello.number(CLIENT_MAGIC);
        worker.send(hello).await?;
        if worker.input.read_u64_le().await? != DAEMON_MAGIC {
            return Err(WorkerError::Garbled("it does not greet"));
        }
        let theirs = worker.input.read_u64_le().await?;
        if theirs >> 8 != PROTOCOL >> 8 || theirs < PROTOCOL {
            return Err(WorkerError::Garbled("its version is another one"));
        }
        let mut wishes = Outgoing::default();
        // No processor of its own, and no reserved space: both are obsolete.
        [PROTOCOL, 0, 0].into_iter().for_each(|number| wishes.number(number));
        worker.send(wishes).await?;
        told_to_the_end(&mut worker.input).await?;
        Ok(worker)
    }

    /// Puts a path in place of what the store has there. `archive` is the path as a NAR.
    pub(super) async fn replace(
        &mut self,
        info: &Info,
        archive: impl AsyncRead + Unpin,
    ) -> Result<(), WorkerError> {
        self.send(question(info)).await?;
        // The store speaks while it is sent to.
        let Self { input, output } = self;
        let (mut told, mut sent) = (pin!(told_to_the_end(input)), pin!(send_framed(output, archive)));
        tokio::select! {
            biased;
            // Whatever it says before it has all of it is why it does not want it.
            told = &mut told => return told,
            // A connection that ended: the other half tells why.
            _ = &mut sent => {}
        }
        told.await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<(), WorkerError> {
        self.output.write_all(&outgoing.0).await?;
        Ok(self.output.flush().await?)
    }
}

fn question(info: &Info) -> Outgoing {
    let mut question = Outgoing::default();
    question.number(ADD_TO_STORE_NAR);
    question.text(info.path.as_str());
    question.text(&info.deriver);
    question.text(&info.nar_hash);
    question.texts(&info.references);
    // When it was registered is for the store to say, and whether it was built there.
    question.number(0);
    question.number(info.nar_bytes);
    question.number(0);
    question.texts(&info.signatures);
    question.text(&info.content_address);
    // Repair; and signatures are not asked for, as with every copy of ours.
    question.number(1);
    question.number(1);
    question
}

/// Sends a stream in frames, each after its length; one of length nothing ends it.
async fn send_framed(
    output: &mut (impl AsyncWrite + Unpin),
    mut stream: impl AsyncRead + Unpin,
) -> std::io::Result<()> {
    let mut buffer = vec![0; FRAME];
    loop {
        let read = stream.read(&mut buffer).await?;
        output.write_u64_le(read as u64).await?;
        output.write_all(&buffer[..read]).await?;
        if read == 0 {
            return output.flush().await;
        }
    }
}

/// Reads what the daemon tells until its work is done.
async fn told_to_the_end(input: &mut (impl AsyncRead + Unpin)) -> Result<(), WorkerError> {
    loop {
        match input.read_u64_le().await? {
            told::LAST => return Ok(()),
            told::LINE => drop(text(input).await?),
            told::ERROR => return Err(WorkerError::Refused(error(input).await?)),
            told::STARTED => {
                // Activity, level, kind.
                numbers(input, 3).await?;
                text(input).await?;
                fields(input).await?;
                numbers(input, 1).await?;
            }
            told::STOPPED => numbers(input, 1).await?,
            told::RESULT => {
                numbers(input, 2).await?;
                fields(input).await?;
            }
            _ => return Err(WorkerError::Garbled("a message that nobody knows")),
        }
    }
}

/// An error: its kind, level and name, the message, no position, and the trace, which nobody needs.
async fn error(input: &mut (impl AsyncRead + Unpin)) -> Result<String, WorkerError> {
    text(input).await?;
    numbers(input, 1).await?;
    text(input).await?;
    let message = text(input).await?;
    numbers(input, 1).await?;
    for _ in 0..input.read_u64_le().await?.min(1000) {
        numbers(input, 1).await?;
        text(input).await?;
    }
    Ok(message)
}

async fn fields(input: &mut (impl AsyncRead + Unpin)) -> Result<(), WorkerError> {
    for _ in 0..input.read_u64_le().await? {
        match input.read_u64_le().await? {
            0 => numbers(input, 1).await?,
            1 => drop(text(input).await?),
            _ => return Err(WorkerError::Garbled("a field that nobody knows")),
        }
    }
    Ok(())
}

async fn numbers(input: &mut (impl AsyncRead + Unpin), count: usize) -> Result<(), WorkerError> {
    for _ in 0..count {
        input.read_u64_le().await?;
    }
    Ok(())
}

async fn text(input: &mut (impl AsyncRead + Unpin)) -> Result<String, WorkerError> {
    let length = input.read_u64_le().await?;
    if length > MAX_TEXT {
        return Err(WorkerError::Garbled("a text that is too long"));
    }
    let mut bytes = Vec::new();
    input.take(length.next_multiple_of(8)).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < length.next_multiple_of(8) {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What is about to be sent.
#[derive(Debug, Default)]
struct Outgoing(Vec<u8>);

impl Outgoing {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }

    fn texts(&mut self, texts: &[String]) {
        self.number(texts.len() as u64);
        texts.iter().for_each(|text| self.text(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_filled_up_and_read_back() {
        let mut sent = Outgoing::default();
        ["", "seven77", "eight888", "nine99999"].into_iter().for_each(|it| sent.text(it));
        assert_eq!(sent.0.len(), 8 + 16 + 16 + 24);
        let mut stream = sent.0.as_slice();
        for expected in ["", "seven77", "eight888", "nine99999"] {
            assert_eq!(text(&mut stream).await.unwrap(), expected);
        }
        assert!(matches!(text(&mut stream).await, Err(WorkerError::Io(_))));
    }

    #[tokio::test]
    async fn what_is_told_is_read_to_its_end_and_an_error_is_the_stores_own() {
        let mut stream = Outgoing::default();
        stream.number(told::LINE);
        stream.text("a line");
        stream.number(told::STARTED);
        [1, 2, 3].into_iter().for_each(|number| stream.number(number));
        stream.text("adding");
        [2, 0, 7, 1].into_iter().for_each(|number| stream.number(number));
        stream.text("field");
        stream.number(0);
        stream.number(told::ERROR);
        stream.text("Error");
        stream.number(0);
        stream.text("Error");
        stream.text("hash mismatch");
        [0, 1, 0].into_iter().for_each(|number| stream.number(number));
        stream.text("while adding");
        let mut input = stream.0.as_slice();
        let error = told_to_the_end(&mut input).await.unwrap_err();
        assert_eq!(error.to_string(), "hash mismatch");
        assert!(input.is_empty());
        let unknown = 5u64.to_le_bytes();
        assert!(matches!(told_to_the_end(&mut unknown.as_slice()).await, Err(WorkerError::Garbled(_))));
    }
}
