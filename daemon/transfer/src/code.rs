//! The short code that both sides show, so that people can see that nobody stands between the two daemons.
//!
//! It is made of the offer, of whether the tenant is to move or only to be tried out, and of both keys, so it differs where
//! somebody else's key is in the place of one, and whoever accepts one of the two has not accepted the other. It has 40 bits:
//! whoever wants another source's code has to try some 2⁴⁰ keys of their own, and can begin only once there is the offer.

use berth_sign::PublicKey;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Crockford's digits (<https://www.crockford.com/base32.html>): without I, L, O and U, which are misread or misheard.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// What the sums begin with, so that they are the sums of nothing else.
const MOVE: &[u8] = b"berth transfer code v1\0";
const REHEARSAL: &[u8] = b"berth rehearsal code v1\0";

/// The code of an offer between two daemons, such as `K7QF-2M9X`, for a move or for a rehearsal of it.
pub fn short_code(offer: Uuid, rehearsal: bool, target: &PublicKey, source: &PublicKey) -> String {
    let sum = Sha256::new()
        .chain_update(if rehearsal { REHEARSAL } else { MOVE })
        .chain_update(offer.as_bytes())
        .chain_update(target.as_bytes())
        .chain_update(source.as_bytes())
        .finalize();
    let bits = sum.iter().take(5).fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte));
    let digit = |place: u32| char::from(DIGITS[(bits >> (5 * place)) as usize & 31]);
    let (first, last): (String, String) =
        ((4..8).rev().map(digit).collect(), (0..4).rev().map(digit).collect());
    format!("{first}-{last}")
}

/// Whether two codes are the same, however somebody wrote them: case, dashes and spaces count for nothing, and what is
/// easily mistaken is what it is mistaken for (I and L are 1, O is 0). What is no code is the same as nothing.
pub fn same_code(a: &str, b: &str) -> bool {
    digits(a).is_some_and(|a| digits(b) == Some(a))
}

/// The eight digits of a code.
fn digits(text: &str) -> Option<[u8; 8]> {
    let written = text.chars().filter(|c| !c.is_whitespace() && !is_dash(*c));
    let digits: Option<Vec<u8>> = written.map(digit).collect();
    digits?.try_into().ok()
}

/// A dash, also one that a word processor has made of it (U+2010 to U+2015).
fn is_dash(c: char) -> bool {
    c == '-' || ('\u{2010}'..='\u{2015}').contains(&c)
}

fn digit(c: char) -> Option<u8> {
    let digit = match c.to_ascii_uppercase() {
        'I' | 'L' => b'1',
        'O' => b'0',
        other => u8::try_from(other).ok()?,
    };
    DIGITS.contains(&digit).then_some(digit)
}
