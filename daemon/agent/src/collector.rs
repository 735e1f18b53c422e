//! Nix's garbage collector, which must not remove a store path that a link is about to be made to.
//!
//! A collection that is under way has read its roots already and does not see a new link. Nix's own programs therefore look for its lock
//! first: while somebody shares that, no collection begins; and one that is under way is told of a path by its socket (`addTempRoot` in
//! `src/libstore/gc.cc`, since Nix 2.5).

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::files::open_lock;

/// Where Nix keeps its lock and its socket.
const STATE: &str = "/nix/var/nix";

/// How long a collection is waited for that does not listen: one that begins or ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Links that are made as long as this value lives are seen by every collection that could remove what they lead to.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Shared, so that no collection begins; nothing where one is under way that was told.
    _lock: Option<File>,
}

/// Keeps these store paths from being collected until links to them are made.
pub(crate) fn keep_off<'a>(paths: impl IntoIterator<Item = &'a Path>) -> io::Result<Seen> {
    keep_off_in(Path::new(STATE), &paths.into_iter().collect::<Vec<_>>(), PATIENCE)
}

fn keep_off_in(state: &Path, paths: &[&Path], patience: Duration) -> io::Result<Seen> {
    let end = Instant::now() + patience;
    loop {
        let lock = open_lock(&state.join("gc.lock"))?;
        match lock.try_lock_shared() {
            Ok(()) => return Ok(Seen { _lock: Some(lock) }),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        match tell(state, paths, end) {
            Ok(()) => return Ok(Seen { _lock: None }),
            // It has ended, or does not listen yet.
            Err(error) if Instant::now() >= end => return Err(error),
            Err(_) => sleep(PAUSE),
        }
    }
}

/// Tells the collection that is under way, and hears from it that it knows.
fn tell(state: &Path, paths: &[&Path], end: Instant) -> io::Result<()> {
    let mut socket = UnixStream::connect(state.join("gc-socket/socket"))?;
    let left = end.saturating_duration_since(Instant::now()).max(PAUSE);
    socket.set_read_timeout(Some(left))?;
    socket.set_write_timeout(Some(left))?;
    for path in paths {
        writeln!(socket, "{}", path.display())?;
        let mut answer = [0];
        socket.read_exact(&mut answer)?;
        if answer != *b"1" {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the garbage collector gave another answer",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::net::UnixListener;

    fn collection(state: &Path) -> File {
        let lock = File::create(state.join("gc.lock")).unwrap();
        lock.try_lock().unwrap();
        lock
    }

    #[test]
    fn no_collection_begins_until_the_links_are_made() {
        let state = tempfile::tempdir().unwrap();
        let seen = keep_off_in(state.path(), &[Path::new("/nix/store/a")], Duration::ZERO).unwrap();
        let lock = File::open(state.path().join("gc.lock")).unwrap();
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        // Others make links as well.
        keep_off_in(state.path(), &[], Duration::ZERO).unwrap();
        drop(seen);
        lock.try_lock().unwrap();
    }

    #[test]
    fn a_collection_that_is_under_way_is_told() {
        let state = tempfile::tempdir().unwrap();
        let _lock = collection(state.path());
        std::fs::create_dir(state.path().join("gc-socket")).unwrap();
        let listener = UnixListener::bind(state.path().join("gc-socket/socket")).unwrap();
        std::thread::scope(|scope| {
            let told = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                [(); 2].map(|()| {
                    let line = lines.next().unwrap().unwrap();
                    stream.write_all(b"1").unwrap();
                    line
                })
            });
            let paths = ["/nix/store/a", "/nix/store/b"];
            let seen = keep_off_in(state.path(), &paths.map(Path::new), Duration::from_secs(20)).unwrap();
            assert!(seen._lock.is_none());
            assert_eq!(told.join().unwrap(), paths);
        });
    }

    #[test]
    fn one_that_does_not_listen_is_waited_for_and_not_for_ever() {
        let state = tempfile::tempdir().unwrap();
        let lock = collection(state.path());
        let path = [Path::new("/nix/store/a")];
        assert!(keep_off_in(state.path(), &path, Duration::from_millis(60)).is_err());
        std::thread::scope(|scope| {
            let kept = scope.spawn(|| keep_off_in(state.path(), &path, Duration::from_secs(20)).unwrap());
            sleep(Duration::from_millis(60));
            drop(lock);
            assert!(kept.join().unwrap()._lock.is_some());
        });
    }
}
