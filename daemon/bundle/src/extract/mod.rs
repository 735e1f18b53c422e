//! Writing what is in a bundle into a folder.
//!
//! Nothing is written before all of the bundle was verified, and only into a folder that is new or empty. Every folder is
//! opened from the one that it lies in, and no link is ever followed. Each content is checked once more while it is
//! written, as the bundle's file might be another by then.

mod folder;
mod links;
mod write;

use std::fs::File;
use std::path::Path;

use berth_sign::TrustedKeys;

use crate::entry::Entry;
use crate::error::{ExtractError, ReadError};
use crate::progress::Progress;
use crate::source::ReadAt;
use crate::verify::report::Report;
use crate::verify::{self, Signed};
use links::Links;

/// A bundle that was verified as a whole: the only thing that can be extracted.
pub struct Verified<S: ReadAt> {
    source: S,
    signed: Signed,
    report: Report,
}

/// What is done with symbolic links that would lead out of the folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Leaving {
    /// Nothing is extracted.
    #[default]
    Refuse,
    /// They are left out, and named.
    Skip,
    /// They are made as they are; whoever follows them later is led out.
    Keep,
}

/// Whose the extracted files will be.
#[derive(Clone, Copy, Default)]
pub enum Ownership<'a> {
    /// Those of whoever extracts; special bits of a mode (setuid, setgid, sticky) are left out.
    #[default]
    Mine,
    /// Those of these numbers, user and group, with the mode as it was. It takes root to do that.
    Of(&'a dyn Fn(&Entry) -> (u32, u32)),
}

/// What is extracted, and how.
#[derive(Clone, Copy)]
pub struct Selection<'a> {
    /// Which entries.
    pub select: &'a dyn Fn(&Entry) -> bool,
    /// What is done with symbolic links that would lead out of the folder.
    pub leaving: Leaving,
    /// Whose the files will be.
    pub ownership: Ownership<'a>,
}

impl Selection<'_> {
    /// Everything, for whoever extracts it.
    pub fn all() -> Self {
        Self { select: &|_| true, leaving: Leaving::default(), ownership: Ownership::default() }
    }
}

/// What was extracted.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Extracted {
    /// How many entries.
    pub entries: u64,
    /// How many bytes their contents have.
    pub bytes: u64,
    /// The first thousand symbolic links that were left out, encoded as the manifest does.
    pub left_out: Vec<String>,
    /// How many there are of them.
    pub left_out_count: u64,
}

impl Verified<File> {
    /// Verifies a bundle in a file, which stays open.
    ///
    /// # Errors
    /// [`ExtractError::Unsound`] with what is wrong, [`ExtractError::Read`]
    pub fn open(
        path: &Path,
        trusted: &TrustedKeys,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Self, ExtractError> {
        let file = File::open(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
        Self::of(file, trusted, tell)
    }
}

impl<S: ReadAt> Verified<S> {
    /// Verifies a bundle.
    ///
    /// # Errors
    /// [`ExtractError::Unsound`] with what is wrong, [`ExtractError::Read`]
    pub fn of(
        source: S,
        trusted: &TrustedKeys,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Self, ExtractError> {
        match verify::check(&source, trusted, tell)? {
            (report, Some(signed)) if report.is_intact() => Ok(Self { source, signed, report }),
            (report, _) => Err(ExtractError::Unsound(Box::new(report))),
        }
    }

    /// What it was verified from.
    pub fn source(&self) -> &S {
        &self.source
    }

    pub(crate) fn signed(&self) -> Signed {
        self.signed
    }

    /// What verifying it came to. Whether its signer is trusted is for the caller to look at.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Extracts what is selected into a folder that is new or empty.
    ///
    /// # Errors
    /// [`ExtractError`]. Before [`ExtractError::Write`] and [`ReadError::Changing`] some entries were written.
    pub fn extract(
        &self,
        into: &Path,
        selection: Selection<'_>,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Extracted, ExtractError> {
        let expected = self.plan(selection)?;
        let folder = folder::open_empty(into)?;
        write::all(
            &self.source,
            self.signed,
            folder,
            selection,
            Progress { of_bytes: Some(expected), ..Progress::default() },
            tell,
        )
    }

    /// How many bytes will be written; refuses what must not be.
    fn plan(&self, selection: Selection<'_>) -> Result<u64, ExtractError> {
        let mut manifest = self.signed.manifest(&self.source)?;
        let (mut bytes, mut links) = (0_u64, Links::default());
        while let Some(entry) = manifest.next_entry().map_err(ReadError::from)? {
            if (selection.select)(&entry) {
                bytes = bytes.saturating_add(write::size(&entry));
                links.judge(&entry);
            }
        }
        match links.first {
            Some(first) if selection.leaving == Leaving::Refuse => {
                Err(ExtractError::Leaving { first, count: links.count })
            }
            _ => Ok(bytes),
        }
    }
}
