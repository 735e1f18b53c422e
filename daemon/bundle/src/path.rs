//! Names of entries: bytes, as Linux has them, of which only those are accepted that lead downwards.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest component, in bytes: what Linux takes (`NAME_MAX`).
pub const MAX_COMPONENT: usize = 255;
/// The longest path, in bytes.
pub const MAX_PATH: usize = 8192;
/// The most components of a path: whoever extracts holds a folder open for each.
pub const MAX_DEPTH: usize = 256;

/// The path of an entry within a bundle. It is relative, has no empty component, none that is `.` or `..`, and no NUL byte.
///
/// Paths are ordered by their components, and those by their bytes: what lies in a folder follows directly after it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BundlePath(Vec<u8>);

/// Why something is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It begins with a slash, or has to and does not.
    #[error("it is absolute, or should be and is not")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("a component is empty")]
    EmptyComponent,
    /// `.` or `..`
    #[error("a component is . or ..")]
    Dots,
    /// A NUL byte.
    #[error("it contains a NUL byte")]
    Nul,
    /// See [`MAX_COMPONENT`].
    #[error("a component is longer than 255 bytes")]
    LongComponent,
    /// See [`MAX_PATH`] and [`MAX_DEPTH`].
    #[error("it is longer than 8192 bytes or 256 components")]
    TooLong,
    /// It is not written in the one right way; see [`decode`].
    #[error("it is not encoded as it should be")]
    Encoding,
}

impl BundlePath {
    /// A path of bytes.
    ///
    /// # Errors
    /// [`BadPath`]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, BadPath> {
        let bytes = bytes.into();
        match bytes.first() {
            None => return Err(BadPath::Empty),
            Some(b'/') => return Err(BadPath::Absolute),
            Some(_) if bytes.contains(&0) => return Err(BadPath::Nul),
            Some(_) if bytes.len() > MAX_PATH => return Err(BadPath::TooLong),
            Some(_) => {}
        }
        for (depth, component) in bytes.split(|byte| *byte == b'/').enumerate() {
            match component {
                b"" => return Err(BadPath::EmptyComponent),
                b"." | b".." => return Err(BadPath::Dots),
                _ if component.len() > MAX_COMPONENT => return Err(BadPath::LongComponent),
                _ if depth >= MAX_DEPTH => return Err(BadPath::TooLong),
                _ => {}
            }
        }
        Ok(Self(bytes))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its components, from the outermost.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'/')
    }

    /// One component further.
    ///
    /// # Errors
    /// [`BadPath`]
    pub fn join(&self, further: &[u8]) -> Result<Self, BadPath> {
        Self::new([&self.0, &b"/"[..], further].concat())
    }

    /// Whether it is `outer`, or lies in it.
    pub fn is_within(&self, outer: &Self) -> bool {
        self.0.strip_prefix(&outer.0[..]).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// As the manifest writes it: [`encode`].
    pub fn encoded(&self) -> String {
        encode(&self.0)
    }
}

impl TryFrom<&str> for BundlePath {
    type Error = BadPath;

    fn try_from(path: &str) -> Result<Self, BadPath> {
        Self::new(path)
    }
}

impl Ord for BundlePath {
    fn cmp(&self, other: &Self) -> Ordering {
        // A slash ends a component, and what ends comes first; no component has a NUL byte.
        let rank = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
        self.0.iter().map(rank).cmp(other.0.iter().map(rank))
    }
}

impl PartialOrd for BundlePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&for_people(&self.0))
    }
}

impl fmt::Debug for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.encoded())
    }
}

impl Serialize for BundlePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encoded())
    }
}

impl<'de> Deserialize<'de> for BundlePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let path = decode(&text).and_then(Self::new);
        path.map_err(|reason| serde::de::Error::custom(format!("{text}: {reason}")))
    }
}

/// Whether a byte stands for itself: printable ASCII, but neither `%` nor what JSON would escape.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"' | b'\\')
}

/// Bytes as text, each in just one way: printable ASCII but `%`, `"` and `\` as it is, every other byte as `%XX` with
/// upper-case digits.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if is_plain(*byte) {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push(char::from(DIGITS[usize::from(byte >> 4)]));
            text.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    text
}

/// The bytes that [`encode`] made a text of.
///
/// # Errors
/// [`BadPath::Encoding`], also where [`encode`] would write it in another way.
pub fn decode(text: &str) -> Result<Vec<u8>, BadPath> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit().ok_or(BadPath::Encoding)?, digit().ok_or(BadPath::Encoding)?);
        bytes.push((high * 16 + low) as u8);
    }
    if encode(&bytes) == text { Ok(bytes) } else { Err(BadPath::Encoding) }
}

/// Bytes as people read them: as UTF-8 where they are, and nothing in it moves a cursor; else [`encode`].
pub fn for_people(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Cow::Borrowed(text),
        _ => Cow::Owned(encode(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> BundlePath {
        BundlePath::try_from(text).unwrap()
    }

    #[test]
    fn only_what_leads_downwards_is_a_path() {
        for (text, why) in [
            ("", BadPath::Empty),
            ("/etc/passwd", BadPath::Absolute),
            ("a//b", BadPath::EmptyComponent),
            ("a/", BadPath::EmptyComponent),
            ("..", BadPath::Dots),
            ("a/../b", BadPath::Dots),
            ("./a", BadPath::Dots),
            ("a\0b", BadPath::Nul),
        ] {
            assert_eq!(BundlePath::try_from(text), Err(why), "{text}");
        }
        assert_eq!(BundlePath::new(vec![b'a'; 256]), Err(BadPath::LongComponent));
        assert_eq!(BundlePath::new([&b"a/".repeat(256)[..], b"a"].concat()), Err(BadPath::TooLong));
        assert_eq!(BundlePath::new([&b"a/".repeat(5000)[..], b"a"].concat()), Err(BadPath::TooLong));
        assert!(BundlePath::new(*b"..a/b..\n\xff").is_ok());
    }

    #[test]
    fn what_lies_in_a_folder_follows_directly_after_it() {
        let mut paths = [path("a-b"), path("b"), path("a/z"), path("a"), path("a/b/c"), path("a/b")];
        paths.sort();
        assert_eq!(paths, [path("a"), path("a/b"), path("a/b/c"), path("a/z"), path("a-b"), path("b")]);
        assert!(path("a/b").is_within(&path("a")) && !path("a-b").is_within(&path("a")));
    }

    #[test]
    fn a_text_that_is_encoded_in_another_way_is_refused() {
        for text in ["%", "%4", "%4g", "%41", "%ff", "\u{e4}", "a\"", "\n", "%+1"] {
            assert_eq!(decode(text), Err(BadPath::Encoding), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            prop_assert_eq!(decode(&encode(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn the_order_is_that_of_the_components(a in "[a/-]{1,6}", b in "[a/-]{1,6}") {
            if let (Ok(a), Ok(b)) = (BundlePath::try_from(&a[..]), BundlePath::try_from(&b[..])) {
                let by_components = a.components().cmp(b.components());
                prop_assert_eq!(a.cmp(&b), by_components);
            }
        }
    }
}
