//! Looking into a bundle without reading all of it: what it says of itself, and what it lists.
//!
//! The signature and the manifest are checked, the contents are not: only [`crate::verify()`] says whether a bundle is
//! whole.

use std::fs::File;
use std::path::Path;

use berth_sign::TrustedKeys;
use serde::Serialize;

use crate::about::{About, Head, ServiceAbout, Totals};
use crate::entry::Entry;
use crate::error::ReadError;
use crate::source::ReadAt;
use crate::verify::report::{Problem, SignedBy};
use crate::verify::{self, Signed};

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// Its length in bytes.
    pub size: u64,
    /// What it is of.
    pub about: About,
    /// The services.
    pub services: Vec<ServiceAbout>,
    /// What is in it.
    pub totals: Totals,
    /// Who signed it.
    pub signer: SignedBy,
    /// What is wrong with its end: the manifest, the signature, and what follows.
    pub problems: Vec<Problem>,
}

/// Looks into a bundle, and shows each entry that its manifest lists.
///
/// # Errors
/// [`ReadError::NoManifest`] where there is no signed manifest, and where the file cannot be read
pub fn inspect(
    path: &Path,
    trusted: &TrustedKeys,
    show: &mut dyn FnMut(&Head, &Entry),
) -> Result<Inspection, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    inspect_source(&file, trusted, show)
}

/// The same of anything that can be read at any place.
///
/// # Errors
/// [`ReadError`]
pub fn inspect_source(
    source: &dyn ReadAt,
    trusted: &TrustedKeys,
    show: &mut dyn FnMut(&Head, &Entry),
) -> Result<Inspection, ReadError> {
    let (report, signed) = verify::ends(source, trusted)?;
    let why = || {
        let first = report.problems.first().map(Problem::to_string);
        ReadError::NoManifest(first.unwrap_or_else(|| "this is no bundle".to_owned()))
    };
    let known = (report.about.clone(), report.totals, report.signer.clone());
    let (Some(signed), (Some(about), Some(totals), Some(signer))) = (signed, known) else {
        return Err(why());
    };
    entries(source, signed, show)?;
    let (size, services, problems) = (report.size, report.services, report.problems);
    Ok(Inspection { size, about, services, totals, signer, problems })
}

fn entries(
    source: &dyn ReadAt,
    signed: Signed,
    show: &mut dyn FnMut(&Head, &Entry),
) -> Result<(), ReadError> {
    let mut manifest = signed.manifest(source)?;
    let head = manifest.head().clone();
    while let Some(entry) = manifest.next_entry()? {
        show(&head, &entry);
    }
    Ok(())
}
