//! Reading what is in a bundle, entry by entry, without writing it anywhere.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};

use crate::entry::{Entry, Kind};
use crate::error::ReadError;
use crate::extract::Verified;
use crate::header;
use crate::source::{ReadAt, Section};

impl<S: ReadAt> Verified<S> {
    /// Shows every entry, in the order of the paths, with its content. A content that is read is compared with its sum once
    /// more: what was done with it is of no use where that fails.
    ///
    /// # Errors
    /// [`ReadError::Changing`], whatever else keeps the bundle from being read, and what `visit` says.
    pub fn each<E: From<ReadError>>(
        &self,
        visit: &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut manifest = self.signed().manifest(self.source())?;
        let mut at = 0_u64;
        while let Some(entry) = manifest.next_entry().map_err(ReadError::from)? {
            let begin = at.saturating_add(header::of_entry(&entry).len() as u64);
            let (size, wanted) = match &entry.kind {
                Kind::File { size, sha256 } => (*size, Some(*sha256)),
                Kind::Directory | Kind::Symlink { .. } => (0, None),
            };
            at = begin.saturating_add(size).saturating_add(header::padding(size));
            let section = Section::new(self.source(), begin, begin.saturating_add(size));
            let mut content = Content { section, sum: Sha256::new(), left: size };
            visit(&entry, &mut content)?;
            let was_read = content.left < size || size == 0;
            if let Some(wanted) = wanted.filter(|_| was_read)
                && (content.left > 0 || <[u8; 32]>::from(content.sum.finalize()) != *wanted.as_bytes())
            {
                return Err(ReadError::Changing.into());
            }
        }
        Ok(())
    }
}

/// The content of an entry.
struct Content<'a> {
    section: Section<'a>,
    sum: Sha256,
    left: u64,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.section.read(buffer)?;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum.update(&buffer[..read]);
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
