//! Reading the manifest, line by line, with its sum checked each time: what is read is what was signed.

use std::io::{BufRead as _, BufReader, Read as _};

use berth_sign::Sha256Hex;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::about::{Format, Head, ManifestSum, Totals, VERSION};
use crate::entry::Entry;
use crate::error::ReadError;
use crate::rules::Sequence;
use crate::source::{ReadAt, Section, section};

/// The longest line, in bytes.
pub const MAX_LINE: u64 = 1024 * 1024;

type Result<T> = std::result::Result<T, ManifestError>;

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManifestError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not what was signed.
    #[error("it is not the one that was signed")]
    Sum,
    /// It was signed, and breaks a rule.
    #[error("line {line}: {reason}")]
    Rule {
        /// Which line, from 1 on.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

impl From<ManifestError> for ReadError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Io(error) => Self::Io(error),
            ManifestError::Sum => Self::Changing,
            rule @ ManifestError::Rule { .. } => Self::NoManifest(rule.to_string()),
        }
    }
}

/// A manifest that is being read.
pub(crate) struct ManifestReader<'a> {
    lines: BufReader<Section<'a>>,
    sum: Sha256,
    signed: Sha256Hex,
    line: u64,
    sequence: Sequence,
    head: Head,
}

impl<'a> ManifestReader<'a> {
    /// Begins with the first line.
    pub(crate) fn open(source: &'a dyn ReadAt, at: u64, signed: ManifestSum) -> Result<Self> {
        let mut lines = section(source, at, at.saturating_add(signed.size));
        let mut sum = Sha256::new();
        let head: Head = parse(1, &next(&mut lines, &mut sum, 1)?)?;
        if (head.format, head.version) != (Format::Manifest, VERSION) {
            return Err(rule(1, "this is another format, or another version of it"));
        }
        if !head.signer.public_key.key().is_ok_and(|key| key.id() == head.signer.key_id) {
            return Err(rule(1, "the signer’s key is not the one that it names"));
        }
        if !head.services.is_sorted_by(|one, next| one.name < next.name) {
            return Err(rule(1, "the services are not in the order of their names"));
        }
        Ok(Self { lines, sum, signed: signed.sha256, line: 1, sequence: Sequence::default(), head })
    }

    /// The first line.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// How much was read.
    pub(crate) fn totals(&self) -> Totals {
        self.sequence.totals()
    }

    /// The next entry; none at the end, where the last line and the sum have been checked.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        self.line += 1;
        let line = next(&mut self.lines, &mut self.sum, self.line)?;
        if self.lines.fill_buf()?.is_empty() {
            return self.end(&line).map(|()| None);
        }
        let entry: Entry = parse(self.line, &line)?;
        self.sequence
            .accept(&entry)
            .map_err(|reason| rule(self.line, format!("{}: {reason}", entry.path.encoded())))?;
        Ok(Some(entry))
    }

    fn end(&self, line: &[u8]) -> Result<()> {
        if Sha256Hex::from(<[u8; 32]>::from(self.sum.clone().finalize())) != self.signed {
            return Err(ManifestError::Sum);
        }
        let totals: Totals = parse(self.line, line)?;
        if totals != self.sequence.totals() || totals.entries == 0 {
            return Err(rule(self.line, "the totals are not those of the entries"));
        }
        Ok(())
    }
}

fn rule(line: u64, reason: impl Into<String>) -> ManifestError {
    ManifestError::Rule { line, reason: reason.into() }
}

fn parse<T: DeserializeOwned>(number: u64, line: &[u8]) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| rule(number, error.to_string()))
}

/// The next line without its line feed.
fn next(lines: &mut BufReader<Section<'_>>, sum: &mut Sha256, number: u64) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    sum.update(&line);
    match line.pop() {
        Some(b'\n') => Ok(line),
        _ => Err(rule(number, "the line is missing, has no end, or is longer than a mebibyte")),
    }
}

/// The SHA-256 of a part of a source.
pub(crate) fn sum_of(source: &dyn ReadAt, at: u64, size: u64) -> std::io::Result<Sha256Hex> {
    let mut sum = Sha256::new();
    std::io::copy(&mut section(source, at, at.saturating_add(size)), &mut sum)?;
    Ok(<[u8; 32]>::from(sum.finalize()).into())
}
