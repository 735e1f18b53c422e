//! What restic compresses: everything of a repository of version 2, where that makes it smaller. (restic's design, “Repository
//! Format”; Zstandard is RFC 8878.)

use std::io::Read as _;

use ruzstd::decoding::StreamingDecoder;

/// The byte before an object that is compressed; what is not begins as JSON does.
const COMPRESSED: u8 = 2;

/// Why something cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Packed {
    #[error("it is no Zstandard: {0}")]
    Zstandard(String),
    #[error("it has another length than it is to have")]
    Length,
    #[error("it is too large")]
    TooLarge,
    #[error("it is of a form that is not known here")]
    Form,
}

/// A piece of a pack, of a length that is known.
pub(super) fn exactly(packed: &[u8], length: usize) -> Result<Vec<u8>, Packed> {
    let plain = up_to(packed, length)?;
    if plain.len() == length { Ok(plain) } else { Err(Packed::Length) }
}

/// An object of its own, of so many bytes at the most.
pub(super) fn object(plain: Vec<u8>, most: usize) -> Result<Vec<u8>, Packed> {
    match plain.split_first() {
        _ if plain.len() > most => Err(Packed::TooLarge),
        Some((&COMPRESSED, packed)) => up_to(packed, most),
        Some((b'{' | b'[', _)) => Ok(plain),
        _ => Err(Packed::Form),
    }
}

/// No more than so many bytes, whatever it would become.
fn up_to(packed: &[u8], most: usize) -> Result<Vec<u8>, Packed> {
    let failed = |error: &dyn std::fmt::Display| Packed::Zstandard(error.to_string());
    let decoder = StreamingDecoder::new(packed).map_err(|error| failed(&error))?;
    let mut plain = Vec::new();
    let limit = most as u64 + 1;
    decoder.take(limit).read_to_end(&mut plain).map_err(|error| failed(&error))?;
    if plain.len() > most { Err(Packed::TooLarge) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    #[test]
    fn what_was_compressed_is_as_long_as_it_is_to_be_or_refused() {
        let plain = b"a text ".repeat(1_000);
        let packed = compress_to_vec(plain.as_slice(), CompressionLevel::Fastest);
        assert_eq!(exactly(&packed, plain.len()).unwrap(), plain);
        assert!(matches!(exactly(&packed, plain.len() + 1), Err(Packed::Length)));
        assert!(matches!(exactly(&packed, plain.len() - 1), Err(Packed::TooLarge)));
        assert!(exactly(b"nonsense", 8).is_err());
        let mut whole = vec![COMPRESSED];
        whole.extend(&packed);
        assert_eq!(object(whole.clone(), plain.len()).unwrap(), plain);
        assert!(matches!(object(whole, plain.len() - 1), Err(Packed::TooLarge)));
        assert_eq!(object(b"{}".to_vec(), 2).unwrap(), b"{}");
        assert!(matches!(object(b"{}".to_vec(), 1), Err(Packed::TooLarge)));
        assert!(object(vec![], 9).is_err() && object(vec![3], 9).is_err());
    }
}
