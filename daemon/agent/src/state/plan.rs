//! What a restore would do, checked as a whole before anything is touched.

use std::collections::BTreeSet;

use berth_domain::Manifest;
use berth_domain::manifest::{Directory, ServiceManifest};
use berth_protocol::{FailureCode, RestorePart};
use uuid::Uuid;

use super::capture::check;
use super::exchange::{Exchange, Mounts};
use super::owners::Mapping;
use super::restic::Restic;
use super::snapshot::{Captured, Snapshot, Staging, mismatch};
use super::tree::outermost_of;
use super::undo::Database;
use crate::accounts::Accounts;
use crate::failure::{Result, failure};
use crate::postgres::{self, copy, copy::Properties};

/// One service's part of a restore.
pub(super) struct Part<'a> {
    pub(super) part: &'a RestorePart,
    pub(super) contract: &'a ServiceManifest,
    pub(super) snapshot: Snapshot,
    /// The state that the snapshot is of, where it has a name.
    pub(super) state: Option<Uuid>,
    /// Where the snapshot has what is no directory.
    pub(super) staging: Staging,
    pub(super) directories: Vec<NewDirectory<'a>>,
    pub(super) databases: Vec<NewDatabase>,
}

/// A directory that will be exchanged.
pub(super) struct NewDirectory<'a> {
    /// What its files belonged to.
    pub(super) there: Captured,
    /// What is declared here.
    pub(super) here: &'a Directory,
    pub(super) exchange: Exchange,
}

/// A database that will be exchanged.
pub(super) struct NewDatabase {
    pub(super) exchange: Database,
    /// What the new one will be like.
    pub(super) properties: Properties,
}

/// Plans every part; refuses what could not be brought back as a whole.
pub(super) fn plan<'a>(
    manifest: &'a Manifest,
    parts: &'a [RestorePart],
    restic: &Restic<'_>,
    operation: Uuid,
) -> Result<Vec<Part<'a>>> {
    let (mounts, accounts) = (Mounts::read()?, Accounts::read());
    let mut planned = Vec::new();
    let (mut seen, mut number) = (BTreeSet::new(), 0);
    for part in parts {
        if !seen.insert(&part.service) {
            return Err(failure(FailureCode::BadCall, format!("/parts: {} is named twice", part.service)));
        }
        planned.push(plan_part(manifest, part, restic, operation, (&mounts, &accounts), &mut number)?);
    }
    Ok(planned)
}

fn plan_part<'a>(
    manifest: &'a Manifest,
    part: &'a RestorePart,
    restic: &Restic<'_>,
    operation: Uuid,
    (mounts, accounts): (&Mounts, &Accounts),
    number: &mut usize,
) -> Result<Part<'a>> {
    check_id("/parts", &part.snapshot)?;
    let unknown = || mismatch(format!("this system has no service {}", part.service));
    let contract = manifest.services.get(&part.service).ok_or_else(unknown)?;
    check(contract)?;
    let listed = restic.snapshot(&part.snapshot)?;
    let missing = || mismatch(format!("it is none of {} that was made while it was quiet", part.service));
    let staging = Staging::among(&listed.paths, &part.service).ok_or_else(missing)?;
    let state = listed.state();
    let text = restic.file(&part.snapshot, &staging.file().to_string_lossy())?;
    let snapshot = Snapshot::parse(&text)?;
    snapshot.check(&part.service, contract)?;
    let directories = plan_directories(contract, &snapshot, operation, (mounts, accounts))?;
    let databases = plan_databases(&snapshot, operation, number)?;
    Ok(Part { part, contract, snapshot, state, staging, directories, databases })
}

fn plan_directories<'a>(
    contract: &'a ServiceManifest,
    snapshot: &Snapshot,
    operation: Uuid,
    (mounts, accounts): (&Mounts, &Accounts),
) -> Result<Vec<NewDirectory<'a>>> {
    let declared = &contract.state.directories;
    let mut planned = Vec::new();
    for path in outermost_of(declared) {
        if let Some(point) = mounts.below(path) {
            let message =
                format!("{} is mounted in {path}, which therefore cannot be exchanged", point.display());
            return Err(failure(FailureCode::StateMismatch, message));
        }
        let here = declared.iter().find(|directory| directory.path == path);
        let there = snapshot.directories.iter().find(|directory| directory.declared.path == path);
        let (Some(here), Some(there)) = (here, there.cloned()) else { continue };
        // Who they belong to must be known before the first is touched.
        Mapping::of(&snapshot.owners, accounts, &there, here)?;
        planned.push(NewDirectory { there, here, exchange: Exchange::of(path, operation, mounts) });
    }
    Ok(planned)
}

/// A database is made as the one that it replaces; where there is none, as it was, if its owner is known here.
fn plan_databases(snapshot: &Snapshot, operation: Uuid, number: &mut usize) -> Result<Vec<NewDatabase>> {
    let names: Vec<&str> = snapshot.databases.keys().map(String::as_str).collect();
    let there = postgres::existing(&names)?;
    let mut planned = Vec::new();
    for (name, was) in &snapshot.databases {
        let existed = there.contains(name);
        let properties = if existed { copy::properties(name)? } else { was.clone() };
        if !existed && !copy::has_role(&properties.owner)? {
            return Err(mismatch(format!(
                "the database {name} belongs to {}, whom PostgreSQL here does not know",
                properties.owner
            )));
        }
        *number += 1;
        let properties = Properties { bytes: was.bytes, ..properties };
        planned.push(NewDatabase { exchange: Database::of(name, existed, operation, *number), properties });
    }
    Ok(planned)
}

/// A snapshot's id, or the beginning of one (restic's manual: hexadecimal digits).
pub(super) fn check_id(field: &str, id: &str) -> Result<()> {
    match (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        true => Ok(()),
        false => {
            let rule = format!("{field}: a snapshot's id is 8 to 64 hexadecimal digits");
            Err(failure(FailureCode::BadCall, rule))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_words_are_no_snapshots() {
        check_id("/parts", "0123abcd").unwrap();
        check_id("/parts", &"a".repeat(64)).unwrap();
        for bad in ["", "latest", "--target=/", "0123abc", "0123ABCD", &"a".repeat(65)] {
            assert_eq!(check_id("/parts", bad).unwrap_err().code, FailureCode::BadCall, "{bad}");
        }
    }
}
