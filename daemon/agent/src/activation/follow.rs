//! Reading along with a switch until its end.

use std::fs::File;
use std::io::Read;
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::FailureCode;

use super::record::{Ended, Record};
use super::unit;
use crate::client::Client;
use crate::failure::{Result, failure, io};

const PAUSE: Duration = Duration::from_millis(20);

/// How often it is asked whether the unit still runs.
const LOOK: Duration = Duration::from_secs(1);

/// Hands the whole output on from its beginning, as it comes; returns how the switch ended.
pub(super) fn to_the_end(record: &Record, client: &mut impl Client) -> Result<Ended> {
    let log = record.log();
    let file = File::open(&log).map_err(io(format!("cannot read {}", log.display())))?;
    let mut output = Output { file, rest: Vec::new() };
    let mut looked = Instant::now();
    loop {
        // In this order: what was written before the end was written down is read before the end is told.
        let mut ended = record.ended()?;
        if ended.is_none() && looked.elapsed() >= LOOK {
            looked = Instant::now();
            ended = end_of_a_unit_that_is_gone(record)?;
        }
        output.hand_on(client);
        if let Some(ended) = ended {
            output.hand_rest_on(client);
            return Ok(ended);
        }
        if client.is_gone() {
            return Err(failure(FailureCode::Io, "nobody waits for the switch any more; it goes on"));
        }
        sleep(PAUSE);
    }
}

/// Nothing while the unit runs. A unit that was killed leaves no result, but one that ended since the last look does.
fn end_of_a_unit_that_is_gone(record: &Record) -> Result<Option<Ended>> {
    if unit::is_running(record.operation())? {
        return Ok(None);
    }
    let killed = || Ended::Failed(failure(FailureCode::Program, "the switch was killed before it ended"));
    Ok(Some(record.ended()?.unwrap_or_else(killed)))
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
    use crate::activation::record::tests::record;
    use crate::activation::record::{Asked, Record};
    use crate::client::tests::Recorder;
    use berth_protocol::{Note, SwitchAction};
    use std::io::Write;

    fn begun(folder: &std::path::Path) -> (Record, File) {
        let record = record(folder);
        record.begin(&Asked { system: "/nix/store/x".into(), action: SwitchAction::Test }).unwrap();
        let log = File::options().append(true).open(record.log()).unwrap();
        (record, log)
    }

    #[test]
    fn the_whole_output_is_handed_on_line_by_line_whenever_it_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (record, mut log) = begun(folder.path());
        let mut client = Recorder::default();
        std::thread::scope(|scope| {
            let following = scope.spawn(|| to_the_end(&record, &mut client).unwrap());
            for part in ["one\ntw", "o\n", "no line feed"] {
                log.write_all(part.as_bytes()).unwrap();
                sleep(Duration::from_millis(50));
            }
            record.end(&Ended::Switched { exit_code: 4 }).unwrap();
            assert_eq!(following.join().unwrap(), Ended::Switched { exit_code: 4 });
        });
        let lines = ["one", "two", "no line feed"].map(|line| Note::Line(line.into()));
        assert_eq!(client.notes, lines);
        let mut later = Recorder::default();
        to_the_end(&record, &mut later).unwrap();
        assert_eq!(later.notes, lines, "who asks again is told the same");
    }

    #[test]
    fn nobody_is_waited_for_who_went_away() {
        let folder = tempfile::tempdir().unwrap();
        let (record, _log) = begun(folder.path());
        let mut client = Recorder { gone: true, ..Recorder::default() };
        assert!(to_the_end(&record, &mut client).unwrap_err().message.contains("goes on"));
    }
}
