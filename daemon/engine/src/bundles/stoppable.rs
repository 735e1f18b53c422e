//! A bundle whose reader stops when somebody wishes so: reading all of one may take an hour.

use std::fs::File;
use std::io;
use std::path::Path;

use berth_bundle::ReadAt;
use tokio_util::sync::CancellationToken;

/// A bundle's file, until somebody wishes to stop.
pub(super) struct Stoppable {
    file: File,
    stop: CancellationToken,
}

impl Stoppable {
    pub(super) fn open(path: &Path, stop: CancellationToken) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, stop })
    }
}

impl ReadAt for Stoppable {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_up_to(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            return Err(io::Error::other("somebody wished to stop"));
        }
        self.file.read_up_to(buffer, at)
    }
}
