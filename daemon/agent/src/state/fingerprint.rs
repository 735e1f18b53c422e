//! What tells two states apart: rows, sequences and large objects of databases, and a sum over everything in directories.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use berth_domain::ServiceName;
use berth_domain::manifest::ServiceManifest;
use berth_protocol::{
    Claim, DatabaseFingerprint, DirectoryFingerprint, FailureCode, Fingerprint, ServiceFingerprint,
    TransferPhase,
};
use rustix::fs::OFlags;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::capture::check;
use super::notes::Meter;
use super::restic::Status;
use super::sums::{Place, Sum, Sums};
use super::tree::walk;
use crate::client::Client;
use crate::failure::{Result, failure, io};
use crate::fence;
use crate::postgres;
use crate::system::System;

/// How much of a file is read at once.
const CHUNK: usize = 256 * 1024;

/// How the disk's use of a file is counted (stat(2)).
const BLOCK: u64 = 512;

/// What is asked of a database, in one look at it: each table's rows, each sequence's last value, and what large objects hold.
/// `\gexec` (psql's manual) runs what a query answers.
const QUESTIONS: &str = r"
SET search_path = pg_catalog;
SET statement_timeout = '1h';
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT format('SELECT json_build_object(''table'', %L, ''rows'', (SELECT count(*) FROM %I.%I))',
  n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
    AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
\gexec
SELECT json_build_object('sequence', schemaname || '.' || sequencename, 'last', last_value) FROM pg_sequences;
SELECT json_build_object('objects', (SELECT count(*) FROM pg_largeobject_metadata),
  'bytes', (SELECT coalesce(sum(length(data)), 0) FROM pg_largeobject));
COMMIT;
";

/// Fingerprints everything that the manifest lists.
pub(crate) fn fingerprint(claim: &Claim, path: &str, client: &mut impl Client) -> Result<Fingerprint> {
    let manifest = System::open(path)?.manifest()?;
    fence::check(claim)?;
    let services = manifest.services.iter().map(|(service, contract)| {
        check(contract)?;
        Ok((service.clone(), of_service(claim.operation, service, contract, client)?))
    });
    Ok(Fingerprint { services: services.collect::<Result<_>>()? })
}

/// Fingerprints one service.
pub(super) fn of_service(
    operation: Uuid,
    service: &ServiceName,
    contract: &ServiceManifest,
    client: &mut impl Client,
) -> Result<ServiceFingerprint> {
    let databases = of_databases(contract)?;
    let directories = of_directories(operation, service, contract, client)?;
    Ok(ServiceFingerprint { databases, directories })
}

/// Reads everything in directories, so that a fingerprint reads only what has changed since. What cannot be read now is read
/// then.
pub(crate) fn sum_ahead(claim: &Claim, path: &str, client: &mut impl Client) -> Result<()> {
    let manifest = System::open(path)?.manifest()?;
    fence::check(claim)?;
    for (service, contract) in &manifest.services {
        check(contract)?;
        let mut meter = Metering::of(client, service);
        for directory in &contract.state.directories {
            let root = Path::new(&directory.path);
            let sums = Place::of(&directory.path, claim.operation).look(root);
            sum_files(root, sums, &mut |bytes, files| meter.moved(bytes, files))
                .map_err(io(format!("cannot read {}", directory.path)))?;
        }
    }
    Ok(())
}

/// The same of what an operation has restored of a directory into a room; tells how many bytes that takes on the disk.
pub(super) fn sum_room(
    operation: Uuid,
    service: &ServiceName,
    directory: &str,
    (root, untouched): (&Path, bool),
    client: &mut impl Client,
) -> std::io::Result<u64> {
    let mut meter = Metering::of(client, service);
    let sums = Place::of(directory, operation).look_in_room(root, untouched);
    sum_files(root, sums, &mut |bytes, files| meter.moved(bytes, files))
}

/// Services may go on meanwhile: what vanishes is passed over. Tells how many bytes everything takes on the disk.
fn sum_files(
    root: &Path,
    mut sums: Sums,
    moved: &mut dyn FnMut(u64, u64) -> std::io::Result<()>,
) -> std::io::Result<u64> {
    let mut on_disk = 0;
    walk(root, &mut |relative, found| {
        on_disk += found.blocks() * BLOCK;
        if !found.is_file() {
            return Ok(());
        }
        match content(&mut sums, root, relative, found, moved) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => moved(0, 1),
        }
    })?;
    sums.finish();
    Ok(on_disk)
}

/// Says how far a service's directories are gone through.
struct Metering<'a, C> {
    meter: Meter<'a, C>,
    done: Status,
}

impl<'a, C: Client> Metering<'a, C> {
    fn of(client: &'a mut C, service: &ServiceName) -> Self {
        Self { meter: Meter::of(client, TransferPhase::Fingerprint, service), done: Status::default() }
    }

    /// Fails once nobody waits any more: the agent does one thing at a time, and whoever went away must not keep it from ending.
    fn moved(&mut self, bytes: u64, files: u64) -> std::io::Result<()> {
        self.done.bytes_done += bytes;
        self.done.files_done += files;
        // Whether somebody waits is not asked for each of very many files.
        if self.meter.has_said(self.done) && self.meter.is_gone() {
            Err(std::io::Error::other("nobody waits any more"))
        } else {
            Ok(())
        }
    }
}

fn of_databases(contract: &ServiceManifest) -> Result<BTreeMap<String, DatabaseFingerprint>> {
    let names: Vec<&str> = contract.state.databases.iter().map(String::as_str).collect();
    let databases = postgres::existing(&names)?.into_iter().map(|name| {
        let found = of_database(&name)?;
        Ok((name, found))
    });
    databases.collect()
}

fn of_directories(
    operation: Uuid,
    service: &ServiceName,
    contract: &ServiceManifest,
    client: &mut impl Client,
) -> Result<BTreeMap<String, DirectoryFingerprint>> {
    let mut meter = Metering::of(client, service);
    let directories = contract.state.directories.iter().map(|directory| {
        let sums = Place::of(&directory.path, operation).rely();
        let found =
            of_directory(Path::new(&directory.path), sums, &mut |bytes, files| meter.moved(bytes, files));
        Ok((directory.path.clone(), found.map_err(io(format!("cannot read {}", directory.path)))?))
    });
    directories.collect()
}

/// A line of what a database answers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Table { table: String, rows: u64 },
    Sequence { sequence: String, last: Option<i64> },
    LargeObjects { objects: u64, bytes: u64 },
}

fn of_database(name: &str) -> Result<DatabaseFingerprint> {
    let told = postgres::script(name, QUESTIONS)?;
    let mut found = DatabaseFingerprint { tables: BTreeMap::new(), ..DatabaseFingerprint::default() };
    for line in told.lines().filter(|line| !line.trim().is_empty()) {
        let told = serde_json::from_str(line).map_err(|error| {
            failure(FailureCode::Program, format!("psql told of database {name}: {error}"))
        })?;
        match told {
            Told::Table { table, rows } => drop(found.tables.insert(table, rows)),
            Told::Sequence { sequence, last } => drop(found.sequences.insert(sequence, last)),
            Told::LargeObjects { objects, bytes } => {
                (found.large_objects, found.large_object_bytes) = (objects, bytes)
            }
        }
    }
    Ok(found)
}

/// Fingerprints a directory; `moved` is told of each piece of the way, in bytes and files.
fn of_directory(
    root: &Path,
    mut sums: Sums,
    moved: &mut dyn FnMut(u64, u64) -> std::io::Result<()>,
) -> std::io::Result<DirectoryFingerprint> {
    let (mut whole, mut files, mut bytes) = (Sha256::new(), 0, 0);
    walk(root, &mut |relative, found| {
        let Some(kind) = kind(found) else { return Ok(()) };
        let path = root.join(relative);
        let (size, content) = match kind {
            b'f' => content(&mut sums, root, relative, found, moved)?,
            b'l' => (0, Sha256::digest(std::fs::read_link(&path)?.as_os_str().as_bytes()).into()),
            b'b' | b'c' => (0, Sha256::digest(found.rdev().to_be_bytes()).into()),
            _ => (0, [0; 32]),
        };
        // A link's mode means nothing.
        let mode = if kind == b'l' { 0 } else { found.mode() & 0o7777 };
        let name = relative.as_os_str().as_bytes();
        whole.update((name.len() as u64).to_be_bytes());
        whole.update(name);
        whole.update([kind]);
        whole.update(mode.to_be_bytes());
        whole.update(size.to_be_bytes());
        whole.update(content);
        files += 1;
        bytes += size;
        moved(0, 1)
    })?;
    let digits = whole.finalize();
    Ok(DirectoryFingerprint {
        files,
        bytes,
        sha256: digits.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

/// A file's size and sum. What is known already counts as read.
fn content(
    sums: &mut Sums,
    root: &Path,
    relative: &Path,
    found: &Metadata,
    moved: &mut dyn FnMut(u64, u64) -> std::io::Result<()>,
) -> std::io::Result<(u64, Sum)> {
    let mut was_read = false;
    let (size, content) = sums.of(relative, found, || {
        was_read = true;
        sum(&root.join(relative), moved)
    })?;
    if !was_read {
        moved(size, 0)?;
    }
    Ok((size, content))
}

/// What kind of an entry it is; nothing for a socket.
fn kind(found: &Metadata) -> Option<u8> {
    let kind = found.file_type();
    match kind {
        _ if kind.is_dir() => Some(b'd'),
        _ if kind.is_file() => Some(b'f'),
        _ if kind.is_symlink() => Some(b'l'),
        _ if kind.is_fifo() => Some(b'p'),
        _ if kind.is_block_device() => Some(b'b'),
        _ if kind.is_char_device() => Some(b'c'),
        _ => None,
    }
}

fn sum(
    path: &Path,
    moved: &mut dyn FnMut(u64, u64) -> std::io::Result<()>,
) -> std::io::Result<(u64, [u8; 32])> {
    let mut file =
        File::options().read(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
    let (mut sum, mut size, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((size, sum.finalize().into()));
        }
        sum.update(&buffer[..read]);
        size += read as u64;
        moved(read as u64, 0)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn unknown() -> Sums {
        Place::of("/nowhere", Uuid::nil()).rely()
    }

    fn print(root: &Path) -> DirectoryFingerprint {
        of_directory(root, unknown(), &mut |_, _| Ok(())).unwrap()
    }

    #[test]
    fn whatever_is_changed_changes_the_fingerprint_and_a_copy_has_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, change: fn(&Path)| {
            let root = folder.path().join(name);
            std::fs::create_dir_all(root.join("deep")).unwrap();
            std::fs::write(root.join("file"), "content").unwrap();
            std::fs::write(root.join("deep/other\nline"), "").unwrap();
            std::os::unix::fs::symlink("file", root.join("link")).unwrap();
            change(&root);
            print(&root)
        };
        let first = make("first", |_| {});
        assert_eq!((first.files, first.bytes, first.sha256.len()), (4, 7, 64));
        assert_eq!(make("copy", |_| {}), first);
        let changes: [fn(&Path); 6] = [
            |root| std::fs::write(root.join("file"), "Content").unwrap(),
            |root| std::fs::set_permissions(root.join("file"), PermissionsExt::from_mode(0o600)).unwrap(),
            |root| std::fs::rename(root.join("file"), root.join("fill")).unwrap(),
            |root| std::fs::create_dir(root.join("deep/more")).unwrap(),
            |root| std::fs::remove_file(root.join("deep/other\nline")).unwrap(),
            |root| {
                std::fs::remove_file(root.join("link")).unwrap();
                std::os::unix::fs::symlink("deep", root.join("link")).unwrap();
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_ne!(make(&format!("changed-{number}"), change).sha256, first.sha256, "{number}");
        }
        assert_eq!(print(&folder.path().join("nowhere")).files, 0);
    }

    #[test]
    fn who_went_away_is_not_read_for() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x"), "y").unwrap();
        assert!(
            of_directory(folder.path(), unknown(), &mut |_, _| Err(std::io::Error::other("gone"))).is_err()
        );
    }
}
