//! Whether a bundle is whole, and what it says of itself.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use berth_bundle::{ExtractError, Fault, ReadError, Report, Verified};
use berth_domain::{BundleAbout, BundleId, BundleRefusal, BundleStatus, IncomingBundle};
use tokio_util::sync::CancellationToken;

use super::holdings::Holdings;
use super::specification;
use super::spool::{Spool, SpoolError};
use super::stoppable::Stoppable;

/// How many problems of a bundle are told.
const MAX_PROBLEMS: usize = 100;

/// A bundle's last member.
const SIGNATURE: &str = berth_bundle::about::SIGNATURE;

/// The longest specification, in bytes.
const MAX_TEXT: u64 = berth_nix::data::MAX_TEXT as u64;

impl Spool {
    /// Compares a bundle that is all here with what is signed, unless that is going on. What comes of it is written down.
    ///
    /// # Errors
    /// The folder cannot be used.
    pub(crate) async fn examine(
        self: Arc<Self>,
        id: BundleId,
        stop: CancellationToken,
    ) -> Result<(), SpoolError> {
        let bundle = self.bundle(id)?;
        if bundle.status != BundleStatus::Verifying {
            return Ok(());
        }
        let Some(work) = self.begin(id) else { return Ok(()) };
        let (spool, done) = (Arc::clone(&self), Arc::clone(&work.done));
        let tell = move |bytes| done.store(bytes, Ordering::Relaxed);
        let source = Stoppable::open(&self.content(id), stop.clone())?;
        let verifying = tokio::task::spawn_blocking(move || spool.verify(source, &tell));
        // Whatever it does to a reader: it would be compared again and again otherwise.
        let verified = verifying.await.unwrap_or_else(|error| Err(unreadable(&error)));
        if stop.is_cancelled() {
            // The successor compares it anew.
            return Ok(());
        }
        let found = match verified {
            Ok((mut about, text)) => match specification::read(&self.nix, &text).await {
                Ok(tenant) => {
                    about.specification = tenant;
                    Ok(about)
                }
                Err(refusal) => Err(refusal),
            },
            Err(refusal) => Err(refusal),
        };
        // Somebody may have removed it meanwhile.
        let bundle = self.bundle(id)?;
        let (size, received, verified) = (bundle.size, bundle.size, bundle.size);
        let bundle = IncomingBundle { size, received, verified, ..bundle };
        self.write(&match found {
            Ok(about) => IncomingBundle { status: BundleStatus::Whole, about: Some(about), ..bundle },
            Err(refusal) => {
                IncomingBundle { status: BundleStatus::Refused, refusal: Some(refusal), ..bundle }
            }
        })
    }

    /// What a bundle says of itself but its specification, and the text of that.
    fn verify(&self, source: Stoppable, tell: &dyn Fn(u64)) -> Result<(BundleAbout, String), BundleRefusal> {
        let mut counting = |progress: berth_bundle::Progress| tell(progress.bytes);
        let bundle = match Verified::of(source, &self.trusted, &mut counting) {
            Ok(bundle) => bundle,
            Err(ExtractError::Unsound(report)) => return Err(refusal(&report)),
            Err(error) => return Err(unreadable(&error)),
        };
        said(&bundle)
    }
}

fn said(bundle: &Verified<Stoppable>) -> Result<(BundleAbout, String), BundleRefusal> {
    let report = bundle.report();
    let (Some(about), Some(signer), Some(totals), Some(sum)) =
        (&report.about, &report.signer, report.totals, report.manifest_sha256)
    else {
        return Err(refusal(report));
    };
    let (mut holdings, mut text) = (Holdings::begin(&report.services, None), None);
    let read = bundle.each::<ReadError>(&mut |entry, content| {
        holdings.add(entry);
        if entry.path.as_bytes() == specification::FILE.as_bytes() {
            let mut read = String::new();
            content.take(MAX_TEXT + 1).read_to_string(&mut read)?;
            text = Some(read);
        }
        Ok(())
    });
    read.map_err(|error| unreadable(&error))?;
    let missing = || specification::no_specification(format!("the bundle has no {}", specification::FILE));
    let text = text.ok_or_else(missing)?;
    let services = holdings.services.into_iter().map(|(name, held)| (name, held.about));
    let about = BundleAbout {
        tenant: about.tenant.clone(),
        provider: about.provider.clone(),
        signer: signer.key_id.to_string(),
        trusted: signer.trusted,
        made_at: about.created,
        manifest_sha256: sum.to_string(),
        files: totals.files,
        bytes: totals.bytes,
        services: services.collect(),
        secrets: holdings.secrets,
        specification: berth_domain::TenantDraft::default(),
    };
    Ok((about, text))
}

/// Why a bundle that is not whole is refused: each sort of damage has a name of its own.
fn refusal(report: &Report) -> BundleRefusal {
    let first = |wanted: fn(&Fault) -> bool| report.problems.iter().find(|problem| wanted(&problem.fault));
    let known = [
        ("bundle-version", first(|fault| matches!(fault, Fault::Version { .. }))),
        ("bundle-unsealed", first(|fault| matches!(fault, Fault::Unsealed))),
        ("bundle-format", first(|fault| matches!(fault, Fault::Format { .. }))),
    ];
    let problems = report.problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect();
    if let Some((code, Some(problem))) = known.into_iter().find(|(_, found)| found.is_some()) {
        return BundleRefusal { code: code.into(), message: problem.to_string(), problems };
    }
    let ends_too_early = first(|fault| matches!(fault, Fault::Truncated)).is_some();
    let is_the_end = |problem: &berth_bundle::Problem| {
        problem.fault == Fault::Missing && problem.path.as_deref() == Some(SIGNATURE)
    };
    let has_no_end = report.problems.iter().any(is_the_end);
    let (code, message) = if ends_too_early || has_no_end {
        ("bundle-truncated", "the bundle ends too early, or is none: there is no signature at its end")
    } else {
        ("bundle-altered", "the bundle is not as it was signed")
    };
    let count = report.problems.len() as u64 + report.more_problems;
    let named = report.problems.first().map(ToString::to_string).unwrap_or_default();
    let message = match count {
        0 => message.to_owned(),
        1 => format!("{message}: {named}"),
        more => format!("{message}: {named}; and {} more", more - 1),
    };
    BundleRefusal { code: code.into(), message, problems }
}

fn unreadable(error: &dyn std::error::Error) -> BundleRefusal {
    let message = format!("the bundle cannot be read here: {error}");
    BundleRefusal { code: "bundle-unreadable".into(), message, problems: Vec::new() }
}

#[cfg(test)]
#[path = "examine_tests.rs"]
mod tests;
