//! Nix's worker protocol, as far as sending and asking for paths takes.
//!
//! A `nix-daemon --stdio` that was started is asked one thing after the other; that saves the start of a program, which takes
//! Nix longer than most answers. Version 1.35 (Nix 2.15) is spoken; newer daemons come down to it, and this side down to 1.32
//! (Nix 2.4). Numbers are 64 bits, the least byte first; texts are their length and their bytes, filled up to a multiple of
//! eight. Sources: Nix's `src/libstore/worker-protocol.hh`, `remote-store.cc`, `daemon.cc` and `path-info.cc`,
//! `src/libutil/serialise.hh`.
//!
//! | module | subject |
//! | --- | --- |
//! | [`wire`] | numbers and texts |
//! | [`told`] | what a daemon tells while it works |
//! | [`info`] | what a store knows of a path |
//! | [`answer`] | what a store says of what it is sent |
//! | [`archive`] | a path's content (NAR), up to its end |
//! | [`frames`] | a stream without an end known before |
//! | [`peer`] | the process behind it |
//! | [`here`] | daemons of this host's own store, kept for the next question |

mod answer;
pub(crate) mod archive;
pub(crate) mod frames;
pub(crate) mod here;
pub(crate) mod info;
pub(crate) mod peer;
mod told;
pub(crate) mod wire;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use crate::log::{bounded, clean};
use crate::store_path::StorePath;
use answer::Answer;
use archive::Archive;
use frames::Frames;
use info::{Info, references_first};
use told::told_to_the_end;
use wire::{Outgoing, text, texts};

const CLIENT_MAGIC: u64 = 0x6e69_7863;
const DAEMON_MAGIC: u64 = 0x6478_696f;

/// Versions of the protocol: the major number times 256 plus the minor one.
mod version {
    pub(super) const OURS: u64 = (1 << 8) | 35;
    pub(super) const OLDEST: u64 = (1 << 8) | 32;
    /// From here on, a daemon tells Nix's version when it greets.
    pub(super) const NIX_IS_TOLD: u64 = (1 << 8) | 33;
    /// From here on, also whether it trusts whoever asks.
    pub(super) const TRUST_IS_TOLD: u64 = (1 << 8) | 35;
}

/// What can be asked for.
mod operation {
    pub(super) const ADD_TEMP_ROOT: u64 = 11;
    pub(super) const ADD_INDIRECT_ROOT: u64 = 12;
    pub(super) const QUERY_PATH_INFO: u64 = 26;
    pub(super) const QUERY_PATH_FROM_HASH_PART: u64 = 29;
    pub(super) const QUERY_VALID_PATHS: u64 = 31;
    pub(super) const NAR_FROM_PATH: u64 = 38;
    pub(super) const ADD_TO_STORE_NAR: u64 = 39;
    pub(super) const QUERY_DERIVATION_OUTPUT_MAP: u64 = 41;
    pub(super) const ADD_MULTIPLE_TO_STORE: u64 = 44;
}

/// How many questions are sent before their answers are read: as many as the smallest pipe takes, of one page (pipe(7)).
const AT_ONCE: usize = 12;

/// How long a store, or the process before it, may take to say why it hung up.
const LAST_WORDS: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    /// The store refused.
    #[error("{0}")]
    Refused(String),
    /// The store does not have a path.
    #[error("path '{0}' is not valid")]
    NotValid(StorePath),
    /// It said what is not its protocol.
    #[error("the store does not speak Nix's protocol: {0}")]
    Garbled(&'static str),
    /// Something else than a store answered.
    #[error("no store answered, but: {0}")]
    NoStore(String),
    /// The connection ended.
    #[error("the connection to the store ended: {0}")]
    Io(#[from] std::io::Error),
}

/// Which of two stores did not do what it should.
#[derive(Debug)]
pub(crate) enum Failed {
    Here(WorkerError),
    There(WorkerError),
}

impl From<WorkerError> for Failed {
    fn from(error: WorkerError) -> Self {
        Self::There(error)
    }
}

/// A daemon that was greeted. Where a question failed or was dropped before its answer was there, nothing more can be asked.
#[derive(Debug)]
pub(crate) struct Worker<R, W> {
    input: BufReader<R>,
    output: W,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Worker<R, W> {
    /// Greets the daemon behind two streams.
    pub(crate) async fn greet(input: R, output: W) -> Result<Self, WorkerError> {
        let mut worker = Self { input: BufReader::with_capacity(frames::SIZE, input), output };
        let mut hello = Outgoing::default();
        hello.number(CLIENT_MAGIC);
        worker.send(hello).await?;
        let greeting = worker.input.read_u64_le().await?;
        if greeting != DAEMON_MAGIC {
            let words = [&greeting.to_le_bytes(), worker.input.buffer()].concat();
            return Err(WorkerError::NoStore(bounded(clean(&String::from_utf8_lossy(&words)))));
        }
        let theirs = worker.input.read_u64_le().await?;
        if theirs >> 8 != version::OURS >> 8 || theirs < version::OLDEST {
            return Err(WorkerError::Garbled("its version is another one"));
        }
        let mut wishes = Outgoing::default();
        // No processor of its own, and no reserved space: both are obsolete.
        [version::OURS, 0, 0].into_iter().for_each(|number| wishes.number(number));
        worker.send(wishes).await?;
        if theirs >= version::NIX_IS_TOLD {
            text(&mut worker.input).await?;
        }
        if theirs >= version::TRUST_IS_TOLD {
            worker.input.read_u64_le().await?;
        }
        told_to_the_end(&mut worker.input).await?;
        Ok(worker)
    }

    /// What the store knows of some paths and of all that they refer to; what others refer to comes before them.
    pub(crate) async fn closure(&mut self, paths: &[StorePath]) -> Result<Vec<Info>, WorkerError> {
        let mut known: HashMap<StorePath, Info> = HashMap::new();
        let mut next: Vec<StorePath> = paths.to_vec();
        while !next.is_empty() {
            let mut found = HashSet::new();
            for info in self.infos(&next).await? {
                found.extend(info.references.iter().cloned());
                known.insert(info.path.clone(), info);
            }
            next = found.into_iter().filter(|path| !known.contains_key(path)).collect();
        }
        Ok(references_first(known))
    }

    /// What the store knows of some paths, in their order.
    pub(crate) async fn infos(&mut self, paths: &[StorePath]) -> Result<Vec<Info>, WorkerError> {
        let mut infos = Vec::with_capacity(paths.len());
        for some in paths.chunks(AT_ONCE) {
            let mut questions = Outgoing::default();
            for path in some {
                questions.number(operation::QUERY_PATH_INFO);
                questions.text(path.as_str());
            }
            self.send(questions).await?;
            for path in some {
                told_to_the_end(&mut self.input).await?;
                if self.input.read_u64_le().await? == 0 {
                    return Err(WorkerError::NotValid(path.clone()));
                }
                infos.push(Info::read(path.clone(), &mut self.input).await?);
            }
        }
        Ok(infos)
    }

    /// Keeps paths, and all that they refer to, from being collected as garbage as long as the daemon runs.
    pub(crate) async fn hold(&mut self, paths: &[StorePath]) -> Result<(), WorkerError> {
        for path in paths {
            let mut question = Outgoing::default();
            question.number(operation::ADD_TEMP_ROOT);
            question.text(path.as_str());
            self.ask(question).await?;
            self.input.read_u64_le().await?;
        }
        Ok(())
    }

    /// Has what a link outside the store points at, now and later, not be collected as garbage.
    pub(crate) async fn root(&mut self, link: &Path) -> Result<(), WorkerError> {
        let Some(link) = link.to_str() else {
            return Err(WorkerError::Refused("the link is not UTF-8".into()));
        };
        let mut question = Outgoing::default();
        question.number(operation::ADD_INDIRECT_ROOT);
        question.text(link);
        self.ask(question).await?;
        self.input.read_u64_le().await?;
        Ok(())
    }

    /// The outputs of a derivation that the store has: their names, and their paths where those are known before they are built.
    pub(crate) async fn outputs(
        &mut self,
        drv: &StorePath,
    ) -> Result<BTreeMap<String, Option<StorePath>>, WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::QUERY_DERIVATION_OUTPUT_MAP);
        question.text(drv.as_str());
        self.ask(question).await?;
        let mut outputs = BTreeMap::new();
        for _ in 0..self.input.read_u64_le().await? {
            let name = text(&mut self.input).await?;
            let path = text(&mut self.input).await?;
            let path = (!path.is_empty()).then(|| read_path(&path)).transpose()?;
            outputs.insert(name, path);
        }
        Ok(outputs)
    }

    /// Whether the store has a path now. Of paths that it was asked about before, a daemon may remember that they were there; by their
    /// hashes, it looks them up each time.
    pub(crate) async fn has(&mut self, path: &StorePath) -> Result<bool, WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::QUERY_PATH_FROM_HASH_PART);
        question.text(path.hash_part());
        self.ask(question).await?;
        Ok(text(&mut self.input).await? == path.as_str())
    }

    /// Which of some paths the store has. It does not look for them elsewhere.
    pub(crate) async fn valid(
        &mut self,
        paths: impl ExactSizeIterator<Item = &StorePath>,
    ) -> Result<HashSet<StorePath>, WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::QUERY_VALID_PATHS);
        question.texts(paths.map(StorePath::as_str));
        question.number(0);
        self.ask(question).await?;
        texts(&mut self.input).await?.iter().map(|path| read_path(path)).collect()
    }

    /// A path's content, which is to be read to its end.
    pub(crate) async fn archive(
        &mut self,
        path: &StorePath,
    ) -> Result<Archive<'_, BufReader<R>>, WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::NAR_FROM_PATH);
        question.text(path.as_str());
        self.ask(question).await?;
        Ok(Archive::of(&mut self.input))
    }

    /// Adds paths, each of whose references the store has or is sent before. What is to be sent is, for each, [`Info::write`]
    /// and the path's content.
    pub(crate) async fn add(
        &mut self,
        count: usize,
    ) -> Result<(Frames<'_, W>, Answer<'_, BufReader<R>>), WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::ADD_MULTIPLE_TO_STORE);
        // No repair; and signatures are not asked for, as with every copy of ours.
        [0, 1].into_iter().for_each(|number| question.number(number));
        self.send(question).await?;
        let mut frames = Frames::of(&mut self.output);
        frames.put(&(count as u64).to_le_bytes()).await?;
        Ok((frames, Answer(&mut self.input)))
    }

    /// Puts a path in place of what the store has there. What is to be sent is its content.
    pub(crate) async fn replace(
        &mut self,
        info: &Info,
    ) -> Result<(Frames<'_, W>, Answer<'_, BufReader<R>>), WorkerError> {
        let mut question = Outgoing::default();
        question.number(operation::ADD_TO_STORE_NAR);
        info.write(&mut question);
        // Repair; and, again, no signatures.
        [1, 1].into_iter().for_each(|number| question.number(number));
        self.send(question).await?;
        Ok((Frames::of(&mut self.output), Answer(&mut self.input)))
    }

    /// Asks, and waits until the answer is about to come.
    async fn ask(&mut self, question: Outgoing) -> Result<(), WorkerError> {
        self.send(question).await?;
        told_to_the_end(&mut self.input).await
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<(), WorkerError> {
        self.output.write_all(outgoing.bytes()).await?;
        Ok(self.output.flush().await?)
    }
}

fn read_path(text: &str) -> Result<StorePath, WorkerError> {
    text.parse().map_err(|_| WorkerError::Garbled("a path that is none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_answers_in_place_of_a_store_is_quoted() {
        let says = b"This account is currently not available.\n".as_slice();
        let error = Worker::greet(says, tokio::io::sink()).await.unwrap_err();
        assert!(error.to_string().contains("This account is currently not available."), "{error}");
        assert!(matches!(Worker::greet(b"no".as_slice(), tokio::io::sink()).await, Err(WorkerError::Io(_))));
    }
}
