//! What a daemon tells while it works.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::WorkerError;
use super::wire::{numbers, text};
use crate::log::{bounded, clean};

const LAST: u64 = 0x616c_7473;
const LINE: u64 = 0x6f6c_6d67;
const ERROR: u64 = 0x6378_7470;
const STARTED: u64 = 0x5354_5254;
const STOPPED: u64 = 0x5354_4f50;
const RESULT: u64 = 0x5253_4c54;

/// Whether this number begins an error; the length of no text is that great.
pub(super) fn is_error(number: u64) -> bool {
    number == ERROR
}

/// Reads what the daemon tells until its work is done.
pub(super) async fn told_to_the_end(input: &mut (impl AsyncRead + Unpin)) -> Result<(), WorkerError> {
    loop {
        match input.read_u64_le().await? {
            LAST => return Ok(()),
            LINE => drop(text(input).await?),
            ERROR => return Err(WorkerError::Refused(error(input).await?)),
            STARTED => {
                // Activity, level, kind.
                numbers(input, 3).await?;
                text(input).await?;
                fields(input).await?;
                numbers(input, 1).await?;
            }
            STOPPED => numbers(input, 1).await?,
            RESULT => {
                numbers(input, 2).await?;
                fields(input).await?;
            }
            _ => return Err(WorkerError::Garbled("a message that nobody knows")),
        }
    }
}

/// An error: its kind, level and name, the message, no position, and the trace, which nobody needs.
pub(super) async fn error(input: &mut (impl AsyncRead + Unpin)) -> Result<String, WorkerError> {
    text(input).await?;
    numbers(input, 1).await?;
    text(input).await?;
    let message = text(input).await?;
    numbers(input, 1).await?;
    for _ in 0..input.read_u64_le().await?.min(1000) {
        numbers(input, 1).await?;
        text(input).await?;
    }
    Ok(bounded(clean(&message)))
}

async fn fields(input: &mut (impl AsyncRead + Unpin)) -> Result<(), WorkerError> {
    for _ in 0..input.read_u64_le().await? {
        match input.read_u64_le().await? {
            0 => numbers(input, 1).await?,
            1 => drop(text(input).await?),
            _ => return Err(WorkerError::Garbled("a field that nobody knows")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::wire::Outgoing;
    use super::*;

    #[tokio::test]
    async fn what_is_told_is_read_to_its_end_and_an_error_is_the_stores_own() {
        let mut stream = Outgoing::default();
        stream.number(LINE);
        stream.text("a line");
        stream.number(STARTED);
        [1, 2, 3].into_iter().for_each(|number| stream.number(number));
        stream.text("adding");
        [2, 0, 7, 1].into_iter().for_each(|number| stream.number(number));
        stream.text("field");
        stream.number(0);
        stream.number(ERROR);
        stream.text("Error");
        stream.number(0);
        stream.text("Error");
        stream.text("hash \u{1b}[31;1mmismatch\u{1b}[0m");
        [0, 1, 0].into_iter().for_each(|number| stream.number(number));
        stream.text("while adding");
        let mut input = stream.bytes();
        let error = told_to_the_end(&mut input).await.unwrap_err();
        assert_eq!(error.to_string(), "hash mismatch");
        assert!(input.is_empty());
        let unknown = 5u64.to_le_bytes();
        assert!(matches!(told_to_the_end(&mut unknown.as_slice()).await, Err(WorkerError::Garbled(_))));
    }
}
