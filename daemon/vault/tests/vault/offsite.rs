//! Repositories that lie elsewhere, made by the real restic in a folder and on a real store, and taken over into ours.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use berth_vault::buckets::{BucketConfig, BucketError, News, Tell};
use berth_vault::offsite::{Extent, Opening, TakenOver, TakingOver, Wanted};
use berth_vault::{Location, Mode, Offsite, OffsiteError, Reaching, ReadError, StorageError};
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use crate::buckets::here;
use crate::place::Place;
use crate::restic::{self, Host, PASSWORD};
use crate::server::{Server, name};
use crate::tree;

const THEIRS: &str = "theirs";

/// Where the repository lies that restic knows by this name.
fn location(place: &Place) -> (Location, Reaching) {
    match place {
        Place::Folder(folder) => {
            let folders = Some(folder.path().to_owned());
            (Location::Folder(folder.path().join(THEIRS)), Reaching { folders, ..Reaching::default() })
        }
        Place::S3(garage) => {
            let config = garage.config();
            let prefix = format!("{}/{THEIRS}", config.prefix);
            let config = BucketConfig {
                endpoint: config.endpoint,
                region: config.region,
                name: config.bucket,
                access_key: config.access_key,
                secret: config.secret,
            };
            (Location::Bucket { config, prefix }, Reaching { stores: here(), folders: None })
        }
    }
}

fn opening(place: &Place, password: &str) -> Opening {
    let (location, reaching) = location(place);
    Opening { location, password: password.into(), reaching, cancel: CancellationToken::new() }
}

/// A host that has made a repository of its own with `restic init`, with keys that only chance knows.
async fn theirs(restic: &restic::Restic, place: &Place, bytes: usize) -> Host {
    let (repository, environment) = place.directly(THEIRS);
    let host = restic.host_of(repository, environment);
    host.ok(&["init"]).await;
    tree::make(&host.tree(), 1, bytes);
    host.back_up().await;
    host
}

/// The ids of their snapshots, the oldest first.
async fn ids(opening: Opening) -> Vec<String> {
    let look = |offsite: &Offsite| {
        let mut read = offsite.read_snapshots(100).map_err(OffsiteError::far)?;
        read.sort_by_key(|read| read.at);
        Ok::<_, OffsiteError>(read.into_iter().map(|read| read.id).collect())
    };
    opening.look(look).await.unwrap()
}

fn wanted(ids: &[String]) -> Vec<Wanted> {
    let tags = vec!["of here".to_owned()];
    ids.iter().map(|id| Wanted { restic: id.clone(), host: "acme".into(), tags: tags.clone() }).collect()
}

/// Takes them over; what was told first and last of how far it is.
async fn take_over(
    server: &Server,
    opening: Opening,
    wanted: Vec<Wanted>,
) -> (Result<Vec<TakenOver>, OffsiteError>, Vec<(u64, u64)>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let cancel = opening.cancel.clone();
    let tell: Tell = Box::new(move |news| {
        if let News::Progress { done, expected } = news {
            assert!(done <= expected, "{done} of {expected}");
            heard.lock().unwrap().push((done, expected));
            if cancel.is_cancelled() {
                panic!("it goes on although somebody wished that it stops");
            }
        }
    });
    let what = TakingOver { opening, wanted };
    let taken = server.vault.take_over(&name("mine"), &PASSWORD.into(), what, tell).await;
    let told = told.lock().unwrap().clone();
    (taken, told)
}

async fn vault(place: &Place) -> Server {
    let server = Server::start(place).await;
    server.vault.init(&name("mine"), &PASSWORD.into()).await.unwrap();
    server
}

/// What is below a folder on the disk, as an agent sums it up.
fn on_disk(root: &Path, at: &Path, found: &mut Vec<(PathBuf, u8, u32, u64, [u8; 32])>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(at)).unwrap().flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, metadata) = (at.join(entry.file_name()), entry.path().symlink_metadata().unwrap());
        let mode = metadata.mode() & 0o7777;
        if metadata.is_dir() {
            found.push((path.clone(), b'd', mode, 0, [0; 32]));
            on_disk(root, &path, found);
        } else if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).unwrap();
            found.push((path, b'l', 0, 0, Sha256::digest(target.as_os_str().as_encoded_bytes()).into()));
        } else if metadata.is_file() {
            let content = fs::read(entry.path()).unwrap();
            found.push((path, b'f', mode, content.len() as u64, Sha256::digest(&content).into()));
        } else {
            found.push((path, b'p', mode, 0, [0; 32]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_any_restic_keeps_anywhere_is_taken_over_as_it_is_and_only_once() {
    for place in Place::every().await {
        for restic in restic::every().await {
            let ours = Place::folder();
            let server = vault(&ours).await;
            // A repository of each version at the same place, one after the other.
            let fresh = match &place {
                Place::Folder(_) => Place::folder(),
                Place::S3(_) => Place::S3(Box::new(berth_garage::Garage::start().await.unwrap())),
            };
            let host = theirs(&restic, &fresh, 9_000_000).await;
            fs::set_permissions(host.tree().join("empty"), fs::Permissions::from_mode(0o1600)).unwrap();
            make_pipe(&host.tree().join("pipe"));
            fs::write(host.tree().join("later"), "new").unwrap();
            host.back_up().await;
            let ids = ids(opening(&fresh, PASSWORD)).await;
            assert_eq!(ids.len(), 2);
            let (taken, told) = take_over(&server, opening(&fresh, PASSWORD), wanted(&ids)).await;
            let taken = taken.unwrap();
            let (done, expected) = *told.last().unwrap();
            assert!(done == expected && expected > 9_000_000 && told[0].0 == 0, "{done} of {expected}");
            // The trees of both are the same but for a file.
            assert!(taken[0].bytes_added > 9_000_000 && taken[1].bytes_added < 1_000_000, "{taken:?}");
            assert_eq!(taken[1].extent.files, taken[0].extent.files + 1);
            let extents = opening(&fresh, PASSWORD)
                .look(|offsite| {
                    let read = offsite.read_snapshots(9).map_err(OffsiteError::far)?;
                    offsite.extents(&read.iter().map(|read| read.tree).collect::<Vec<_>>())
                })
                .await
                .unwrap();
            let mut known: Vec<Extent> = taken.iter().map(|taken| taken.extent).collect();
            known.sort_by_key(|extent| extent.files);
            let mut extents: Vec<Extent> = extents;
            extents.sort_by_key(|extent| extent.files);
            assert_eq!(extents, known);

            // Our restic reads all of it, under our key and with their content.
            let token = server.token("mine", Mode::Full, None);
            let own = restic.host(&server.address, "mine", &token);
            own.ok(&["check", "--read-data"]).await;
            assert_eq!(own.snapshots().await, 2);
            assert!(tree::read(&own.restore("back").await) == tree::read(&host.tree()));
            // And what it comes to is what a machine would find.
            let newest = taken[1].restic.clone();
            let sum = move |reader: &berth_vault::Reader| {
                let root = reader.snapshot(&newest)?.tree;
                let directory = reader.directory(root, Path::new("/tree"))?.unwrap();
                let mut found = Vec::new();
                reader.sum(directory, &mut |entry, _| {
                    let entry = entry.map(|entry| {
                        let path = PathBuf::from(String::from_utf8(entry.path.to_vec()).unwrap());
                        (path, entry.kind, entry.mode, entry.size, entry.content)
                    });
                    found.extend(entry);
                    true
                })?;
                Ok::<_, ReadError>(found)
            };
            let summed = server.vault.read(&name("mine"), &PASSWORD.into(), sum).await.unwrap();
            let mut disk = Vec::new();
            on_disk(&host.tree(), Path::new(""), &mut disk);
            assert_eq!(summed, disk);

            // Nothing comes twice.
            let (again, told) = take_over(&server, opening(&fresh, PASSWORD), wanted(&ids)).await;
            assert!(again.unwrap().iter().all(|taken| taken.bytes_added == 0));
            assert_eq!(told.first(), Some(&(expected, expected)));
        }
    }
}

fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_why_nothing_can_be_had_of_a_repository_is_told_apart() {
    let Some(restic) = restic::every().await.into_iter().next() else { return };
    for place in Place::every().await {
        let _host = theirs(&restic, &place, 10_000).await;
        let looked = async |opening: Opening| opening.look(|_| Ok::<_, OffsiteError>(())).await;
        looked(opening(&place, PASSWORD)).await.unwrap();
        let wrong = looked(opening(&place, "another")).await;
        assert!(matches!(wrong, Err(OffsiteError::Password)), "{wrong:?}");
        let elsewhere = |change: fn(&mut Opening)| {
            let mut opening = opening(&place, PASSWORD);
            change(&mut opening);
            looked(opening)
        };
        let nothing = elsewhere(|opening| match &mut opening.location {
            Location::Folder(path) => path.set_file_name("nothing"),
            Location::Bucket { prefix, .. } => prefix.push_str("/nothing"),
        });
        assert!(matches!(nothing.await, Err(OffsiteError::NoRepository)));
        let forbidden = elsewhere(|opening| opening.reaching = Reaching::default()).await;
        assert!(matches!(forbidden, Err(OffsiteError::Location(_))), "{forbidden:?}");
        if let Place::Folder(_) = place {
            continue;
        }
        let no_bucket = elsewhere(|opening| match &mut opening.location {
            Location::Folder(_) => {}
            Location::Bucket { config, .. } => config.name = "nowhere".into(),
        });
        let no_bucket = no_bucket.await;
        let of_the_store = |error: &Result<(), OffsiteError>, known: fn(&BucketError) -> bool| match error {
            Err(OffsiteError::Far(ReadError::Storage(StorageError::Bucket(error)))) => known(error),
            _ => false,
        };
        let is_none =
            |error: &BucketError| matches!(error, BucketError::NoBucket | BucketError::Refused { .. });
        assert!(of_the_store(&no_bucket, is_none), "{no_bucket:?}");
        let stranger = elsewhere(|opening| match &mut opening.location {
            Location::Folder(_) => {}
            Location::Bucket { config, .. } => config.secret = "hunter2".into(),
        });
        let stranger = stranger.await;
        assert!(
            of_the_store(&stranger, |error| matches!(error, BucketError::Refused { .. })),
            "{stranger:?}"
        );
        assert!(!format!("{stranger:?}").contains("hunter2"));
        let silent = elsewhere(|opening| match &mut opening.location {
            Location::Folder(_) => {}
            Location::Bucket { config, .. } => config.endpoint = "http://127.0.0.1:9".into(),
        });
        let silent = silent.await;
        assert!(of_the_store(&silent, |error| matches!(error, BucketError::Unreachable(_))), "{silent:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_missing_pack_is_named_and_nothing_is_seen_of_what_came_before() {
    let Some(restic) = restic::every().await.into_iter().next() else { return };
    let (place, ours) = (Place::folder(), Place::folder());
    let _host = theirs(&restic, &place, 200_000).await;
    let server = vault(&ours).await;
    let ids = ids(opening(&place, PASSWORD)).await;
    let in_data = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "data");
    let packs: Vec<_> = place.files().unwrap().into_iter().filter(in_data).collect();
    assert!(packs.len() >= 2);
    for pack in packs {
        let whole = fs::read(&pack).unwrap();
        let id = pack.file_name().unwrap().to_str().unwrap().to_owned();
        let flipped: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
        for (content, fault) in
            [(Some(&flipped[..]), "damaged"), (Some(&whole[..40]), "damaged"), (None, "have")]
        {
            fs::remove_file(&pack).unwrap();
            if let Some(content) = content {
                fs::write(&pack, content).unwrap();
            }
            let (taken, _) = take_over(&server, opening(&place, PASSWORD), wanted(&ids)).await;
            let error = taken.unwrap_err();
            assert!(matches!(error, OffsiteError::Far(_)), "{error:?}");
            assert!(error.to_string().contains(&id) && error.to_string().contains(fault), "{error}");
            assert!(server.vault.snapshots(&name("mine")).await.unwrap().is_empty());
            if content.is_none() {
                fs::write(&pack, b"").unwrap();
            }
        }
        fs::remove_file(&pack).unwrap();
        fs::write(&pack, whole).unwrap();
    }
    let (taken, _) = take_over(&server, opening(&place, PASSWORD), wanted(&ids)).await;
    assert_eq!(taken.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_over_ends_at_once_when_somebody_wishes_so_and_goes_on_from_there() {
    let Some(restic) = restic::every().await.into_iter().next() else { return };
    let (place, ours) = (Place::folder(), Place::folder());
    let host = theirs(&restic, &place, 24_000_000).await;
    let server = vault(&ours).await;
    let ids = ids(opening(&place, PASSWORD)).await;
    let opened = opening(&place, PASSWORD);
    let (cancel, wished) = (opened.cancel.clone(), Arc::new(Mutex::new(None)));
    let at = Arc::clone(&wished);
    let tell: Tell = Box::new(move |news| {
        if let News::Progress { done, .. } = news
            && done > 6_000_000
            && !cancel.is_cancelled()
        {
            cancel.cancel();
            *at.lock().unwrap() = Some(Instant::now());
        }
    });
    let what = TakingOver { opening: opened, wanted: wanted(&ids) };
    let taken = server.vault.take_over(&name("mine"), &PASSWORD.into(), what, tell).await;
    assert!(matches!(taken, Err(OffsiteError::Cancelled)), "{taken:?}");
    assert!(wished.lock().unwrap().unwrap().elapsed() < Duration::from_secs(5));
    assert!(server.vault.snapshots(&name("mine")).await.unwrap().is_empty());
    // Another daemon has another author, which finds what came.
    let server = Server::start(&ours).await;
    let (taken, told) = take_over(&server, opening(&place, PASSWORD), wanted(&ids)).await;
    let (first, expected) = told[0];
    assert!(first > 6_000_000 && first < expected, "{first} of {expected}");
    assert!(taken.unwrap()[0].bytes_added < 24_000_000);
    let own = restic.host(&server.address, "mine", &server.token("mine", Mode::Full, None));
    own.ok(&["check", "--read-data"]).await;
    assert!(tree::read(&own.restore("back").await) == tree::read(&host.tree()));
}
