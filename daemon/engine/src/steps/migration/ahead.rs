//! Files and databases that have arrived at the target are restored while the source still copies newer ones, so that what is left for the time
//! in which nobody serves is what has changed since. The source waits for it before it stops anything.
//!
//! Meanwhile a snapshot of everything is made of what has changed, so that no pass of the source has to be one.
//!
//! Nothing depends on it but the time that the rest takes: what fails here is said, and done with everything else later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use berth_delta::brings_files;
use berth_domain::migration::Ahead;
use berth_domain::{Arrival, MovePhase};
use berth_protocol::{Answer, Request, RestoredAhead};
use berth_store::VaultRecord;
use berth_transfer::{View, brief};
use secrecy::SecretString;
use tokio::time::Instant;

use super::super::Context;
use super::super::context::unexpected;
use super::super::state::Depot;
use super::source::Source;
use crate::error::StepError;
use crate::ports::{Report, Sink, VaultAccess, Vaults};

/// How often in a row a failure is passed over before it is left to the restore.
const FAILURES: u32 = 3;

/// How long after a failure it is tried again, and how often the source looks how far the target is.
const PAUSE: Duration = Duration::from_secs(2);

/// How long a machine that cannot be reached is waited for after a failure: it may start anew. Then the migration fails, rather than
/// have the source stop its services for a machine that is not there.
const OUT_OF_TOUCH: Duration = Duration::from_secs(10 * 60);

/// How long the source waits for a target that has not said yet whether it restores ahead.
const UNTOLD: Duration = Duration::from_secs(20);

/// How long the source waits for one that does. Nobody is kept waiting meanwhile.
const PATIENCE: Duration = Duration::from_secs(3600);

/// How long the source waits for a target that has not said yet whether it restores ahead, where a database was sent to be followed:
/// the target may have to build a system first.
const UNTOLD_OF_DATABASES: Duration = Duration::from_secs(600);

/// How long a database is loaded before what has changed meanwhile is sent, so that the source's server need not keep it.
const LOADING: Duration = Duration::from_secs(15 * 60);

/// What the source has sent of which it waits until it is in place.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The snapshots whose files are to be restored.
    pub(super) files: BTreeSet<String>,
    /// The newest snapshots of databases that are followed.
    pub(super) databases: BTreeSet<String>,
    /// Since when the target was waited for because of these, pass after pass.
    pub(super) loading_since: Option<Instant>,
    /// From when on nobody waits for these, however many passes there were.
    pub(super) until: Option<Instant>,
}

/// What the target has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restored {
    /// There is nothing that would be waited for any longer.
    Enough,
    /// It loads a database, and what has changed meanwhile can be sent.
    StillLoads,
}

/// The target's part of it.
pub(super) struct RestoringAhead {
    vault: VaultRecord,
    /// The snapshots that were there the last time; nothing before the first.
    seen: Option<BTreeSet<String>>,
    failures: u32,
    /// Nothing will come of it.
    over: bool,
}

impl RestoringAhead {
    /// Into the directories' rooms, from this vault.
    pub(super) fn into(vault: VaultRecord) -> Self {
        Self { vault, seen: None, failures: 0, over: false }
    }

    /// Restores what has come since the last time; whether there was something. Also where nothing is there yet, as the machine
    /// tells whether it can.
    pub(super) async fn go_on(&mut self, context: &mut Context, sink: &Sink) -> Result<bool, StepError> {
        if self.over {
            return Ok(false);
        }
        match self.restore_what_is_new(context, sink).await {
            Ok(new) => Ok(new),
            Err(StepError::Failed(failure)) => {
                self.failures += 1;
                sink(Report::Warning(format!("not restored before everything is here: {}", failure.message)));
                context.forget_the_session();
                context.sleep(PAUSE).await?;
                match self.failures < FAILURES {
                    true => is_back(context, sink).await?,
                    false => self.end(context).await?,
                }
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Nothing more will come of it.
    async fn end(&mut self, context: &Context) -> Result<(), StepError> {
        note(context, None).await?;
        self.over = true;
        Ok(())
    }

    async fn restore_what_is_new(&mut self, context: &mut Context, sink: &Sink) -> Result<bool, StepError> {
        let (vaults, key) = (Arc::clone(&context.shared.vaults), context.vault_key(&self.vault)?);
        let there = vaults.snapshots(self.vault.id).await?;
        if !self.is_news(&there, &*vaults, &key).await? {
            self.seen = Some(there);
            return Ok(false);
        }
        // Both read what has come, the one on the machine, the other here.
        let merge = vaults.merge(self.vault.id, &key);
        let (restored, merged) = tokio::join!(self.restore(context, sink), merge);
        if let Err(error) = &merged {
            sink(Report::Line(format!("the source has to send snapshots of everything: {error}")));
        }
        match restored? {
            Some(restored) => note(context, Some(told(restored, merged.is_ok()))).await?,
            None => self.end(context).await?,
        }
        (self.seen, self.failures) = (Some(there), 0);
        Ok(true)
    }

    /// Whether something came that can be restored ahead, or nobody has asked the machine yet whether it can.
    async fn is_news(
        &self,
        there: &BTreeSet<String>,
        vaults: &dyn Vaults,
        key: &SecretString,
    ) -> Result<bool, StepError> {
        let Some(seen) = &self.seen else { return Ok(true) };
        let new: BTreeSet<String> = there.difference(seen).cloned().collect();
        if new.is_empty() {
            return Ok(false);
        }
        let tags = vaults.tags(self.vault.id, key, new.clone()).await?;
        Ok(new.iter().any(|id| tags.get(id).is_none_or(|tags| brings_files(tags))))
    }

    async fn restore(&self, context: &mut Context, sink: &Sink) -> Result<Option<RestoredAhead>, StepError> {
        let limit_seconds = context.shared.options.timeouts.state.as_secs();
        let system = context.system()?;
        let request = |claim, repository| {
            let system = system.clone();
            Request::RestoreAhead { claim, system, repository, limit_seconds }
        };
        let depot = Depot::Own(self.vault.clone());
        match context.ask_with(&depot, VaultAccess::Read, sink, request).await? {
            Answer::RestoredAhead(restored) => Ok(restored),
            _ => Err(unexpected("what has arrived")),
        }
    }
}

/// What the machine has restored, as the source is told.
fn told(RestoredAhead { snapshots, refused }: RestoredAhead, merged: bool) -> Ahead {
    let refused = refused.into_values().map(|why| brief(&why)).collect();
    Ahead { snapshots, merged, refused }
}

/// Waits until the machine can be reached; not once the source has signed, as services stand still then, nor once it came to nothing.
async fn is_back(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    let until = Instant::now() + OUT_OF_TOUCH;
    while let Err(error) = context.session(sink).await.map(drop) {
        let waits = Instant::now() < until && matches!(&error, StepError::Failed(_));
        if !waits {
            return Err(error);
        }
        let arrival = context.arrival().await?.arrival;
        if arrival.manifest.is_some() || arrival.phase == MovePhase::Failed {
            break;
        }
        context.forget_the_session();
        context.sleep(PAUSE).await?;
    }
    Ok(())
}

/// The source reads it in its next view; nothing where nothing is restored ahead, and will not be.
async fn note(context: &Context, ahead: Option<Ahead>) -> Result<(), StepError> {
    let note = |arrival: &mut Arrival| {
        (arrival.ahead, arrival.never_ahead) = (ahead.clone(), ahead.is_none());
    };
    context.advance(MovePhase::Receiving, MovePhase::Receiving, note).await
}

impl Source {
    /// Waits until the target has restored what was sent, if it does so at all. The services go on meanwhile.
    pub(super) async fn wait_until_restored(
        &mut self,
        context: &Context,
        sent: &Sent,
        sink: &Sink,
    ) -> Result<Restored, StepError> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            // A target that does not answer is the next pass's concern.
            let view = self.look(context).await?;
            let loading = sent.loading_since.map_or_else(|| begun.elapsed(), |since| since.elapsed());
            let followed = is_past(sent.until) || are_followed(&view, &sent.databases, loading);
            if followed && is_enough(&view, &sent.files, begun.elapsed()) {
                return Ok(Restored::Enough);
            }
            if !followed && begun.elapsed() >= LOADING {
                return Ok(Restored::StillLoads);
            }
            if !std::mem::replace(&mut told, true) {
                sink(Report::Line("the target restores what has arrived".into()));
            }
            context.sleep(PAUSE).await?;
        }
    }
}

/// Whether a moment has come.
pub(super) fn is_past(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| Instant::now() >= moment)
}

/// Whether there is nothing to be waited for any more.
fn is_enough(view: &View, snapshots: &BTreeSet<String>, waited: Duration) -> bool {
    match &view.ahead {
        Some(ahead) => snapshots.iter().all(|snapshot| ahead.contains(snapshot)) || waited >= PATIENCE,
        None => view.restores_nothing_ahead() || waited >= UNTOLD,
    }
}

/// Whether databases that were sent are in place, or nothing will come of it.
fn are_followed(view: &View, snapshots: &BTreeSet<String>, waited: Duration) -> bool {
    let refused = view.replicates_databases != Some(true);
    match &view.ahead {
        Some(ahead) => refused || snapshots.iter().all(|snapshot| ahead.contains(snapshot)),
        None => refused || snapshots.is_empty() || waited >= UNTOLD_OF_DATABASES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(ahead: Option<&[&str]>, replicates_databases: bool) -> View {
        let view = serde_json::json!({
            "offer": uuid::Uuid::nil(), "nonce": "n", "phase": "receiving", "ahead": ahead,
            "replicates_databases": replicates_databases,
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn a_target_is_waited_for_as_long_as_it_restores_and_no_other_for_long() {
        let wanted: BTreeSet<String> = ["a".to_owned(), "b".to_owned()].into();
        let enough = |ahead: Option<&[&str]>, seconds| {
            is_enough(&view(ahead, true), &wanted, Duration::from_secs(seconds))
        };
        assert!(enough(Some(&["b", "a", "older"]), 0));
        assert!(!enough(Some(&["a"]), 600) && enough(Some(&["a"]), 3600));
        assert!(!enough(None, 5) && enough(None, 20));
        assert!(
            is_enough(&view(Some(&[]), true), &BTreeSet::new(), Duration::ZERO),
            "a tenant without files"
        );
    }

    #[test]
    fn a_target_that_restores_nothing_ahead_is_not_waited_for() {
        let wanted: BTreeSet<String> = ["a".to_owned()].into();
        let over = view(None, false);
        assert!(is_enough(&over, &wanted, Duration::ZERO) && are_followed(&over, &wanted, Duration::ZERO));
        let not_yet = view(None, true);
        assert!(!is_enough(&not_yet, &wanted, Duration::ZERO));
        assert!(!are_followed(&not_yet, &wanted, Duration::from_secs(60)));
    }

    #[test]
    fn databases_are_waited_for_up_to_one_moment_of_all_passes() {
        let now = Instant::now();
        assert!(is_past(Some(now)) && !is_past(now.checked_add(Duration::from_secs(600))));
        assert!(!is_past(None), "one that is too far away to be told");
    }
}
