//! Reading headers that may be anything: only for saying what is wrong with an archive, never for trusting it.

use std::io;

use crate::header::{self, BLOCK};
use crate::source::ReadAt;

/// More than an extended header has room for that this format can need.
const MAX_EXTENSION: u64 = 64 * 1024;

/// What stands at a place where a member could begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its name, without the slash at the end of a folder's.
    pub(crate) name: Vec<u8>,
    /// How many bytes come before its content.
    pub(crate) header: u64,
    /// The length of its content.
    pub(crate) size: u64,
}

impl Found {
    /// From its first byte to that of the next member.
    pub(crate) fn length(&self) -> u64 {
        self.header.saturating_add(self.size).saturating_add(header::padding(self.size))
    }
}

/// The member at an offset, if there is one.
pub(crate) fn member(source: &dyn ReadAt, at: u64) -> io::Result<Option<Found>> {
    let Some(first) = block(source, at)? else { return Ok(None) };
    if first.kind != b'x' {
        return Ok(Some(first.found(0, &Extended::default())));
    }
    if first.size > MAX_EXTENSION {
        return Ok(None);
    }
    let mut records = vec![0; first.size as usize];
    if source.read_up_to(&mut records, at + BLOCK)? < records.len() {
        return Ok(None);
    }
    let before = BLOCK + first.size + header::padding(first.size);
    let Some(main) = block(source, at.saturating_add(before))? else { return Ok(None) };
    Ok(Some(main.found(before, &Extended::of(&records))))
}

/// A header's block, as far as it matters.
struct Block {
    name: Vec<u8>,
    kind: u8,
    size: u64,
}

/// The attributes that change what a block says.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    size: Option<u64>,
}

fn block(source: &dyn ReadAt, at: u64) -> io::Result<Option<Block>> {
    let mut bytes = [0; BLOCK as usize];
    if source.read_up_to(&mut bytes, at)? < bytes.len() || !bytes[257..].starts_with(b"ustar\0") {
        return Ok(None);
    }
    let sum = octal(&bytes[148..156]);
    let size = octal(&bytes[124..136]);
    Ok(match (sum, size) {
        (Some(sum), Some(size)) if sum == u64::from(header::checksum(&bytes)) => {
            let end = bytes[..100].iter().position(|byte| *byte == 0).unwrap_or(100);
            Some(Block { name: bytes[..end].to_vec(), kind: bytes[156], size })
        }
        _ => None,
    })
}

fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?.trim_matches(|c| c == '\0' || c == ' ');
    u64::from_str_radix(text, 8).ok()
}

impl Block {
    fn found(self, before: u64, extended: &Extended) -> Found {
        let mut name = extended.path.clone().unwrap_or(self.name);
        if name.last() == Some(&b'/') {
            name.pop();
        }
        // Only files have a content.
        let size = if matches!(self.kind, b'0' | 0 | b'7' | b'x' | b'g' | b'L' | b'K' | b'S') {
            extended.size.unwrap_or(self.size)
        } else {
            0
        };
        Found { name, header: before + BLOCK, size }
    }
}

impl Extended {
    fn of(mut records: &[u8]) -> Self {
        let mut extended = Self::default();
        while let Some((key, value, rest)) = next_record(records) {
            match key {
                b"path" => extended.path = Some(value.to_vec()),
                b"size" => extended.size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
            records = rest;
        }
        extended
    }
}

/// The first record's key and value, and what follows it.
fn next_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = records.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&records[..space]).ok()?.parse().ok()?;
    let record = records.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &records[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, FileMode, Kind, Meta};
    use crate::path::BundlePath;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_found(
            name in proptest::collection::vec(any::<u8>().prop_filter("", |b| *b != 0 && *b != b'/' && *b != b'.'), 1..250),
            size in any::<u64>(), mtime in any::<i64>(), uid in any::<u32>()
        ) {
            let path = BundlePath::new(name.clone()).unwrap();
            let meta = Meta { uid, ..Meta::made(FileMode::FILE, mtime) };
            let header = header::of_entry(&Entry { path, kind: Kind::File { size, sha256: [0; 32].into() }, meta });
            let found = member(&header, 0).unwrap();
            prop_assert_eq!(found, Some(Found { name, header: header.len() as u64, size }));
        }

        #[test]
        fn nothing_that_is_no_header_breaks_it(bytes in proptest::collection::vec(any::<u8>(), 0..1600)) {
            prop_assert_eq!(member(&bytes, 0).unwrap(), None);
        }
    }
}
