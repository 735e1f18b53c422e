//! How far reading or writing a bundle is, on a board.

use std::time::{Duration, Instant};

use berth_domain::Progress;
use berth_domain::progress::Unit;
use chrono::Utc;

use crate::progress::{Board, Mark};
use crate::words;

/// At most so often it is told; the library tells it for every piece that it reads.
const PAUSE: Duration = Duration::from_millis(100);

/// A row of a board of its own.
pub(super) struct Counting {
    board: Board,
    row: &'static str,
    told: Option<Instant>,
    last: berth_bundle::Progress,
}

impl Counting {
    pub(super) fn begin(row: &'static str) -> Self {
        let mut board = Board::calm();
        board.start(row, Utc::now(), "");
        Self { board, row, told: None, last: berth_bundle::Progress::default() }
    }

    pub(super) fn tell(&mut self, progress: berth_bundle::Progress) {
        self.last = progress;
        if self.told.is_some_and(|told| told.elapsed() < PAUSE) {
            return;
        }
        self.told = Some(Instant::now());
        let counted = match progress.of_bytes {
            Some(expected) => Progress::of(progress.bytes, expected, Unit::Bytes),
            None => Progress::open(progress.bytes, Unit::Bytes),
        };
        self.board.count(self.row, Utc::now(), &counted);
    }

    /// Tells how many of how many bytes are done.
    pub(super) fn tell_bytes(&mut self, bytes: u64, of_bytes: u64) {
        self.tell(berth_bundle::Progress { bytes, of_bytes: Some(of_bytes), ..self.last });
    }

    /// The same as [`Self::end`], of what has no files.
    pub(super) fn end_bytes(mut self, well: bool) {
        let mark = if well { Mark::Done } else { Mark::Failed };
        self.board.finish(self.row, Utc::now(), mark, &words::bytes(self.last.bytes).to_string());
    }

    pub(super) fn end(mut self, well: bool) {
        let mark = if well { Mark::Done } else { Mark::Failed };
        let files = if self.last.files == 1 { "file" } else { "files" };
        let text = format!("{} {files}, {}", self.last.files, words::bytes(self.last.bytes));
        self.board.finish(self.row, Utc::now(), mark, &text);
    }
}
