//! `berth bundle …`, which needs no daemon but for `import`.

mod counting;
mod import;
mod said;

use std::path::Path;

use berth_bundle::{BundlePath, Entry, ExtractError, Inspection, Leaving, Report, Selection, Verified, path};
use berth_sign::TrustedKeys;
use serde_json::json;

use crate::args::bundle::{Bundle, Extract, Links, Which};
use crate::failure::{Failure, Result};
use crate::output::Output;
use counting::Counting;

pub(super) use import::run as import;

pub(super) async fn run(command: Bundle, output: Output) -> Result<()> {
    // Files are read and written without waiting for anything else, on a thread for that.
    let work = tokio::task::spawn_blocking(move || match command {
        Bundle::Verify { which } => verify(&which, output),
        Bundle::Inspect { which, entries } => inspect(&which, entries, output),
        Bundle::Extract(options) => extract(&options, output),
        // It is brought to a daemon, and handled before.
        Bundle::Import(_) => Ok(()),
    });
    work.await.unwrap_or_else(|error| Err(Failure::local(format!("the work broke off: {error}"))))
}

fn verify(which: &Which, output: Output) -> Result<()> {
    let trusted = trusted(which)?;
    let file = std::fs::File::open(&which.file).map_err(|error| unreadable(&which.file, &error))?;
    let mut counting = Counting::begin("verify");
    let report = berth_bundle::verify_source(&file, &trusted, &mut |progress| counting.tell(progress));
    let report = report.map_err(Failure::local_error)?;
    counting.end(report.is_intact());
    show(&report, which, output);
    judge(&report, which)
}

fn inspect(which: &Which, entries: bool, output: Output) -> Result<()> {
    let mut listed: Vec<Entry> = Vec::new();
    let inspection = berth_bundle::inspect(&which.file, &trusted(which)?, &mut |_, entry| {
        if entries {
            listed.push(entry.clone());
        }
    });
    let inspection: Inspection = inspection.map_err(Failure::local_error)?;
    let mut document = json!(inspection);
    if entries {
        document["entries"] = json!(listed);
    }
    output.result(&document, |_| said::inspection(&inspection, &listed, !which.trust.is_empty()));
    if !inspection.problems.is_empty() {
        return Err(Failure::NotWhole(inspection.problems.len() as u64));
    }
    signer_counts(inspection.signer.trusted, which)
}

fn extract(options: &Extract, output: Output) -> Result<()> {
    let which = &options.which;
    let only = options.only.iter().map(|text| inner(text)).collect::<Result<Vec<_>>>()?;
    let trusted = trusted(which)?;
    let mut counting = Counting::begin("verify");
    let verified = Verified::open(&which.file, &trusted, &mut |progress| counting.tell(progress));
    counting.end(verified.is_ok());
    let bundle = match verified {
        Ok(bundle) => bundle,
        Err(ExtractError::Unsound(report)) => {
            show(&report, which, output);
            return judge(&report, which);
        }
        Err(error) => return Err(Failure::local_error(error)),
    };
    if let Err(untrusted) = judge(bundle.report(), which) {
        show(bundle.report(), which, output);
        return Err(untrusted);
    }
    let select = |entry: &Entry| only.is_empty() || only.iter().any(|only| entry.path.is_within(only));
    let selection = Selection { select: &select, leaving: options.links.into(), ..Selection::all() };
    let mut counting = Counting::begin("extract");
    let extracted = bundle.extract(&options.into, selection, &mut |progress| counting.tell(progress));
    counting.end(extracted.is_ok());
    let extracted = extracted.map_err(not_extracted)?;
    if extracted.entries == 0 && !only.is_empty() {
        return Err(Failure::advised(
            "nothing in the bundle is at these paths",
            format!("berth bundle inspect --entries {} lists what there is", which.file.display()),
        ));
    }
    let mut document = json!(extracted);
    document["folder"] = json!(options.into);
    document["report"] = report_json(bundle.report());
    output.result(&document, |_| said::extracted(&extracted, &options.into, bundle.report(), which));
    Ok(())
}

fn show(report: &Report, which: &Which, output: Output) {
    output.result(&report_json(report), |_| said::report(report, !which.trust.is_empty()));
}

/// The report, and what follows from it.
fn report_json(report: &Report) -> serde_json::Value {
    let mut document = json!(report);
    document["intact"] = report.is_intact().into();
    document["trusted"] = report.is_trusted().into();
    document
}

/// Fails unless the bundle is whole, and signed by somebody who is trusted where anybody was named.
fn judge(report: &Report, which: &Which) -> Result<()> {
    if !report.is_intact() {
        return Err(Failure::NotWhole(report.problems.len() as u64 + report.more_problems));
    }
    signer_counts(report.is_trusted(), which)
}

fn signer_counts(trusted: bool, which: &Which) -> Result<()> {
    if trusted || which.trust.is_empty() { Ok(()) } else { Err(Failure::ForeignSigner) }
}

fn trusted(which: &Which) -> Result<TrustedKeys> {
    let mut trusted = TrustedKeys::none();
    for file in &which.trust {
        trusted.add_file(file).map_err(Failure::local_error)?;
    }
    Ok(trusted)
}

/// A path of the command line: as it is, or encoded as a list of entries shows it.
fn inner(text: &str) -> Result<BundlePath> {
    let bytes = path::decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    BundlePath::new(bytes).map_err(|reason| Failure::Usage(format!("--only {text}: {reason}")))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::local(format!("{} cannot be read: {error}", file.display()))
}

fn not_extracted(error: ExtractError) -> Failure {
    let advice = match &error {
        ExtractError::Leaving { .. } => "--links skip leaves them out; --links keep makes them as they are",
        ExtractError::NotEmpty(_) => "name a folder that does not exist yet",
        ExtractError::Write { .. } => {
            "what was written so far is of no use; remove the folder before you try again"
        }
        _ => return Failure::local_error(error),
    };
    Failure::advised(error.to_string(), advice)
}

impl From<Links> for Leaving {
    fn from(links: Links) -> Self {
        match links {
            Links::Refuse => Self::Refuse,
            Links::Skip => Self::Skip,
            Links::Keep => Self::Keep,
        }
    }
}
