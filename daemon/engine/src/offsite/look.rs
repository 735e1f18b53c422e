//! What a repository holds, for somebody who wants to take a tenant in from it.

use berth_domain::{OffsiteSnapshot, SnapshotId};
use berth_protocol::TenantFile;
use berth_vault::OffsiteError;
use berth_vault::offsite::Offsite;
use berth_vault::reader::Read;

use super::{Contents, Listed, Told, failed, read, tenant_file};
use crate::error::StepError;

/// How many snapshots are told of, and looked through for one that a tenant can be made of.
pub const NEWEST: usize = 50;

/// How many restic snapshots a repository may have: each of Berth's has one for every service, and one more.
const MOST: usize = 200_000;

/// What may be wrong with a snapshot of a repository in which others are not.
const OF_A_SNAPSHOT: [&str; 3] = ["repository-damaged", "repository-unsupported", "state-mismatch"];

/// Any piece's name. Whichever it is, the index is read to say whether there is such a one.
const ANY: [u8; 32] = [0; 32];

/// Tells what is in snapshots.
trait Tells {
    /// The tenant's own part.
    fn part(&self, part: &Read) -> Result<TenantFile, StepError>;

    /// All of a snapshot that has this part.
    fn all(&self, listed: &Listed, file: TenantFile) -> Result<Told, StepError>;
}

impl Tells for Offsite {
    fn part(&self, part: &Read) -> Result<TenantFile, StepError> {
        tenant_file(self, part)
    }

    fn all(&self, listed: &Listed, file: TenantFile) -> Result<Told, StepError> {
        read(self, listed, file)
    }
}

/// Looks at a repository. Of a snapshot that was asked for, everything must be readable that says what it is; of the others it is told
/// where it is not. What nothing at all can be read without, and what may be otherwise the next time, is no fault of a snapshot.
pub(crate) fn look(offsite: &Offsite, wanted: Option<SnapshotId>) -> Result<Contents, StepError> {
    let listed = listed(offsite)?;
    offsite.has_data(ANY).map_err(|error| failed(OffsiteError::far(error)))?;
    looked(offsite, offsite.id.clone(), &listed, wanted)
}

fn looked(
    offsite: &impl Tells,
    repository: String,
    listed: &[Listed],
    wanted: Option<SnapshotId>,
) -> Result<Contents, StepError> {
    let (mut snapshots, mut chosen) = (Vec::new(), None);
    for (number, listed) in listed.iter().enumerate() {
        let is_wanted = wanted == Some(listed.id);
        if number >= NEWEST && !is_wanted {
            continue;
        }
        let part = listed.tenant.as_ref().map(|part| its_own(offsite.part(part))).transpose()?;
        let mut shown = shown(listed, part.as_ref());
        if is_wanted && let Some(part) = part {
            chosen = Some(Ok(offsite.all(listed, part?)?));
        } else if wanted.is_none() && chosen.is_none() {
            chosen = match part {
                Some(Ok(file)) if shown.whole => Some(its_own(offsite.all(listed, file))?),
                // It may have been whole: nobody is given an older one unasked.
                Some(Err(error)) => Some(Err(error)),
                _ => None,
            };
            if let Some(Err(error)) = &chosen {
                (shown.whole, shown.problem) = (false, Some(error.to_string()));
            }
        }
        snapshots.push(shown);
    }
    if let Some(wanted) = wanted.filter(|wanted| listed.iter().all(|listed| listed.id != *wanted)) {
        return Err(missing(wanted));
    }
    let older = (listed.len() - snapshots.len()) as u64;
    Ok(Contents { repository, snapshots, older, chosen: chosen.transpose() })
}

/// What was read of a snapshot, or what is wrong with that very one. Any other trouble ends it: it says nothing of the snapshot.
fn its_own<T>(read: Result<T, StepError>) -> Result<Result<T, StepError>, StepError> {
    match read {
        Err(StepError::Failed(failure)) if OF_A_SNAPSHOT.contains(&failure.code) && !failure.retryable => {
            Ok(Err(StepError::Failed(failure)))
        }
        Err(error) => Err(error),
        Ok(read) => Ok(Ok(read)),
    }
}

/// All that one snapshot tells; nothing where it has no part of the tenant's own.
pub(crate) fn find(offsite: &Offsite, wanted: SnapshotId) -> Result<Option<Told>, StepError> {
    let listed = listed(offsite)?.into_iter().find(|listed| listed.id == wanted);
    let listed = listed.ok_or_else(|| missing(wanted))?;
    let Some(part) = &listed.tenant else { return Ok(None) };
    Ok(Some(read(offsite, &listed, tenant_file(offsite, part)?)?))
}

fn listed(offsite: &Offsite) -> Result<Vec<Listed>, StepError> {
    let all = offsite.read_snapshots(MOST).map_err(|error| failed(OffsiteError::far(error)))?;
    let listed = Listed::all(all);
    if listed.is_empty() {
        let message = "the repository holds no snapshot of a tenant that Berth made";
        return Err(StepError::failed("repository-foreign", message));
    }
    Ok(listed)
}

fn missing(wanted: SnapshotId) -> StepError {
    StepError::failed("no-snapshot", format!("the repository holds no snapshot {wanted}"))
}

fn shown(listed: &Listed, part: Option<&Result<TenantFile, StepError>>) -> OffsiteSnapshot {
    let file = part.and_then(|part| part.as_ref().ok());
    let problem = part.and_then(|part| part.as_ref().err()).map(ToString::to_string);
    OffsiteSnapshot {
        id: listed.id,
        created_at: listed.at,
        services: listed.services.keys().cloned().collect(),
        buckets: listed.buckets.keys().map(|(service, name)| format!("{service}/{name}")).collect(),
        tenant_part: listed.tenant.is_some(),
        whole: file.is_some_and(|file| is_whole(listed, file)),
        problem,
    }
}

/// Whether it holds every service that the tenant had.
fn is_whole(listed: &Listed, file: &TenantFile) -> bool {
    let services = file.specification.services.iter();
    let mut enabled = services.filter(|(_, settings)| settings.get("enable") != Some(&false.into()));
    enabled.all(|(name, _)| listed.services.contains_key(name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::{TenantDraft, Timestamp};
    use berth_protocol::tenant_file as format;
    use chrono::DateTime;

    /// Of each snapshot, by the second in which it was made, what comes of its parts.
    struct Fake(fn(i64) -> Result<(), StepError>, fn(i64) -> Result<(), StepError>);

    fn at(second: i64) -> Timestamp {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    impl Tells for Fake {
        fn part(&self, part: &Read) -> Result<TenantFile, StepError> {
            (self.0)(part.at.timestamp())?;
            Ok(TenantFile {
                format: format::FORMAT,
                daemon_version: "0.1.0".into(),
                snapshot: SnapshotId::nil(),
                at: part.at,
                revision: None,
                platform: None,
                specification: TenantDraft::default(),
                given: Vec::new(),
                secrets: Vec::new(),
            })
        }

        fn all(&self, listed: &Listed, file: TenantFile) -> Result<Told, StepError> {
            (self.1)(listed.at.timestamp())?;
            let (services, buckets) = Default::default();
            Ok(Told { id: listed.id, at: listed.at, file, services, buckets })
        }
    }

    fn read(second: i64, tag: &str) -> Read {
        let tags = vec![id(second).to_string(), tag.to_owned(), "pass:quiesced".into()];
        let (host, paths, tree) = ("acme".into(), Vec::new(), [0; 32]);
        Read { id: format!("{second}{tag}"), at: at(second), host, paths, tags, tree }
    }

    fn id(second: i64) -> SnapshotId {
        SnapshotId::from_u128(second.unsigned_abs().into())
    }

    /// Three snapshots, of the seconds one to three.
    fn look(fake: &Fake, wanted: Option<i64>) -> Result<Contents, StepError> {
        let read = (1..=3).flat_map(|second| [read(second, "service:web"), read(second, format::TAG)]);
        looked(fake, "ab".into(), &Listed::all(read.collect()), wanted.map(id))
    }

    fn code(error: &StepError) -> &str {
        match error {
            StepError::Failed(failure) => failure.code,
            _ => "",
        }
    }

    const FINE: fn(i64) -> Result<(), StepError> = |_| Ok(());

    #[test]
    fn the_newest_whole_snapshot_is_chosen_and_none_in_the_place_of_one_that_cannot_be_read() {
        let chosen = look(&Fake(FINE, FINE), None).unwrap().chosen.unwrap();
        assert_eq!(chosen.unwrap().id, id(3));
        let damaged = |second| match second {
            3 => Err(StepError::failed("repository-damaged", "data/aa was damaged")),
            _ => Ok(()),
        };
        for fake in [Fake(damaged, FINE), Fake(FINE, damaged)] {
            let found = look(&fake, None).unwrap();
            assert_eq!(code(&found.chosen.unwrap_err()), "repository-damaged");
            let told: Vec<_> = found.snapshots.iter().map(|it| (it.whole, it.problem.is_some())).collect();
            assert_eq!(told, [(false, true), (true, false), (true, false)]);
            assert_eq!(look(&fake, Some(2)).unwrap().chosen.unwrap().unwrap().id, id(2));
            assert_eq!(code(&look(&fake, Some(3)).unwrap_err()), "repository-damaged");
        }
        // What is older than the one that is chosen is in nobody's way.
        let older = |second| match second {
            1 => Err(StepError::failed("repository-unsupported", "of a newer format")),
            _ => Ok(()),
        };
        let found = look(&Fake(older, FINE), None).unwrap();
        assert_eq!((found.chosen.unwrap().unwrap().id, found.snapshots[2].problem.is_some()), (id(3), true));
    }

    #[test]
    fn what_ends_a_look_or_may_pass_is_not_taken_for_the_fault_of_a_snapshot() {
        let cancelled = |_| Err(StepError::Cancelled);
        assert_eq!(look(&Fake(cancelled, FINE), None).unwrap_err(), StepError::Cancelled);
        assert_eq!(look(&Fake(FINE, cancelled), None).unwrap_err(), StepError::Cancelled);
        let unreachable = |second| match second {
            1 => Err(StepError::transient("repository-unreachable", "nobody answers")),
            _ => Ok(()),
        };
        let refused = |_| Err(StepError::retryable("repository-refused", "not that key"));
        assert_eq!(code(&look(&Fake(unreachable, FINE), None).unwrap_err()), "repository-unreachable");
        assert_eq!(code(&look(&Fake(refused, FINE), Some(3)).unwrap_err()), "repository-refused");
    }
}
