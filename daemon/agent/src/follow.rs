//! Reading along with a unit's output until its end.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use berth_protocol::FailureCode;

use crate::changes::Changes;
use crate::client::Client;
use crate::failure::{Result, failure, io};

/// How often it is looked for more although nothing was noticed, such as that nobody waits for it any more.
const PAUSE: Duration = Duration::from_millis(100);

/// How often it is asked whether the unit still runs.
const LOOK: Duration = Duration::from_secs(1);

/// Something that runs in a unit of its own and writes down how it ended.
pub(crate) trait Work {
    /// How it ended.
    type End;

    /// The file that tells how it ended, which is written anew as a whole.
    fn record(&self) -> PathBuf;

    /// How it ended, once it has.
    fn ended(&self) -> Result<Option<Self::End>>;

    /// Whether its unit is there.
    fn is_running(&self) -> Result<bool>;

    /// What is said of one whose unit is gone without having written down an end.
    fn vanished(&self) -> Result<Self::End>;
}

/// Hands the whole output on from its beginning, as it comes; returns how the work ended.
pub(crate) fn to_the_end<W: Work>(work: &W, log: &Path, client: &mut impl Client) -> Result<W::End> {
    let file = File::open(log).map_err(io(format!("cannot read {}", log.display())))?;
    let mut output = Output { file, rest: Vec::new() };
    let mut changes = Changes::of(log, &work.record());
    let mut looked = Instant::now();
    loop {
        // In this order: what was written before the end was written down is read before the end is told.
        let mut ended = work.ended()?;
        if ended.is_none() && looked.elapsed() >= LOOK {
            looked = Instant::now();
            ended = end_of_a_unit_that_is_gone(work)?;
        }
        output.hand_on(client);
        if let Some(ended) = ended {
            output.hand_rest_on(client);
            return Ok(ended);
        }
        if client.is_gone() {
            return Err(failure(FailureCode::Io, "nobody waits for it any more; it goes on"));
        }
        changes.wait(PAUSE);
    }
}

/// Nothing while the unit runs. A unit that was killed leaves no result, but one that ended since the last look does.
fn end_of_a_unit_that_is_gone<W: Work>(work: &W) -> Result<Option<W::End>> {
    if work.is_running()? {
        return Ok(None);
    }
    match work.ended()? {
        None => work.vanished().map(Some),
        ended => Ok(ended),
    }
}

/// A file that grows.
struct Output {
    file: File,
    /// The beginning of a line whose end was not written yet.
    rest: Vec<u8>,
}

impl Output {
    fn hand_on(&mut self, client: &mut impl Client) {
        // A file in `/run` that cannot be read any more has no more to say; the end is told by another one.
        let _ = self.file.read_to_end(&mut self.rest);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            client.line(String::from_utf8_lossy(&line).trim_end());
        }
    }

    fn hand_rest_on(&mut self, client: &mut impl Client) {
        if !self.rest.is_empty() {
            client.line(&String::from_utf8_lossy(&std::mem::take(&mut self.rest)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::Recorder;
    use berth_protocol::Note;
    use std::io::Write;
    use std::thread::sleep;

    /// Ends when a file appears.
    struct Waiting(PathBuf);

    impl Work for Waiting {
        type End = &'static str;

        fn record(&self) -> PathBuf {
            self.0.clone()
        }

        fn ended(&self) -> Result<Option<&'static str>> {
            Ok(self.0.exists().then_some("ended"))
        }

        fn is_running(&self) -> Result<bool> {
            Ok(true)
        }

        fn vanished(&self) -> Result<&'static str> {
            Ok("vanished")
        }
    }

    /// Was killed.
    struct Killed;

    impl Work for Killed {
        type End = &'static str;

        fn record(&self) -> PathBuf {
            PathBuf::from("/nowhere/record")
        }

        fn ended(&self) -> Result<Option<&'static str>> {
            Ok(None)
        }

        fn is_running(&self) -> Result<bool> {
            Ok(false)
        }

        fn vanished(&self) -> Result<&'static str> {
            Ok("vanished")
        }
    }

    #[test]
    fn the_whole_output_is_handed_on_line_by_line_whenever_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (log, end) = (folder.path().join("log"), folder.path().join("end"));
        let (mut writer, work) = (File::create(&log).unwrap(), Waiting(end.clone()));
        let mut client = Recorder::default();
        std::thread::scope(|scope| {
            let following = scope.spawn(|| to_the_end(&work, &log, &mut client).unwrap());
            for part in ["one\ntw", "o\n", "no line feed"] {
                writer.write_all(part.as_bytes()).unwrap();
                sleep(Duration::from_millis(50));
            }
            File::create(&end).unwrap();
            assert_eq!(following.join().unwrap(), "ended");
        });
        let lines = ["one", "two", "no line feed"].map(|line| Note::Line(line.into()));
        assert_eq!(client.notes, lines);
        let mut later = Recorder::default();
        to_the_end(&work, &log, &mut later).unwrap();
        assert_eq!(later.notes, lines, "who asks again is told the same");
    }

    #[test]
    fn nobody_is_waited_for_who_went_away_and_no_unit_that_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        File::create(&log).unwrap();
        let mut client = Recorder { gone: true, ..Recorder::default() };
        let work = Waiting(folder.path().join("never"));
        assert!(to_the_end(&work, &log, &mut client).unwrap_err().message.contains("goes on"));
        assert_eq!(to_the_end(&Killed, &log, &mut Recorder::default()).unwrap(), "vanished");
    }
}
