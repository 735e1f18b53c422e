//! The other end of standard input and output.

use std::io::{BufRead, ErrorKind, Write};

use crate::failure::failure;
use berth_protocol::{FailureCode, MAX_LINE, Note, Reply, Response};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest line of a program that is handed on, in characters.
const MAX_NOTE: usize = 8 * 1024;

/// What reading a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
    /// The end.
    End,
}

/// Reads one line of at most [`MAX_LINE`] bytes.
pub(crate) fn read_line(reader: &mut impl BufRead) -> std::io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(if line.is_empty() { Line::End } else { Line::Whole(line) });
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let content = &bytes[..end.unwrap_or(bytes.len())];
        if line.len() + content.len() > MAX_LINE {
            return Ok(Line::TooLong);
        }
        line.extend_from_slice(content);
        let used = content.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Line::Whole(line));
        }
    }
}

/// Writes one line at once. Whether anybody reads it is found out by [`Client::is_gone`].
pub(crate) fn write_line(value: &impl serde::Serialize) {
    let Ok(mut line) = serde_json::to_vec(value) else { return };
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(&line).and_then(|()| out.flush());
}

/// Writes the end of a call; an answer that no line can hold becomes a failure that says so.
pub(crate) fn write_end(id: u64, reply: Reply) {
    let response = Response { id, reply };
    match serde_json::to_vec(&response) {
        Ok(line) if line.len() < MAX_LINE => write_line(&response),
        _ => write_line(&Response {
            id,
            reply: Reply::Failed(failure(FailureCode::Io, "the answer is too long")),
        }),
    }
}

/// Who asked a call, for the notes on the way to its answer.
pub(crate) trait Client {
    /// Hands a note on.
    fn note(&mut self, note: Note);

    /// Whether nobody waits for the answer any more.
    fn is_gone(&self) -> bool;

    /// Hands a program's line on.
    fn line(&mut self, text: &str) {
        self.note(Note::Line(text.chars().take(MAX_NOTE).collect()));
    }

    /// Says how far it is.
    fn progress(&mut self, done: usize, expected: usize) {
        self.note(Note::Progress { done: done as u64, expected: expected as u64 });
    }
}

/// The caller at the other end of standard output.
pub(crate) struct Caller {
    pub(crate) id: u64,
}

impl Client for Caller {
    fn note(&mut self, note: Note) {
        write_line(&Response { id: self.id, reply: Reply::Note(note) });
    }

    fn is_gone(&self) -> bool {
        let stdout = std::io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let hung_up = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(hung_up)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Keeps the notes; goes away when told.
    #[derive(Debug, Default)]
    pub(crate) struct Recorder {
        pub(crate) notes: Vec<Note>,
        pub(crate) gone: bool,
    }

    impl Client for Recorder {
        fn note(&mut self, note: Note) {
            self.notes.push(note);
        }

        fn is_gone(&self) -> bool {
            self.gone
        }
    }

    #[test]
    fn lines_are_divided_and_an_endless_one_is_refused() {
        let mut reader = b"one\n\nlast".as_slice();
        assert_eq!(read_line(&mut reader).unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(read_line(&mut reader).unwrap(), Line::Whole(Vec::new()));
        assert_eq!(read_line(&mut reader).unwrap(), Line::Whole(b"last".to_vec()));
        assert_eq!(read_line(&mut reader).unwrap(), Line::End);
        let mut endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(read_line(&mut endless).unwrap(), Line::TooLong);
    }
}
