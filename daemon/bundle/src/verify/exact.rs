//! Each member where it should be, as it should be.

use super::Signed;
use super::checker::{Checker, length};
use super::report::{Fault, Problem};
use crate::about::{ABOUT, About};
use crate::entry::{Entry, Kind};
use crate::error::ReadError;
use crate::header;

/// The longest `bundle.json`, in bytes.
const MAX_ABOUT: u64 = 64 * 1024;

/// Checks every entry at its place. False where something stands there that does not belong there: then what was written
/// down so far is of no use.
pub(super) fn all(checker: &mut Checker<'_>, signed: Signed) -> Result<bool, ReadError> {
    let mut manifest = signed.manifest(checker.source)?;
    let mut at = 0;
    while let Some(entry) = manifest.next_entry()? {
        let header = header::of_entry(&entry);
        if checker.difference(at, &header)?.is_some() {
            return Ok(false);
        }
        let is_whole = checker.content(at + header.len() as u64, &entry)?;
        if at == 0 && is_whole {
            about(checker, &entry, header.len() as u64, manifest.head().about())?;
        }
        at = at.saturating_add(length(&entry));
    }
    Ok(at == signed.manifest_at)
}

/// The first entry must say what the manifest says.
fn about(checker: &mut Checker<'_>, entry: &Entry, at: u64, expected: About) -> Result<(), ReadError> {
    let Kind::File { size, .. } = entry.kind else { return Ok(()) };
    let mut text = vec![0; size.min(MAX_ABOUT) as usize];
    checker.source.read_up_to(&mut text, at)?;
    if serde_json::from_slice::<About>(&text).ok() != Some(expected) {
        let reason = "it does not say what the manifest says".to_owned();
        checker.add(Problem::of(ABOUT.as_bytes(), Fault::Format { reason }, Some(at)));
    }
    Ok(())
}
