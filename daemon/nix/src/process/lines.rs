//! Lines of bounded length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line that is read whole, in bytes; the rest of a longer one is passed over.
pub(crate) const MAX: usize = 1024 * 1024;

/// Reads lines. Dropping the future of [`Lines::next`] loses nothing, so it may stand in a `select!`.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
    /// Whether `line` was handed out and the next call starts a new one.
    complete: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, line: Vec::new(), complete: false }
    }

    /// The next line without its line feed; nothing at the end.
    pub(crate) async fn next(&mut self) -> std::io::Result<Option<&[u8]>> {
        if std::mem::take(&mut self.complete) {
            self.line.clear();
        }
        loop {
            let bytes = self.reader.fill_buf().await?;
            if bytes.is_empty() {
                self.complete = true;
                return Ok((!self.line.is_empty()).then_some(self.line.as_slice()));
            }
            let end = bytes.iter().position(|&b| b == b'\n');
            let content = &bytes[..end.unwrap_or(bytes.len())];
            let room = MAX.saturating_sub(self.line.len()).min(content.len());
            self.line.extend_from_slice(&content[..room]);
            let used = content.len() + usize::from(end.is_some());
            self.reader.consume(used);
            if end.is_some() {
                self.complete = true;
                return Ok(Some(&self.line));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_divided_and_long_ones_cut() {
        let text = [b"a\n\n".as_slice(), &vec![b'x'; MAX + 5], b"\nlast"].concat();
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(7, text.as_slice()));
        assert_eq!(lines.next().await.unwrap(), Some(b"a".as_slice()));
        assert_eq!(lines.next().await.unwrap(), Some(b"".as_slice()));
        assert_eq!(lines.next().await.unwrap().map(<[u8]>::len), Some(MAX));
        assert_eq!(lines.next().await.unwrap(), Some(b"last".as_slice()));
        assert_eq!(lines.next().await.unwrap(), None);
    }
}
