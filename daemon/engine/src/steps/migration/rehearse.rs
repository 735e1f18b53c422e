//! A rehearsal, at the source: a copy of the tenant goes to the target as an ordinary snapshot would, and what the target finds
//! of it is waited for. Nothing is stopped for good, nothing is handed over, and the tenant stays in its mode.

use std::time::Duration;

use berth_domain::{CopyTimes, MovePhase, Rehearsal};
use berth_protocol::{Capture, Fingerprint, Pass, ServiceFingerprint};
use berth_transfer::{Statement as _, brief};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::state::{captured, is_whole, pass, warn};
use super::super::{Context, Outcome, millis};
use super::copies::{depot, manifest, moved};
use super::source::{Source, Wait, came_to_nothing, refused};
use crate::error::StepError;
use crate::ports::{Report, Sink};

/// Each service is quiet for its own part, as in a snapshot.
pub(in super::super) async fn copy_for_a_rehearsal(
    context: &mut Context,
    sink: &Sink,
) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let mut source = context.source().await?;
    // What was sent before is as good as what would be sent now.
    let jws = match source.departure.manifest.clone() {
        Some(jws) => jws,
        None => send_a_copy(context, &mut source, sink).await?,
    };
    let view = source.target.manifest(&jws).await.map_err(refused)?;
    source.heard(context, &view).await?;
    Ok(Outcome::Done("the target has a whole copy; the services went on".into()))
}

async fn send_a_copy(context: &mut Context, source: &mut Source, sink: &Sink) -> Result<String, StepError> {
    let depot = depot(context, source).await?;
    let before = context.fingerprint_of_what_runs(sink).await?;
    let begun = Instant::now();
    // What an earlier try captured is older than what is compared with it: each has a tag, and so a snapshot, of its own.
    let tag = format!("{}.{}", context.operation, Uuid::now_v7());
    let capture = pass(context, &depot, Pass::Quiesced, tag, sink).await?;
    let last_ms = millis(begun.elapsed());
    is_whole(&capture)?;
    warn(&capture, sink);
    let begun = Instant::now();
    let after = context.fingerprint_of_what_runs(sink).await?;
    let times = times(source, &capture, last_ms, millis(begun.elapsed()));
    let services = moved(&capture, what_stood_still(&capture, before, after))?;
    let manifest = manifest(context, &source.ticket, services, Some(times), sink).await?;
    let jws = manifest.sign(&context.shared.exports.key);
    source.departure.manifest = Some(jws.clone());
    source.keep(context).await?;
    Ok(jws)
}

/// With what the passes before took, as they were written down.
fn times(source: &Source, capture: &Capture, last_ms: u64, fingerprint_ms: u64) -> CopyTimes {
    let before =
        source.departure.rehearsal.as_ref().and_then(|rehearsal| rehearsal.copied).unwrap_or_default();
    let last_bytes = captured(capture).map(|(_, captured)| captured.bytes_added).sum();
    CopyTimes {
        bytes_sent: before.bytes_sent.saturating_add(last_bytes),
        ahead_ms: before.ahead_ms,
        last_bytes,
        last_ms,
        quiet_ms: captured(capture).map(|(_, captured)| captured.quiet_ms).max().unwrap_or(0),
        fingerprint_ms,
    }
}

/// What was the same before the last pass and after it is what was copied. The rest cannot be compared: whoever goes on writing
/// changes it.
fn what_stood_still(capture: &Capture, before: Fingerprint, after: Fingerprint) -> Fingerprint {
    let still = |service| {
        let none = ServiceFingerprint::default();
        let (was, is) = (
            before.services.get(service).unwrap_or(&none),
            after.services.get(service).cloned().unwrap_or_default(),
        );
        let databases = is.databases.into_iter().filter(|(name, is)| was.databases.get(name) == Some(is));
        let directories =
            is.directories.into_iter().filter(|(path, is)| was.directories.get(path) == Some(is));
        ServiceFingerprint { databases: databases.collect(), directories: directories.collect() }
    };
    let services = captured(capture).map(|(service, _)| (service.clone(), still(service)));
    Fingerprint { services: services.collect() }
}

/// Waits for what the target finds.
pub(in super::super) async fn rehearse(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    let mut source = context.source().await?;
    sink(Report::Line("the target tries the copy out, behind a fence".into()));
    let _aside = context.shared.step_aside();
    let view = source.wait_for(context, Wait::Awake, sink, |phase| phase == MovePhase::Rehearsed).await?;
    let found = source.departure.rehearsal.unwrap_or_default();
    found.told().into_iter().for_each(|line| sink(Report::Line(line)));
    if view.phase == MovePhase::Failed {
        return Err(came_to_nothing(&view));
    }
    let away = found.estimated_away_ms.map_or_else(String::new, |away| {
        format!("; the real move would be away for about {} s, which is an estimate", away.div_ceil(1000))
    });
    Ok(Outcome::Done(format!("a copy came up at the target, and was thrown away there{away}")))
}

impl Source {
    /// Writes down what the passes took that stop nothing.
    pub(super) async fn note_passes(
        &mut self,
        context: &Context,
        bytes_sent: u64,
        took: Duration,
    ) -> Result<(), StepError> {
        let Some(rehearsal) = &mut self.departure.rehearsal else { return Ok(()) };
        let ahead_ms = millis(took);
        rehearsal.copied = Some(CopyTimes { bytes_sent, ahead_ms, ..CopyTimes::default() });
        self.keep(context).await
    }
}

impl Context {
    /// What the state is at the moment, as far as that can be read while somebody writes to it.
    async fn fingerprint_of_what_runs(&mut self, sink: &Sink) -> Result<Fingerprint, StepError> {
        match self.fingerprint(sink).await {
            Err(StepError::Failed(failure)) if !failure.transient => {
                let message =
                    format!("nothing will be compared, as it changes while it is read: {}", failure.message);
                sink(Report::Warning(message));
                Ok(Fingerprint::default())
            }
            found => found,
        }
    }
}

/// A stranger's report, of which every text can be shown.
pub(super) fn brief_report(report: &Rehearsal) -> Rehearsal {
    let mut report = report.clone();
    let each = |texts: &mut Vec<String>| texts.iter_mut().for_each(|text| *text = brief(text));
    report.problem = report.problem.as_deref().map(brief);
    for service in report.services.values_mut() {
        service.found.problem = service.found.problem.as_deref().map(brief);
        service.found.rows = service.found.rows.iter().map(|(name, rows)| (brief(name), *rows)).collect();
        each(&mut service.found.left_out);
        each(&mut service.compared);
        each(&mut service.not_compared);
    }
    report
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use berth_domain::RehearsedService;
    use berth_protocol::{Captured, DatabaseFingerprint, DirectoryFingerprint, ServiceCapture};

    use super::*;

    fn with(rows: u64, bytes: u64) -> Fingerprint {
        let tables = BTreeMap::from([("public.notes".to_owned(), rows)]);
        let database = DatabaseFingerprint { tables, ..DatabaseFingerprint::default() };
        let directory = DirectoryFingerprint { files: 1, bytes, sha256: "ab".repeat(32) };
        let service = ServiceFingerprint {
            databases: BTreeMap::from([("gitea".to_owned(), database)]),
            directories: BTreeMap::from([("/var/lib/gitea".to_owned(), directory)]),
        };
        Fingerprint { services: BTreeMap::from([("gitea".parse().unwrap(), service)]) }
    }

    #[test]
    fn only_what_did_not_change_while_it_was_copied_is_compared() {
        let captured = Captured {
            snapshot: Some("a".repeat(64)),
            bytes_added: 1,
            bytes_total: 2,
            files_total: 1,
            databases: vec!["gitea".into()],
            replicas: Vec::new(),
            data_version: None,
            quiet_ms: 7,
            left_out: Vec::new(),
            buckets: Vec::new(),
            not_started: Vec::new(),
            fingerprint: None,
        };
        let services = BTreeMap::from([("gitea".parse().unwrap(), ServiceCapture::Captured(captured))]);
        let capture = Capture { services };
        assert_eq!(what_stood_still(&capture, with(1, 2), with(1, 2)), with(1, 2));
        let still = what_stood_still(&capture, with(1, 2), with(3, 2));
        let service = &still.services["gitea"];
        assert!(service.databases.is_empty() && service.directories.len() == 1, "{still:?}");
        // What could not be read is no reason to say that it is equal.
        let unread = what_stood_still(&capture, Fingerprint::default(), with(1, 2));
        assert_eq!(unread.services["gitea"], ServiceFingerprint::default());
    }

    #[test]
    fn no_word_of_a_strangers_report_reaches_a_terminal_as_it_came() {
        let evil = "x\u{1b}[2J".to_owned();
        let mut service = RehearsedService { compared: vec![evil.clone()], ..RehearsedService::default() };
        service.found.problem = Some(evil.clone());
        service.found.rows.insert(evil.clone(), 1);
        let services = BTreeMap::from([("gitea".parse().unwrap(), service)]);
        let report = Rehearsal { problem: Some(evil), services, ..Rehearsal::default() };
        let text = format!("{:?}", brief_report(&report));
        assert!(!text.contains("u{1b}"), "{text}");
    }
}
