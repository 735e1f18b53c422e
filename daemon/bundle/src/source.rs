//! Reading a bundle at any place, without a place of its own that two readers would have to share.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;

/// Something of a known length that can be read at any place: a file, or bytes.
pub trait ReadAt {
    /// Its length now.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads at an offset; fewer bytes than there is room for only at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl ReadAt for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let read = buffer.len().min(self.len() - from);
        buffer[..read].copy_from_slice(&self[from..from + read]);
        Ok(read)
    }
}

/// A part of a source as a reader.
pub(crate) struct Section<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        let read = self.source.read_up_to(&mut buffer[..room], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Section<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.end.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl<'a> Section<'a> {
    /// A part, read as it comes: for whoever brings a buffer of their own.
    pub(crate) fn new(source: &'a dyn ReadAt, at: u64, end: u64) -> Self {
        Self { source, at, end }
    }
}

/// A part of a source, read with a buffer.
pub(crate) fn section(source: &dyn ReadAt, at: u64, end: u64) -> BufReader<Section<'_>> {
    BufReader::with_capacity(BUFFER, Section::new(source, at, end))
}

/// The whole of a source as a reader that knows where it is.
pub(crate) struct Window<'a> {
    inner: BufReader<Section<'a>>,
    at: u64,
}

impl<'a> Window<'a> {
    pub(crate) fn new(source: &'a dyn ReadAt) -> Self {
        Self { inner: section(source, 0, u64::MAX), at: 0 }
    }

    /// Goes to a place; cheap where that is near.
    pub(crate) fn go_to(&mut self, offset: u64) -> io::Result<()> {
        match i64::try_from(i128::from(offset) - i128::from(self.at)) {
            Ok(by) => self.inner.seek_relative(by)?,
            Err(_) => drop(self.inner.seek(SeekFrom::Start(offset))?),
        }
        self.at = offset;
        Ok(())
    }

    /// Fills a buffer; fewer bytes only at the end.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.inner.read(&mut buffer[done..])? {
                0 => break,
                read => done += read,
            }
        }
        self.at += done as u64;
        Ok(done)
    }
}
