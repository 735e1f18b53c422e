//! Names and values in SQL.
//!
//! What stands in a database was written by strangers, and so were functions that run while it is changed: they can set how the
//! session reads texts (`standard_conforming_strings`, `client_encoding`). What is written here means the same whatever is set, to the
//! server and to `psql`, which looks for the ends of statements itself: it is printable ASCII, and everything else is named by number.

use std::fmt::Write as _;

/// A name as SQL takes it.
pub(crate) fn identifier(name: &str) -> String {
    match is_printable(name) {
        true => within_text(name),
        false => format!("U&\"{}\"", escaped(name, '"', Form::Name)),
    }
}

/// A name as a text has it that names something (`regclass`), and is still to be quoted itself.
pub(super) fn within_text(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL takes it.
pub(crate) fn literal(text: &str) -> String {
    match is_printable(text) && !text.contains('\\') {
        true => format!("'{}'", text.replace('\'', "''")),
        // The only form in which a backslash means the same always.
        false => format!("E'{}'", escaped(text, '\'', Form::Text)),
    }
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| (b' '..=b'~').contains(&b))
}

/// How a character is named by its number: `\u00E4` and `\U0001F600` in a text, `\00E4` and `\+01F600` in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Name,
}

fn escaped(text: &str, quote: char, form: Form) -> String {
    let mut written = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        let code = u32::from(c);
        // Memory takes everything that is written to it.
        let _ = match (c, form) {
            (c, _) if c == quote || c == '\\' => write!(written, "{c}{c}"),
            (' '..='~', _) => write!(written, "{c}"),
            (_, Form::Text) if code <= 0xffff => write!(written, "\\u{code:04X}"),
            (_, Form::Text) => write!(written, "\\U{code:08X}"),
            (_, Form::Name) if code <= 0xffff => write!(written, "\\{code:04X}"),
            (_, Form::Name) => write!(written, "\\+{code:06X}"),
        };
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_end_their_quotes() {
        assert_eq!(identifier("a\"b\\"), r#""a""b\""#);
        assert_eq!(literal("a'; DROP"), "'a''; DROP'");
        assert_eq!(literal(r"\'; \! x"), r"E'\\''; \\! x'");
    }

    #[test]
    fn what_is_no_printable_ascii_is_named_by_its_number() {
        assert_eq!(literal("a\nb\tc\u{7f}"), r"E'a\u000Ab\u0009c\u007F'");
        assert_eq!(literal("ä'\\ 😀"), r"E'\u00E4''\\ \U0001F600'");
        assert_eq!(identifier("ä\"\\ 😀\n"), r#"U&"\00E4""\\ \+01F600\000A""#);
    }

    #[test]
    fn a_name_within_a_text_is_quoted_twice() {
        assert_eq!(literal(&within_text("ä\"b")), r#"E'"\u00E4""b"'"#);
    }

    #[test]
    fn nothing_but_printable_ascii_is_ever_written() {
        let all: String = (1..0x11_0000).filter_map(char::from_u32).collect();
        assert!(is_printable(&literal(&all)) && is_printable(&identifier(&all)));
    }
}
