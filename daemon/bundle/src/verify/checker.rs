//! Comparing one member with what the manifest says of it.

use std::io;

use sha2::{Digest as _, Sha256};

use super::report::{Fault, Part, Problem, Report};
use crate::entry::{Entry, Kind};
use crate::header::{self, BLOCK};
use crate::progress::Progress;
use crate::rules::{SEALED, is_secret};
use crate::source::{ReadAt, Window};

const CHUNK: usize = 128 * 1024;

/// Compares members, and writes down what is wrong.
pub(super) struct Checker<'a> {
    pub(super) source: &'a dyn ReadAt,
    pub(super) report: Report,
    pub(super) progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
    window: Window<'a>,
    chunk: Box<[u8]>,
}

/// How many bytes a member takes: header, content and padding.
pub(super) fn length(entry: &Entry) -> u64 {
    let size = size(entry);
    (header::of_entry(entry).len() as u64).saturating_add(size).saturating_add(header::padding(size))
}

pub(super) fn size(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => size,
        Kind::Directory | Kind::Symlink { .. } => 0,
    }
}

impl<'a> Checker<'a> {
    pub(super) fn new(source: &'a dyn ReadAt, report: Report, tell: &'a mut dyn FnMut(Progress)) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { source, report, progress: Progress::default(), tell, window: Window::new(source), chunk }
    }

    pub(super) fn add(&mut self, problem: Problem) {
        self.report.add(problem);
    }

    /// Where the bytes at a place first differ from those that should be there.
    pub(super) fn difference(&mut self, at: u64, expected: &[u8]) -> io::Result<Option<u64>> {
        let mut actual = vec![0; expected.len()];
        self.window.go_to(at)?;
        let read = self.window.fill(&mut actual)?;
        if actual[..read] == *expected {
            return Ok(None);
        }
        let same = actual[..read].iter().zip(expected).take_while(|(one, other)| one == other).count();
        Ok(Some(at + same as u64))
    }

    /// Checks what follows the header of an entry: its content, and the zeros up to the next block.
    pub(super) fn content(&mut self, at: u64, entry: &Entry) -> io::Result<bool> {
        let name = entry.path.as_bytes();
        let before = self.report.problems.len();
        if let Kind::File { size, sha256 } = &entry.kind {
            self.window.go_to(at)?;
            let (sum, begin, read) = self.sum(*size)?;
            if read < *size {
                self.add(Problem::of(name, Fault::Truncated, Some(at + read)));
            } else if sum != *sha256.as_bytes() {
                self.add(Problem::altered(name, Part::Content, at));
            } else if is_secret(&entry.path) && begin != SEALED {
                self.add(Problem::of(name, Fault::Unsealed, Some(at)));
            }
            if read == *size {
                self.padding(at.saturating_add(*size), *size, name)?;
            }
            self.progress.files += 1;
        }
        (self.tell)(self.progress);
        Ok(self.report.problems.len() == before)
    }

    /// The sum of the next bytes, what they begin with, and how many there were.
    fn sum(&mut self, size: u64) -> io::Result<([u8; 32], Vec<u8>, u64)> {
        let (mut sum, mut begin, mut done) = (Sha256::new(), Vec::new(), 0);
        while done < size {
            let room = usize::try_from(size - done).unwrap_or(usize::MAX).min(self.chunk.len());
            let read = self.window.fill(&mut self.chunk[..room])?;
            if done == 0 {
                begin = self.chunk[..read.min(SEALED.len())].to_vec();
            }
            sum.update(&self.chunk[..read]);
            done += read as u64;
            self.progress.bytes += read as u64;
            (self.tell)(self.progress);
            if read < room {
                break;
            }
        }
        Ok((sum.finalize().into(), begin, done))
    }

    /// Checks the zeros after a content.
    pub(super) fn padding(&mut self, at: u64, size: u64, name: &[u8]) -> io::Result<()> {
        let zeros = [0; BLOCK as usize];
        if let Some(offset) = self.difference(at, &zeros[..header::padding(size) as usize])? {
            self.add(Problem::altered(name, Part::Padding, offset));
        }
        Ok(())
    }
}
