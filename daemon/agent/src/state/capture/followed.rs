//! A pass that somebody follows: what has changed since the last one goes first.

use std::thread;

use berth_delta::{Chain, Snapshot};
use berth_protocol::{Failure, Follower, Pass, ServiceFingerprint, TransferPhase};

use super::Service;
use crate::client::Client as _;
use crate::failure::Result;
use crate::state::delta::{Found, Made, Tracked};
use crate::state::fingerprint;
use crate::state::notes::{Meter, Silence};
use crate::state::restic::{Backup, Summary, What};
use crate::state::snapshot::Staging;
use crate::state::work::Job;

/// What was found to have changed, and what was sent of it.
pub(super) struct Sent {
    tracked: Tracked,
    /// The snapshot that leads to what is there now, if there is one.
    delta: Option<Summary>,
    /// The newest snapshot of everything.
    pub(super) whole: Option<String>,
    /// Whether whoever follows makes snapshots of everything.
    merged: bool,
}

impl Sent {
    /// What the pass has come to, where no snapshot of everything is needed from here.
    pub(super) fn enough(&self) -> Option<&Summary> {
        let is_same = matches!(self.tracked.found, Found::Same(_));
        self.delta.as_ref().filter(|_| self.merged || is_same || !self.tracked.is_far())
    }

    /// Whether the other makes a snapshot of everything of what it has, and of the rest.
    pub(super) fn is_completed_there(&self) -> bool {
        self.merged && self.delta.is_some()
    }

    /// The files and bytes of the directories.
    pub(super) fn total(&self) -> (u64, u64) {
        (self.tracked.total.files, self.tracked.total.bytes)
    }

    /// The bytes that were sent.
    pub(super) fn bytes(&self) -> u64 {
        self.delta.as_ref().map_or(0, Summary::bytes_added)
    }

    /// What a snapshot of everything is found by, beside its other tags.
    pub(super) fn tag(&self) -> String {
        self.tracked.tag()
    }
}

impl Service<'_> {
    /// The snapshots of the repository, if somebody follows, from which what has changed is told.
    pub(super) fn known(&self, job: &mut Job) -> Option<Vec<Snapshot>> {
        if self.asked.follower == Follower::Nobody {
            return None;
        }
        let known = self.restic.snapshots();
        known.map_err(|failure| self.not_sent(job, &failure)).ok()
    }

    fn not_sent(&self, job: &mut Job, failure: &Failure) {
        job.notes.line(&format!("{}: not sent as what has changed: {failure}", self.service));
    }

    /// Sends what has changed, if somebody follows. What cannot be sent so is sent with everything.
    pub(super) fn send_what_changed(
        &self,
        job: &mut Job,
        paths: &[String],
        known: Option<Vec<Snapshot>>,
    ) -> Option<Sent> {
        let known = known.filter(|_| !paths.is_empty())?;
        match self.try_to_send(job, paths, &known) {
            Ok(sent) => Some(sent),
            Err(failure) => {
                self.not_sent(job, &failure);
                None
            }
        }
    }

    fn try_to_send(&self, job: &mut Job, paths: &[String], snapshots: &[Snapshot]) -> Result<Sent> {
        let staging = Staging::of(job.files.name.operation, self.service);
        let mut tracked = Tracked::look(self.service, snapshots, paths, staging.folder())?;
        let merged = self.asked.follower == Follower::Merges;
        let delta = match &tracked.found {
            Found::Same(snapshot) => Some(Summary::of(snapshot)),
            Found::Few { list, from } => {
                let mut tags = vec![self.asked.tag.clone(), Pass::Live.tag()];
                tags.extend(tracked.delta_tags(self.service, *from));
                // What vanished meanwhile would be taken for what has come.
                let backup = Backup { host: self.host, tags, what: What::Listed(list), tolerant: false };
                let mut meter = Meter::of(&mut job.notes, TransferPhase::Backup, self.service);
                let sent = self.restic.backup(&backup, &mut |status| meter.at(status))?;
                // Whoever follows may be there already: also a pass that fails from here on is gone on from, even if the snapshot of
                // everything that is to come was made then.
                let live_whole = self.asked.pass == Pass::Live && !merged && tracked.is_far();
                tracked.keep(if live_whole { Made::Whole { quiet: false } } else { Made::Delta })?;
                Some(sent)
            }
            Found::Many => None,
        };
        let whole = Chain::of(self.service.as_str(), snapshots).whole().map(|snapshot| snapshot.id.clone());
        Ok(Sent { tracked, delta, whole, merged })
    }

    /// Copies, and where nobody is served until the other side has it, finds out meanwhile what it is; not of one of several services, as
    /// what another writes afterwards has to be found.
    pub(super) fn look_meanwhile<T>(
        &self,
        job: &mut Job,
        copy: impl FnOnce(&mut Job) -> T,
    ) -> (T, Option<ServiceFingerprint>) {
        let followed = self.asked.follower != Follower::Nobody;
        let is_last = followed && self.alone && matches!(self.asked.pass, Pass::Final { .. });
        let operation = job.files.name.operation;
        let (copied, found) = thread::scope(|scope| {
            let look = || fingerprint::of_service(operation, self.service, self.contract, &mut Silence);
            let looking = is_last.then(|| scope.spawn(look));
            (copy(job), looking.and_then(|looking| looking.join().ok()))
        });
        let fingerprint = match found.transpose() {
            Ok(found) => found,
            Err(failure) => {
                job.notes.line(&format!("{}: it is looked at later: {failure}", self.service));
                None
            }
        };
        (copied, fingerprint)
    }

    /// Has the next pass go on from what this one has found.
    pub(super) fn go_on_from(&self, sent: Option<Sent>, made: Made, job: &mut Job) {
        if let Some(Err(failure)) = sent.map(|mut sent| sent.tracked.keep(made)) {
            job.notes.line(&format!("{}: the next pass begins anew: {failure}", self.service));
        }
    }
}
