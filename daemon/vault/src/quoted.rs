//! Names of any bytes in JSON, as Go's `strconv.Quote` writes and `strconv.Unquote` reads them, without the quotes: so restic has
//! names of any bytes.

use std::fmt::Write as _;

/// A name as Go's `strconv.Quote` writes it, without the quotes: so restic has names of any bytes in JSON.
pub(crate) fn quoted(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                _ if character.is_control() => {
                    let _ = write!(text, "\\u{:04x}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The bytes of a name; nothing where it is not written so.
pub(crate) fn unquoted(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        name.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next()?;
        let after = &rest[at + 1 + escape.len_utf8()..];
        rest = match escape {
            'x' => byte(after, 2, 16, &mut name)?,
            '0'..='7' => byte(&rest[at + 1..], 3, 8, &mut name)?,
            'u' => character(after, 4, &mut name)?,
            'U' => character(after, 8, &mut name)?,
            _ => {
                name.push(simple(escape)?);
                after
            }
        };
    }
    name.extend_from_slice(rest.as_bytes());
    Some(name)
}

fn simple(escape: char) -> Option<u8> {
    Some(match escape {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        '\\' => b'\\',
        '"' => b'"',
        '\'' => b'\'',
        _ => return None,
    })
}

fn number(text: &str, digits: usize, radix: u32) -> Option<(u32, &str)> {
    let (digits, rest) = text.split_at_checked(digits)?;
    let plain = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    Some((u32::from_str_radix(digits, radix).ok().filter(|_| plain)?, rest))
}

fn byte<'a>(text: &'a str, digits: usize, radix: u32, name: &mut Vec<u8>) -> Option<&'a str> {
    let (value, rest) = number(text, digits, radix)?;
    name.push(value.try_into().ok()?);
    Some(rest)
}

fn character<'a>(text: &'a str, digits: usize, name: &mut Vec<u8>) -> Option<&'a str> {
    let (value, rest) = number(text, digits, 16)?;
    name.extend_from_slice(char::from_u32(value)?.encode_utf8(&mut [0; 4]).as_bytes());
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_bytes_are_written_as_go_reads_them() {
        assert_eq!(quoted(b"plain"), "plain");
        assert_eq!(quoted("\u{fc}\n\"\\\u{7f}".as_bytes()), "\u{fc}\\u000a\\\"\\\\\\u007f");
        assert_eq!(quoted(b"a\xff\xfeb"), "a\\xff\\xfeb");
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(unquoted(&quoted(&every)).unwrap(), every);
    }

    #[test]
    fn names_are_read_as_go_writes_them() {
        let read = |text: &str| unquoted(text).unwrap();
        assert_eq!(read("plain"), b"plain");
        assert_eq!(read("\u{fc}\\u000a\\\"\\\\\\u007f"), "\u{fc}\n\"\\\u{7f}".as_bytes());
        assert_eq!(read("a\\xff\\xfeb"), b"a\xff\xfeb");
        assert_eq!(
            read("\\a\\b\\t\\n\\v\\f\\r\\101\\U0001f600"),
            "\x07\x08\t\n\x0b\x0c\rA\u{1f600}".as_bytes()
        );
        for bad in ["\\", "\\x", "\\xg0", "\\x+1", "\\400", "\\u12", "\\ud800", "\\q", "\\x\u{e9}"] {
            assert_eq!(unquoted(bad), None, "{bad}");
        }
    }
}
