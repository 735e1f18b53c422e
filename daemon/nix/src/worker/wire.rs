//! Numbers and texts, as they are sent.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::WorkerError;

/// The longest text that is read, in bytes.
const MAX_TEXT: u64 = 1024 * 1024;

/// The longest list of texts that is read.
const MAX_TEXTS: u64 = 1024 * 1024;

/// What is about to be sent.
#[derive(Debug, Default)]
pub(crate) struct Outgoing(Vec<u8>);

impl Outgoing {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self.0.resize(self.0.len().next_multiple_of(8), 0);
    }

    pub(crate) fn texts<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str>) {
        self.number(texts.len() as u64);
        texts.for_each(|text| self.text(text));
    }
}

/// Passes over so many numbers.
pub(super) async fn numbers(input: &mut (impl AsyncRead + Unpin), count: usize) -> Result<(), WorkerError> {
    for _ in 0..count {
        input.read_u64_le().await?;
    }
    Ok(())
}

pub(super) async fn text(input: &mut (impl AsyncRead + Unpin)) -> Result<String, WorkerError> {
    let length = input.read_u64_le().await?;
    if length > MAX_TEXT {
        return Err(WorkerError::Garbled("a text that is too long"));
    }
    let mut bytes = Vec::new();
    input.take(length.next_multiple_of(8)).read_to_end(&mut bytes).await?;
    if (bytes.len() as u64) < length.next_multiple_of(8) {
        return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
    }
    bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) async fn texts(input: &mut (impl AsyncRead + Unpin)) -> Result<Vec<String>, WorkerError> {
    let count = input.read_u64_le().await?;
    if count > MAX_TEXTS {
        return Err(WorkerError::Garbled("a list that is too long"));
    }
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(input).await?);
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn texts_are_filled_up_and_read_back() {
        let mut sent = Outgoing::default();
        let all = ["", "seven77", "eight888", "nine99999"];
        all.into_iter().for_each(|it| sent.text(it));
        assert_eq!(sent.0.len(), 8 + 16 + 16 + 24);
        sent.texts(all.into_iter());
        let mut stream = sent.0.as_slice();
        for expected in all {
            assert_eq!(text(&mut stream).await.unwrap(), expected);
        }
        assert_eq!(texts(&mut stream).await.unwrap(), all);
        assert!(matches!(text(&mut stream).await, Err(WorkerError::Io(_))));
        let endless = u64::MAX.to_le_bytes();
        assert!(matches!(text(&mut endless.as_slice()).await, Err(WorkerError::Garbled(_))));
        assert!(matches!(texts(&mut endless.as_slice()).await, Err(WorkerError::Garbled(_))));
    }
}
