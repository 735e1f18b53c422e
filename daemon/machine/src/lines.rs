//! Lines of bounded length.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// What reading a line came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// More bytes than a line may have.
    TooLong,
    /// The end, whether or not in the middle of a line.
    End,
}

/// Reads one line of at most `max` bytes.
pub(crate) async fn read(reader: &mut (impl AsyncBufRead + Unpin), max: usize) -> std::io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let bytes = reader.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(Line::End);
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let content = &bytes[..end.unwrap_or(bytes.len())];
        if line.len() + content.len() > max {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_divided_and_bounded() {
        let mut reader = tokio::io::BufReader::with_capacity(3, b"one\n\nlonger\nhalf".as_slice());
        assert_eq!(read(&mut reader, 5).await.unwrap(), Line::Whole(b"one".to_vec()));
        assert_eq!(read(&mut reader, 5).await.unwrap(), Line::Whole(Vec::new()));
        assert_eq!(read(&mut reader, 5).await.unwrap(), Line::TooLong);
        let mut reader = b"half".as_slice();
        assert_eq!(read(&mut reader, 5).await.unwrap(), Line::End, "half a line is not handed out");
    }
}
