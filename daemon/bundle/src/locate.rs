//! Finding the signature and the manifest, which are at the end; also in a file that something was cut from or added to.

use std::io;

use crate::about::{MANIFEST, ManifestSum, SIGNATURE};
use crate::header;
use crate::manifest;
use crate::parse::{self, Found};
use crate::source::ReadAt;

/// How far from the end the signature is looked for by its name.
const REACH: u64 = 64 * 1024;
/// The longest signature, in bytes.
const MAX_SIGNATURE: u64 = 32 * 1024;
/// How much is searched at once.
const STRIDE: usize = 1024 * 1024;
/// What a header has at this place.
const MAGIC: &[u8] = b"ustar\x0000";
const MAGIC_AT: u64 = 257;

/// A member, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located {
    /// Where its header begins.
    pub(crate) at: u64,
    /// How many bytes come before its content.
    pub(crate) header: u64,
    /// The length of its content.
    pub(crate) size: u64,
}

impl Located {
    fn new(at: u64, found: &Found) -> Self {
        Self { at, header: found.header, size: found.size }
    }

    /// Where its content begins.
    pub(crate) fn content(&self) -> u64 {
        self.at.saturating_add(self.header)
    }

    /// Where its padding ends.
    pub(crate) fn end(&self) -> u64 {
        self.content().saturating_add(self.size).saturating_add(header::padding(self.size))
    }
}

/// The signature.
pub(crate) fn signature(source: &dyn ReadAt) -> io::Result<Option<Located>> {
    let length = source.length()?;
    let from = length.saturating_sub(REACH);
    let fits = |found: &Found, at: u64| {
        found.name == SIGNATURE.as_bytes()
            && found.size <= MAX_SIGNATURE
            && at + found.header + found.size <= length
    };
    let mut last = None;
    each_header(source, from, length, &mut |at, found| {
        if fits(found, at) {
            last = Some(Located::new(at, found));
        }
        false
    })?;
    if last.is_none() {
        last = by_walking(source, &mut |found, at| fits(found, at))?;
    }
    Ok(last)
}

/// The manifest: where it should be, or else wherever there is one. Whether it is the signed one is still to be looked at.
pub(crate) fn manifest(
    source: &dyn ReadAt,
    sum: ManifestSum,
    created: i64,
    signature: u64,
) -> io::Result<Option<Located>> {
    let (header, size) = (header::of_last(MANIFEST, sum.size, created).len() as u64, sum.size);
    let before = header.saturating_add(size).saturating_add(header::padding(size));
    let expected = signature.checked_sub(before).map(|at| Located { at, header, size });
    if let Some(expected) = expected {
        let found = parse::member(source, expected.at)?;
        if is_sum(source, &expected, sum)? || found.is_some_and(|found| found.name == MANIFEST.as_bytes()) {
            return Ok(Some(expected));
        }
    }
    by_walking(source, &mut |found, _| found.name == MANIFEST.as_bytes())
}

fn is_sum(source: &dyn ReadAt, located: &Located, sum: ManifestSum) -> io::Result<bool> {
    Ok(manifest::sum_of(source, located.content(), located.size)? == sum.sha256)
}

/// The last member that fits, going from header to header as far as they lead.
fn by_walking(source: &dyn ReadAt, fits: &mut dyn FnMut(&Found, u64) -> bool) -> io::Result<Option<Located>> {
    let length = source.length()?;
    let (mut at, mut last) = (0, None);
    while at < length {
        let Some(found) = parse::member(source, at)? else {
            match next_header(source, at, length)? {
                Some(next) => at = next,
                None => break,
            }
            continue;
        };
        if fits(&found, at) {
            last = Some(Located::new(at, &found));
        }
        at = at.saturating_add(found.length());
    }
    Ok(last)
}

/// Where the next header begins that is one, after a place where none is.
fn next_header(source: &dyn ReadAt, after: u64, end: u64) -> io::Result<Option<u64>> {
    let mut next = None;
    each_header(source, after + 1, end, &mut |at, _| {
        next = Some(at);
        true
    })?;
    Ok(next)
}

/// Shows each header that begins in a part of the source, at any byte, until it is told to stop.
pub(crate) fn each_header(
    source: &dyn ReadAt,
    from: u64,
    end: u64,
    show: &mut dyn FnMut(u64, &Found) -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; STRIDE];
    let mut base = from + MAGIC_AT;
    while base < end {
        let read = source.read_up_to(&mut buffer, base)?;
        for place in buffer[..read].windows(MAGIC.len()).enumerate().filter(|(_, it)| *it == MAGIC) {
            let at = base + place.0 as u64 - MAGIC_AT;
            if at < end && parse::member(source, at)?.is_some_and(|found| show(at, &found)) {
                return Ok(());
            }
        }
        if read < STRIDE {
            break;
        }
        // The next stride overlaps, as a header may stand across the border.
        base += (read + 1 - MAGIC.len()) as u64;
    }
    Ok(())
}
