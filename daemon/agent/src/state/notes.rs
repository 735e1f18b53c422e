//! What is said on the way: written down by the unit, a note a line, and handed on by the agent that follows it.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use berth_domain::ServiceName;
use berth_protocol::{Note, Transfer, TransferPhase};

use super::restic::Status;
use crate::client::Client;
use crate::failure::{Result, io};

/// How often it is said how far something is.
const OFTEN: Duration = Duration::from_millis(500);

/// The unit's end: writes down.
pub(super) struct Notebook {
    file: File,
}

impl Notebook {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let open = || {
            std::fs::create_dir_all(folder)?;
            OpenOptions::new().append(true).create(true).open(path)
        };
        open().map(|file| Self { file }).map_err(io(format!("cannot write {}", path.display())))
    }
}

impl Client for Notebook {
    fn note(&mut self, note: Note) {
        // The work matters more than what is said of it.
        if let Ok(mut line) = serde_json::to_vec(&note) {
            line.push(b'\n');
            let _ = self.file.write_all(&line);
        }
    }

    fn is_gone(&self) -> bool {
        false
    }
}

/// Where nobody is told anything.
pub(super) struct Silence;

impl Client for Silence {
    fn note(&mut self, _: Note) {}

    fn is_gone(&self) -> bool {
        false
    }
}

/// The agent's end: hands what was written down on to whoever asked.
pub(super) struct Reader<'a, C>(pub(super) &'a mut C);

impl<C: Client> Client for Reader<'_, C> {
    fn note(&mut self, note: Note) {
        self.0.note(note);
    }

    fn line(&mut self, text: &str) {
        if let Ok(note) = serde_json::from_str(text) {
            self.0.note(note);
        }
    }

    fn is_gone(&self) -> bool {
        self.0.is_gone()
    }
}

/// Says how far one phase of a service's work is, not too often.
pub(super) struct Meter<'a, C> {
    client: &'a mut C,
    phase: TransferPhase,
    service: ServiceName,
    said: Option<Instant>,
}

impl<'a, C: Client> Meter<'a, C> {
    pub(super) fn of(client: &'a mut C, phase: TransferPhase, service: &ServiceName) -> Self {
        Self { client, phase, service: service.clone(), said: None }
    }

    /// Says it, unless it was said just now.
    pub(super) fn at(&mut self, status: Status) {
        let _ = self.has_said(status);
    }

    /// The same; whether it was said.
    pub(super) fn has_said(&mut self, status: Status) -> bool {
        let is_due = self.said.is_none_or(|said| said.elapsed() >= OFTEN);
        if is_due {
            self.said = Some(Instant::now());
            self.say(status);
        }
        is_due
    }

    /// Says it.
    pub(super) fn say(&mut self, status: Status) {
        self.client.note(Note::Transfer(Transfer {
            phase: self.phase,
            service: self.service.clone(),
            bytes_done: status.bytes_done,
            bytes_expected: status.total_bytes,
            files_done: status.files_done,
            files_expected: status.total_files,
        }));
    }

    /// Whether nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        self.client.is_gone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::Recorder;

    #[test]
    fn what_is_written_down_is_handed_on_as_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let service: ServiceName = "web".parse().unwrap();
        let mut notebook = Notebook::open(&path).unwrap();
        notebook.line("one\ntwo");
        let mut meter = Meter::of(&mut notebook, TransferPhase::Dump, &service);
        meter.at(Status { bytes_done: 1, total_bytes: 2, ..Status::default() });
        meter.at(Status { bytes_done: 2, total_bytes: 2, ..Status::default() });
        let mut recorder = Recorder::default();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            Reader(&mut recorder).line(line);
        }
        let [Note::Line(line), Note::Transfer(transfer)] = recorder.notes.as_slice() else {
            panic!("{:?}", recorder.notes)
        };
        assert_eq!((line.as_str(), transfer.bytes_done), ("one\ntwo", 1), "the second came too soon");
    }
}
