//! Verifying a bundle as a whole.
//!
//! First the end of the file: the signature, and with it the manifest. Then all of it from the first byte to the last:
//! each member must stand exactly where the manifest's order puts it, with exactly the header that its entry makes and
//! the content that the manifest has the sum of. Where that does not go up, the file is read once more to find out what
//! is missing, what was added and what was moved.

mod checker;
mod diagnosis;
mod exact;
pub mod report;

use std::fs::File;
use std::path::Path;

use berth_sign::{JwsError, PublicKey, Sha256Hex, TrustedKeys, verify_embedded};
use serde::Deserialize;

use crate::about::{Format, MANIFEST, ManifestSum, SIGNATURE, SIGNATURE_TYPE, Statement, VERSION};
use crate::error::ReadError;
use crate::header;
use crate::locate::{self, Located};
use crate::manifest::{self, ManifestError, ManifestReader};
use crate::progress::Progress;
use crate::source::ReadAt;
use checker::Checker;
use report::{Fault, Part, Problem, Report, SignedBy};

/// Where the signed manifest of a source is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed {
    /// Where its header begins, and with it the end of all entries.
    pub(crate) manifest_at: u64,
    /// Where its content begins.
    pub(crate) content_at: u64,
    pub(crate) sum: ManifestSum,
}

/// Verifies a bundle in a file.
///
/// # Errors
/// [`ReadError`], where the file cannot be read; everything else is in the report.
pub fn verify(path: &Path, trusted: &TrustedKeys) -> Result<Report, ReadError> {
    let file = File::open(path).map_err(|source| ReadError::File { path: path.to_owned(), source })?;
    verify_source(&file, trusted, &mut |_| ())
}

/// The same of anything that can be read at any place, telling how far it is.
///
/// # Errors
/// [`ReadError`]
pub fn verify_source(
    source: &dyn ReadAt,
    trusted: &TrustedKeys,
    tell: &mut dyn FnMut(Progress),
) -> Result<Report, ReadError> {
    Ok(check(source, trusted, tell)?.0)
}

/// The report, and where the manifest is if it can be used.
pub(crate) fn check(
    source: &dyn ReadAt,
    trusted: &TrustedKeys,
    tell: &mut dyn FnMut(Progress),
) -> Result<(Report, Option<Signed>), ReadError> {
    let report = Report { size: source.length()?, ..Report::default() };
    let mut checker = Checker::new(source, report, tell);
    let signed = last_members(&mut checker, trusted)?;
    match signed {
        Some(signed) => contents(&mut checker, signed)?,
        None => diagnosis::without_manifest(&mut checker)?,
    }
    Ok((checker.report, signed))
}

/// What the end of the file alone says: who signed which manifest.
pub(crate) fn ends(
    source: &dyn ReadAt,
    trusted: &TrustedKeys,
) -> Result<(Report, Option<Signed>), ReadError> {
    let report = Report { size: source.length()?, ..Report::default() };
    let mut ignore = |_| ();
    let mut checker = Checker::new(source, report, &mut ignore);
    let signed = last_members(&mut checker, trusted)?;
    Ok((checker.report, signed))
}

/// The signature and the manifest, from the end of the file.
fn last_members(checker: &mut Checker<'_>, trusted: &TrustedKeys) -> Result<Option<Signed>, ReadError> {
    let Some(signature) = locate::signature(checker.source)? else {
        checker.add(Problem::of(SIGNATURE.as_bytes(), Fault::Missing, None));
        return Ok(None);
    };
    let (key, statement) = match statement(checker.source, &signature)? {
        Ok(signed) => signed,
        Err(fault) => {
            checker.add(Problem::of(SIGNATURE.as_bytes(), fault, Some(signature.content())));
            return Ok(None);
        }
    };
    let created = statement.created.timestamp();
    own_member(checker, SIGNATURE, &signature, created)?;
    end(checker, signature.end())?;
    let Some(located) = locate::manifest(checker.source, statement.manifest, created, signature.at)? else {
        checker.add(Problem::of(MANIFEST.as_bytes(), Fault::Missing, None));
        return Ok(None);
    };
    if located.end() != signature.at {
        let at = signature.at.min(located.end());
        checker.add(Problem { path: None, fault: Fault::Added, offset: Some(at) });
    }
    own_member(checker, MANIFEST, &located, created)?;
    let actual = manifest::sum_of(checker.source, located.content(), located.size)?;
    if actual != statement.manifest.sha256 {
        checker.add(Problem::altered(MANIFEST.as_bytes(), Part::Content, located.content()));
        return Ok(None);
    }
    introduce(checker, &key, trusted, &statement, located)
}

/// What the signature says, if it holds.
fn statement(source: &dyn ReadAt, at: &Located) -> Result<Result<(PublicKey, Statement), Fault>, ReadError> {
    let mut bytes = vec![0; usize::try_from(at.size).unwrap_or_default()];
    let read = source.read_up_to(&mut bytes, at.content())?;
    let no_signature = |error: JwsError| Fault::Signature { reason: error.to_string() };
    let Ok(jws) = std::str::from_utf8(&bytes[..read]) else {
        return Ok(Err(no_signature(JwsError::Malformed("it is no text"))));
    };
    let signed = match verify_embedded(jws, SIGNATURE_TYPE) {
        Ok(signed) => signed,
        Err(error) => return Ok(Err(no_signature(error))),
    };
    let version =
        serde_json::from_slice::<OfVersion>(&signed.payload).map_or(VERSION.into(), |it| it.version);
    if version != u64::from(VERSION) {
        return Ok(Err(Fault::Version { version }));
    }
    Ok(match serde_json::from_slice::<Statement>(&signed.payload) {
        Ok(statement) if statement.format == Format::Bundle => Ok((signed.key, statement)),
        Ok(_) => Err(no_signature(JwsError::Payload("this is another format".to_owned()))),
        Err(error) => Err(no_signature(JwsError::Payload(error.to_string()))),
    })
}

/// What every version of the statement says, whatever else it does.
#[derive(Deserialize)]
struct OfVersion {
    version: u64,
}

/// The header and the padding of the manifest or of the signature.
fn own_member(
    checker: &mut Checker<'_>,
    name: &str,
    located: &Located,
    created: i64,
) -> Result<(), ReadError> {
    let expected = header::of_last(name, located.size, created);
    if let Some(offset) = checker.difference(located.at, &expected)? {
        checker.add(Problem::altered(name.as_bytes(), Part::Header, offset));
    }
    checker.padding(located.content().saturating_add(located.size), located.size, name.as_bytes())?;
    Ok(())
}

/// Two blocks of zeros, and nothing after them.
fn end(checker: &mut Checker<'_>, at: u64) -> Result<(), ReadError> {
    let altered = checker.difference(at, &[0; header::END as usize])?;
    let added =
        (checker.report.size > at.saturating_add(header::END)).then_some(at.saturating_add(header::END));
    if let Some(offset) = altered.or(added) {
        checker.add(Problem { path: None, fault: Fault::Altered { part: Part::End }, offset: Some(offset) });
    }
    Ok(())
}

/// Takes in what the manifest says first, which the signature and the first entry must say as well.
fn introduce(
    checker: &mut Checker<'_>,
    key: &PublicKey,
    trusted: &TrustedKeys,
    statement: &Statement,
    located: Located,
) -> Result<Option<Signed>, ReadError> {
    let mut manifest = match ManifestReader::open(checker.source, located.content(), statement.manifest) {
        Ok(manifest) => manifest,
        Err(error) => return broken_rule(checker, error).map(|()| None),
    };
    let head = manifest.head().clone();
    let names_other = head.signer.key_id != key.id();
    if names_other || (&head.tenant, head.created) != (&statement.tenant, statement.created) {
        let reason = "the manifest is not of the tenant, time or key that the signature names".to_owned();
        checker.add(Problem::of(MANIFEST.as_bytes(), Fault::Format { reason }, Some(located.content())));
        return Ok(None);
    }
    loop {
        match manifest.next_entry() {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => return broken_rule(checker, error).map(|()| None),
        }
    }
    let totals = manifest.totals();
    checker.progress.of_bytes = Some(totals.bytes);
    let report = &mut checker.report;
    report.about = Some(head.about());
    report.totals = Some(totals);
    report.manifest_sha256 = Some(Sha256Hex::from(*statement.manifest.sha256.as_bytes()));
    let trusted = trusted.contains(key);
    report.signer = Some(SignedBy { provider: head.signer.provider, key_id: key.id(), trusted });
    report.services = head.services;
    Ok(Some(Signed { manifest_at: located.at, content_at: located.content(), sum: statement.manifest }))
}

/// A manifest that is signed and breaks a rule is a fault of the bundle; one that cannot be read is none.
fn broken_rule(checker: &mut Checker<'_>, error: ManifestError) -> Result<(), ReadError> {
    match error {
        ManifestError::Rule { .. } => {
            let fault = Fault::Format { reason: error.to_string() };
            checker.add(Problem::of(MANIFEST.as_bytes(), fault, None));
            Ok(())
        }
        other => Err(other.into()),
    }
}

/// All entries.
fn contents(checker: &mut Checker<'_>, signed: Signed) -> Result<(), ReadError> {
    let before = (checker.report.problems.len(), checker.progress);
    if !exact::all(checker, signed)? {
        checker.report.problems.truncate(before.0);
        checker.report.more_problems = 0;
        checker.progress = before.1;
        diagnosis::with_manifest(checker, signed)?;
        // The verdict stands, whether or not a name was found for what is wrong.
        if checker.report.problems.is_empty() {
            let reason = "the members are not those that it lists".to_owned();
            checker.add(Problem::of(MANIFEST.as_bytes(), Fault::Format { reason }, None));
        }
    }
    Ok(())
}

impl Signed {
    /// The manifest from its beginning.
    pub(crate) fn manifest<'a>(&self, source: &'a dyn ReadAt) -> Result<ManifestReader<'a>, ReadError> {
        Ok(ManifestReader::open(source, self.content_at, self.sum)?)
    }
}
