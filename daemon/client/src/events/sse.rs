//! The bytes of an event stream as its frames: the parser of WHATWG HTML, section 9.2.6, with bounds.

use std::time::Duration;

/// The longest frame that is taken, in bytes. An event with the log of a failed build is far below.
const LONGEST: usize = 4 << 20;

/// One dispatched event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frame {
    /// Its `id`, if it has one of its own.
    pub(super) id: Option<String>,
    /// Its `event`; empty for the default type.
    pub(super) event: String,
    /// Its `data`, lines joined by line feeds.
    pub(super) data: String,
}

/// What came of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Frame(Frame),
    /// How long to wait before connecting again.
    Retry(Duration),
}

/// A frame is longer than any should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {LONGEST} bytes")]
pub(super) struct TooLong;

/// Takes a stream's bytes in pieces of any size.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    frame: Frame,
    has_data: bool,
    after_carriage_return: bool,
    past_first_line: bool,
}

impl Parser {
    /// Takes the next bytes; the result is what they complete.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Item>, TooLong> {
        let mut items = Vec::new();
        for &byte in bytes {
            // CR LF, LF and CR each end a line.
            let continues = std::mem::replace(&mut self.after_carriage_return, byte == b'\r');
            match byte {
                b'\n' if continues => {}
                b'\n' | b'\r' => items.extend(self.end_line()),
                _ => self.line.push(byte),
            }
            if self.line.len() + self.frame.data.len() > LONGEST {
                return Err(TooLong);
            }
        }
        Ok(items)
    }

    fn end_line(&mut self) -> Option<Item> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let text = if first { text.strip_prefix('\u{feff}').unwrap_or(&text) } else { &text };
        if text.is_empty() {
            return self.dispatch();
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        self.field(field, value.strip_prefix(' ').unwrap_or(value))
    }

    fn field(&mut self, field: &str, value: &str) -> Option<Item> {
        match field {
            "event" => value.clone_into(&mut self.frame.event),
            "data" => {
                if self.has_data {
                    self.frame.data.push('\n');
                }
                self.has_data = true;
                self.frame.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.frame.id = Some(value.to_owned()),
            "retry" => return value.parse().ok().map(|ms| Item::Retry(Duration::from_millis(ms))),
            // Comments (an empty field) and fields of another day.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Item> {
        let frame = std::mem::take(&mut self.frame);
        std::mem::take(&mut self.has_data).then_some(Item::Frame(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Vec<Item> {
        Parser::default().push(text).unwrap()
    }

    fn frame(id: Option<&str>, event: &str, data: &str) -> Item {
        Item::Frame(Frame { id: id.map(str::to_owned), event: event.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn frames_comments_and_retries_are_told_apart() {
        let text = "\u{feff}retry: 1500\n\n: heartbeat\n\nid: 7\nevent: log\ndata: a\ndata:b\n\nevent: end\ndata\n\n\
                    event: without data\n\nunfinished: x";
        let retry = Item::Retry(Duration::from_millis(1500));
        assert_eq!(parse(text.as_bytes()), [retry, frame(Some("7"), "log", "a\nb"), frame(None, "end", "")]);
    }

    #[test]
    fn a_frame_without_end_is_refused_before_it_fills_the_memory() {
        let mut parser = Parser::default();
        let piece = [b'x'; 1 << 16];
        let outcome = (0..100).try_for_each(|_| parser.push(&piece).map(drop));
        assert_eq!(outcome, Err(TooLong));
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_frames_are_the_same(
            text in "(id: [0-9]{1,3}|event: [a-z]{1,5}|data: [ -~]{0,9}|: x|retry: 9|é|)((\r\n|\n|\r)(id: 1|data: y|data|))*",
            cuts in prop::collection::vec(1usize..7, 0..40),
        ) {
            let whole = parse(text.as_bytes());
            let (mut parser, mut rest, mut items) = (Parser::default(), text.as_bytes(), Vec::new());
            for cut in cuts.into_iter().chain(std::iter::once(usize::MAX)) {
                let (piece, later) = rest.split_at(cut.min(rest.len()));
                items.extend(parser.push(piece).unwrap());
                rest = later;
            }
            prop_assert_eq!(items, whole);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Parser::default().push(&bytes);
        }
    }
}
