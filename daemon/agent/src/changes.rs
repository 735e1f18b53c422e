//! Noticing that files change (inotify(7)), where the kernel has it; looking often where not.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use rustix::io::read;

/// The shortest time between two returns: whoever writes much is not read along with line by line.
const PAUSE: Duration = Duration::from_millis(5);

/// Changes of some files from now on.
#[derive(Debug)]
pub(crate) struct Changes {
    noticed: Option<OwnedFd>,
    returned: Instant,
}

impl Changes {
    /// Of a file that grows, and of one that is written anew as a whole, and may not be there yet.
    pub(crate) fn of(growing: &Path, replaced: &Path) -> Self {
        Self { noticed: watch(growing, replaced).ok(), returned: Instant::now() }
    }

    /// Waits until something may have changed since the last call, or the time is over.
    pub(crate) fn wait(&mut self, limit: Duration) {
        let (Some(noticed), Ok(longest)) = (&self.noticed, Timespec::try_from(limit)) else {
            return sleep(PAUSE.min(limit));
        };
        sleep(PAUSE.saturating_sub(self.returned.elapsed()).min(limit));
        // An error is a change that is looked for in vain.
        let _ = poll(&mut [PollFd::new(noticed, PollFlags::IN)], Some(&longest));
        // What it was that changed does not matter; what is left has the next call return at once.
        let mut events = [MaybeUninit::uninit(); 4096];
        let _ = read(noticed, &mut events);
        self.returned = Instant::now();
    }
}

fn watch(growing: &Path, replaced: &Path) -> std::io::Result<OwnedFd> {
    let noticed = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    add_watch(&noticed, growing, WatchFlags::MODIFY)?;
    let folder = replaced.parent().unwrap_or(replaced);
    add_watch(&noticed, folder, WatchFlags::MOVED_TO | WatchFlags::CREATE | WatchFlags::DELETE)?;
    Ok(noticed)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_grows_and_what_is_replaced_is_noticed_and_so_is_what_changed_before_it_was_waited() {
        let folder = tempfile::tempdir().unwrap();
        let (log, record) = (folder.path().join("log"), folder.path().join("of/record"));
        fs::create_dir(folder.path().join("of")).unwrap();
        fs::write(&log, "").unwrap();
        let mut changes = Changes::of(&log, &record);
        let begun = Instant::now();
        fs::write(&log, "one").unwrap();
        changes.wait(LONG);
        fs::write(&record, "new").unwrap();
        changes.wait(LONG);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_millis(50));
                fs::write(folder.path().join("draft"), "newer").unwrap();
                fs::rename(folder.path().join("draft"), &record).unwrap();
            });
            changes.wait(LONG);
        });
        assert!(begun.elapsed() >= Duration::from_millis(50) && begun.elapsed() < LONG / 2);
        let waited = Instant::now();
        changes.wait(Duration::from_millis(50));
        assert!(waited.elapsed() >= Duration::from_millis(50), "nothing changed");
    }

    #[test]
    fn where_nothing_can_be_noticed_it_is_looked_often() {
        let mut changes = Changes::of(Path::new("/nowhere/log"), Path::new("/nowhere/record"));
        let waited = Instant::now();
        changes.wait(LONG);
        assert!(waited.elapsed() < LONG / 2);
    }
}
