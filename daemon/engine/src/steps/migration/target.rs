//! The target's half: the tenant is set up with its services stopped, its state is taken in and compared with what the source
//! signed, and once the source has stopped for good, the services are started.

use std::collections::BTreeMap;
use std::time::Duration;

use berth_domain::{
    Arrival, CapturedService, Mode, MovePhase, OperationId, Rehearsal, ServiceName, Snapshot, SnapshotPart,
};
use berth_protocol::{GivenSecret, RestorePart};
use berth_sign::{Countersignature, Jwk};
use berth_store::{ArrivalRecord, VaultRecord};
use berth_transfer::sealed::Purpose;
use berth_transfer::view::TARGET;
use berth_transfer::{Manifest, Statement as _, brief};
use chrono::SubsecRound as _;
use tokio::time::Instant;

use super::super::deployment::Gate;
use super::super::state::{Bringing, restore_parts};
use super::super::{Context, Outcome, millis};
use super::ahead::RestoringAhead;
use super::objects::{self, Further, Last};
use super::try_out::InPlace;
use crate::arrivals::{self, give_up};
use crate::error::{SECRET_SEALED, STATE_DIFFERS, StepError};
use crate::ports::{Report, Sink};

/// How often it is looked whether the source has said something.
const LOOK: Duration = Duration::from_millis(200);

/// How long the source may take to stop for good once everything is in place. Its own machine may have to build a system.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

pub(in super::super) async fn prepare(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    // What an earlier rehearsal could not throw away goes first, and nothing of it is taken for what comes.
    context.clean_up_after_a_rehearsal(sink).await?;
    let rest = context.rest().await?;
    context.bring(&rest, sink).await?;
    // Until here nothing of the machine was changed.
    context.objects_can_come(sink).await?;
    context.settle_in(&rest, Gate::Open, sink).await?;
    let standby = context.system()?;
    // Where that ran already, a rehearsal may have taken its secrets away.
    context.prepare_secrets(&standby, sink).await?;
    context.vault().await?;
    let tries_out = context.tries_out();
    context
        .advance(MovePhase::Preparing, MovePhase::Preparing, |arrival| {
            arrival.standby = Some(standby.clone());
            (arrival.ahead, arrival.never_ahead) = (None, false);
            if tries_out {
                arrival.rehearsal = Some(Rehearsal { emptied: false, ..Rehearsal::default() });
            }
        })
        .await?;
    Ok(Outcome::Done("the tenant is set up, its services are stopped".into()))
}

pub(in super::super) async fn receive(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let _aside = context.shared.step_aside();
    // The source sends nothing before, and its services go on.
    let moves = objects::first(context, sink).await?;
    context.advance(MovePhase::Preparing, MovePhase::Receiving, |_| {}).await?;
    let mode = if context.tries_out() { Mode::Fenced } else { Mode::Active };
    context.bring_ahead(&mode, sink).await?;
    sink(Report::Line("the source sends the tenant's state".into()));
    let further = Further::begin(context, moves, sink)?;
    let sent = until_all_is_sent(context, sink).await;
    further.end().await;
    sent.map(|()| Outcome::Done("the source has sent everything, and signed for it".into()))
}

/// Waits until the source has signed for what it has sent, which is restored as it comes.
async fn until_all_is_sent(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    let mut restoring = RestoringAhead::into(context.vault().await?);
    loop {
        let arrival = context.arrival().await?.arrival;
        match arrival.phase {
            MovePhase::Failed => return Err(came_to_nothing(&arrival)),
            // What came just before what the source has signed is restored as quickly here as then.
            _ if restoring.go_on(context, sink).await? => {}
            _ if arrival.manifest.is_some() => return Ok(()),
            _ => context.sleep(LOOK).await?,
        }
    }
}

pub(in super::super) async fn put_in_place(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    context.take_what_is_deployed().await?;
    let record = context.arrival().await?;
    let manifest = manifest(&record, context.tries_out())?;
    let ahead = record.arrival.ahead.as_ref().map(|ahead| ahead.snapshots.values().sum::<u64>());
    let needed = manifest.services.values().fold(0_u64, |sum, moved| sum.saturating_add(moved.bytes));
    // What was restored ahead has its room already.
    context.has_room_for(needed.saturating_sub(ahead.unwrap_or(0)), sink).await?;
    let secrets = secrets(context, &manifest)?;
    context.adopt(secrets, sink).await?;
    let vault = context.vault().await?;
    let whole = context.completed(&manifest, &vault).await?;
    let mut snapshot = snapshot(context, &manifest, &whole)?;
    let mut objects = Last::begin(context, sink).await?;
    let placing =
        Placing { manifest: &manifest, vault: &vault, snapshot: &snapshot, whole, reuse: ahead.is_some() };
    let in_place = match placed(context, placing, &mut objects, sink).await {
        Ok(in_place) => in_place,
        Err(error) => {
            objects.stop().await;
            return Err(error);
        }
    };
    match context.tries_out() {
        true => context.is_to_be_tried(&manifest, &in_place).await?,
        false => {
            context.complete(&mut snapshot, &vault, sink).await?;
            context.advance(MovePhase::Restoring, MovePhase::Ready, |_| {}).await?;
        }
    }
    let services = manifest.services.len();
    Ok(Outcome::Done(format!("{services} services are in place, equal to what the source signed")))
}

/// What is to be put in place.
struct Placing<'a> {
    manifest: &'a Manifest,
    vault: &'a VaultRecord,
    /// What it will be called here.
    snapshot: &'a Snapshot,
    /// The snapshots of everything.
    whole: BTreeMap<ServiceName, String>,
    /// Whether what was restored ahead is relied on.
    reuse: bool,
}

/// Puts everything in place, while objects come.
async fn placed(
    context: &mut Context,
    placing: Placing<'_>,
    objects: &mut Last,
    sink: &Sink,
) -> Result<InPlace, StepError> {
    let Placing { manifest, vault, snapshot, whole, reuse } = placing;
    if !context.tries_out() {
        context.shared.records.keep_snapshot(context.hold(), vault.id, snapshot).await?;
    }
    for (service, moved) in &manifest.services {
        for database in &moved.replicated {
            sink(Report::Line(format!(
                "{service}: not in the first snapshot: database {}: {LATER}",
                brief(database)
            )));
        }
        for left_out in moved.left_out.iter().filter(|left_out| !objects.brings(service, left_out)) {
            sink(Report::Warning(format!("{service}: not in what was moved: {}", brief(left_out))));
        }
    }
    let parts = whole.into_iter().map(|(service, snapshot)| RestorePart { service, snapshot });
    let parts: Vec<_> = parts.collect();
    // A restore that has begun is not left half done: what fails beside it is told once it is over.
    objects.has_not_failed().await?;
    let in_place = match restored(context, manifest, vault, parts.clone(), reuse, sink).await {
        // A file that was changed looked as if it had not been: nothing of what was restored ahead is relied on.
        Err(StepError::Failed(failure)) if failure.code == STATE_DIFFERS && reuse => {
            sink(Report::Warning(format!("restored once more, as a whole: {}", failure.message)));
            objects.has_not_failed().await?;
            restored(context, manifest, vault, parts, false, sink).await?
        }
        in_place => in_place?,
    };
    objects.end(sink).await?;
    Ok(in_place)
}

/// Restores it, and compares it with what the source signed.
async fn restored(
    context: &mut Context,
    manifest: &Manifest,
    vault: &VaultRecord,
    parts: Vec<RestorePart>,
    reuse: bool,
    sink: &Sink,
) -> Result<InPlace, StepError> {
    let begun = Instant::now();
    restore_parts(context, Bringing { vault, parts, secrets: None, reuse }, sink).await?;
    let there = Instant::now();
    let signed = manifest.services.iter().map(|(service, moved)| (service, &moved.fingerprint));
    let found = context.is_as_promised(signed, "what the source signed", sink).await?;
    Ok(InPlace { found, restore_ms: millis(there - begun), compare_ms: millis(there.elapsed()) })
}

pub(in super::super) async fn go_live(context: &mut Context, sink: &Sink) -> Result<Outcome, StepError> {
    await_handover(context, sink).await?;
    let _deaf = context.deafen();
    context.deploy_in(&Mode::Active, Gate::Open, sink).await?;
    context.is_live().await?;
    context.forget_moved_objects().await?;
    Ok(Outcome::Done("the services serve here".into()))
}

/// Waits until the source has stopped for good. Whoever waits too long for that is not waited for.
async fn await_handover(context: &mut Context, sink: &Sink) -> Result<(), StepError> {
    sink(Report::Line("waiting until the source has stopped for good".into()));
    let end = Instant::now() + PATIENCE;
    loop {
        let arrival = context.arrival().await?.arrival;
        match arrival.phase {
            MovePhase::GoingLive | MovePhase::Live => return Ok(()),
            MovePhase::Failed => return Err(came_to_nothing(&arrival)),
            _ if Instant::now() >= end => {
                // The source may hand over at this very moment: whoever writes first has said it.
                let why = "the source did not stop for good in time";
                if context.give_up_arrival(why).await? {
                    return Err(StepError::retryable("handover-missed", why));
                }
            }
            _ => context.sleep(LOOK).await?,
        }
    }
}

impl Context {
    /// The ticket as it stands; not where another operation takes the tenant in by now.
    pub(super) async fn arrival(&self) -> Result<ArrivalRecord, StepError> {
        let record = self.shared.records.arrival(self.migration()?).await?;
        self.is_ours(&record.arrival).map(|()| record)
    }

    /// The mode in which the tenant's services are stopped until they may serve here. One that comes back goes on passing visitors on
    /// until then.
    async fn rest(&self) -> Result<Mode, StepError> {
        match self.arrival().await?.arrival.returns {
            Some(left) => {
                // Not what somebody may have written into the specification meanwhile: its services serve elsewhere.
                let departure = self.shared.records.departure_of(&self.tenant).await?;
                let gone = || StepError::failed("not-kept", "nothing of the tenant is kept here any more");
                let still = departure.id == left && departure.is_elsewhere();
                Ok(Mode::Moved { to: departure.address.filter(|_| still).ok_or_else(gone)? })
            }
            None => Ok(Mode::Standby),
        }
    }

    fn is_ours(&self, arrival: &Arrival) -> Result<(), StepError> {
        is_still_of(arrival, self.operation)
    }

    /// The migration goes on to another phase; not where it came to nothing meanwhile, or was begun anew.
    pub(super) async fn advance(
        &self,
        from: MovePhase,
        to: MovePhase,
        note: impl Fn(&mut Arrival),
    ) -> Result<(), StepError> {
        let advance = |record: &mut ArrivalRecord| {
            let arrival = &mut record.arrival;
            self.is_ours(arrival)?;
            match arrival.phase {
                MovePhase::Failed => return Err(came_to_nothing(arrival)),
                phase if phase == from => {
                    arrival.phase = to;
                    note(arrival);
                }
                // A predecessor did it.
                _ => {}
            }
            Ok(())
        };
        arrivals::change(&*self.shared.records, Some(self.hold()), self.migration()?, advance).await?;
        Ok(())
    }

    /// Has the migration come to nothing, unless the tenant is here already; tells whether it has.
    async fn give_up_arrival(&self, why: &str) -> Result<bool, StepError> {
        let now = self.shared.clock.now();
        let give_up = |record: &mut ArrivalRecord| {
            self.is_ours(&record.arrival)?;
            give_up(record, why, now);
            Ok::<_, StepError>(record.arrival.phase == MovePhase::Failed)
        };
        let (_, failed) =
            arrivals::change(&*self.shared.records, Some(self.hold()), self.migration()?, give_up).await?;
        Ok(failed)
    }

    /// The snapshots of everything of those that the source has signed for.
    async fn completed(
        &self,
        manifest: &Manifest,
        vault: &VaultRecord,
    ) -> Result<BTreeMap<ServiceName, String>, StepError> {
        let (key, mut whole) = (self.vault_key(vault)?, BTreeMap::new());
        for (service, moved) in &manifest.services {
            let id = self.shared.vaults.complete(vault.id, &key, &moved.snapshot).await?;
            whole.insert(service.clone(), id);
        }
        Ok(whole)
    }

    /// The tenant is served here, and this provider signs for it.
    pub(super) async fn is_live(&self) -> Result<(), StepError> {
        let now = self.shared.clock.now();
        let live = |record: &mut ArrivalRecord| {
            let arrival = &mut record.arrival;
            self.is_ours(arrival)?;
            if arrival.phase != MovePhase::Live {
                let manifest = arrival.manifest.as_deref().unwrap_or_default();
                let said = Countersignature {
                    manifest_sha256: Manifest::sum(manifest),
                    role: TARGET.into(),
                    at: now.trunc_subsecs(0),
                };
                arrival.countersignature = Some(said.sign(&self.shared.exports.key));
                arrival.phase = MovePhase::Live;
                arrival.ended_at = Some(now);
            }
            Ok::<_, StepError>(())
        };
        let (records, hold) = (&*self.shared.records, self.hold());
        let (record, ()) = arrivals::change(records, Some(hold), self.migration()?, live).await?;
        if let Some(left) = record.arrival.returns {
            records.record_return(hold, &self.tenant, left, now).await?;
        }
        Ok(())
    }
}

/// What the source signed: a move's for a move, and a rehearsal's for a rehearsal.
fn manifest(record: &ArrivalRecord, rehearsal: bool) -> Result<Manifest, StepError> {
    let bad =
        |why: String| StepError::failed("manifest", format!("the source's manifest cannot be used: {why}"));
    let key: Jwk = serde_json::from_str(record.source_key.as_deref().unwrap_or_default())
        .map_err(|error| bad(error.to_string()))?;
    let key = key.key().map_err(|error| bad(error.to_string()))?;
    let jws = record.arrival.manifest.as_deref().unwrap_or_default();
    let said = Manifest::verify(jws, &key, record.arrival.id).map_err(|error| bad(error.to_string()))?;
    if said.rehearsal.is_some() == rehearsal { Ok(said) } else { Err(bad("it is of another purpose".into())) }
}

/// Why a database is not in the tenant's first snapshot here.
const LATER: &str = "it came as what changed in it, and the next snapshot has it";

/// What came is the tenant's first snapshot here. It is not whole where databases came as what changed in them.
fn snapshot(
    context: &Context,
    manifest: &Manifest,
    whole: &BTreeMap<ServiceName, String>,
) -> Result<Snapshot, StepError> {
    let services = manifest.services.iter().map(|(service, moved)| {
        let left_out = moved.replicated.iter().map(|name| format!("database {}: {LATER}", brief(name)));
        let captured = CapturedService {
            restic: whole.get(service).unwrap_or(&moved.snapshot).clone(),
            bytes_added: 0,
            bytes_total: moved.bytes,
            files_total: moved.files,
            databases: moved
                .databases
                .iter()
                .filter(|name| !moved.replicated.contains(name))
                .cloned()
                .collect(),
            data_version: moved.data_version.as_ref().map(ToString::to_string),
            quiet_ms: 0,
            left_out: left_out.chain(moved.left_out.iter().cloned()).collect(),
            buckets: BTreeMap::new(),
        };
        (service.clone(), SnapshotPart::Captured(captured))
    });
    let snapshot = context.arrived(manifest.taken_at, services.collect())?;
    let whole = manifest.services.values().all(|moved| moved.replicated.is_empty());
    Ok(Snapshot { whole, ..snapshot })
}

/// The secrets that the source's services made of chance.
fn secrets(context: &Context, manifest: &Manifest) -> Result<Vec<GivenSecret>, StepError> {
    let list = manifest.secrets.open(&context.shared.keys, manifest.offer, Purpose::Secrets)?;
    // What cannot be read is not shown: it is secret.
    let unreadable = |_| StepError::failed(SECRET_SEALED, "the source's secrets cannot be read");
    serde_json::from_slice(&list).map_err(unreadable)
}

/// Refuses a migration that another operation takes in by now.
pub(super) fn is_still_of(arrival: &Arrival, operation: OperationId) -> Result<(), StepError> {
    if arrival.operation == Some(operation) {
        return Ok(());
    }
    Err(StepError::failed("source-failed", "the source has begun the migration anew"))
}

pub(super) fn came_to_nothing(arrival: &Arrival) -> StepError {
    let why = arrival.message.as_deref().unwrap_or("it was taken back");
    StepError::failed("source-failed", format!("the migration came to nothing: {why}"))
}
