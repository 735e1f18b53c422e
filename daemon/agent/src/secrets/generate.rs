//! What a new secret holds.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use berth_domain::manifest::{Generator, Secret};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::vapid;
use crate::failure::{Result, bad_manifest};

/// How many random bytes or characters a secret may have.
const LENGTH: RangeInclusive<usize> = 8..=4096;

/// Letters and digits: 62, so a byte below 248 tells one of them, each equally often.
const ALPHANUMERIC: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Refuses a length that would make the secret weak or its file large.
pub(super) fn check(secret: &Secret) -> Result<()> {
    let length = match &secret.generate {
        Generator::Hex { bytes, .. } | Generator::Base64 { bytes, .. } | Generator::Base64Url { bytes } => {
            *bytes
        }
        Generator::Alphanumeric { length } => *length,
        Generator::VapidPrivate
        | Generator::VapidPublic { .. }
        | Generator::Template { .. }
        | Generator::Supplied { .. }
        | Generator::Service => return Ok(()),
    };
    if LENGTH.contains(&length) {
        return Ok(());
    }
    let (least, most) = (LENGTH.start(), LENGTH.end());
    Err(bad_manifest(format!("{} must have {least} to {most} random bytes or characters", secret.path)))
}

/// A new secret; nothing for those that are not made of randomness alone.
pub(super) fn generate(generator: &Generator) -> std::io::Result<Option<SecretString>> {
    let text = match generator {
        Generator::Hex { bytes, prefix } => prefix.clone() + &hex(&random(*bytes)?),
        Generator::Base64 { bytes, prefix } => prefix.clone() + &STANDARD.encode(&*random(*bytes)?),
        Generator::Base64Url { bytes } => URL_SAFE_NO_PAD.encode(&*random(*bytes)?),
        Generator::Alphanumeric { length } => alphanumeric(*length)?,
        Generator::VapidPrivate => return vapid::private().map(Some),
        Generator::VapidPublic { .. }
        | Generator::Template { .. }
        | Generator::Supplied { .. }
        | Generator::Service => return Ok(None),
    };
    Ok(Some(SecretString::from(text)))
}

pub(super) fn random(bytes: usize) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random)?;
    Ok(random)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn alphanumeric(length: usize) -> std::io::Result<String> {
    let mut text = String::with_capacity(length);
    while text.len() < length {
        let fair = |byte: &&u8| usize::from(**byte) < 4 * ALPHANUMERIC.len();
        let chars = random(length)?;
        let chars = chars
            .iter()
            .filter(fair)
            .map(|byte| char::from(ALPHANUMERIC[usize::from(*byte) % ALPHANUMERIC.len()]));
        text.extend(chars.take(length - text.len()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    fn made(generator: &Generator) -> String {
        generate(generator).unwrap().unwrap().expose_secret().to_owned()
    }

    #[test]
    fn generated_secrets_are_as_long_as_asked_and_never_the_same() {
        let hex = Generator::Hex { bytes: 8, prefix: "GK".into() };
        assert!(made(&hex).len() == 18 && made(&hex).starts_with("GK"));
        let base64 = Generator::Base64 { bytes: 33, prefix: "base64:".into() };
        assert_eq!(made(&base64).len(), 7 + 44);
        assert_ne!(made(&base64), made(&base64));
        assert_eq!(made(&Generator::Base64Url { bytes: 32 }).len(), 43);
    }

    #[test]
    fn every_letter_and_digit_is_as_likely_as_any_other() {
        let text = made(&Generator::Alphanumeric { length: 4096 });
        assert_eq!(text.len(), 4096);
        for letter in ALPHANUMERIC {
            // 66 are to be expected; fewer than 16 or more than 150 come once in a billion runs.
            let count = text.bytes().filter(|byte| byte == letter).count();
            assert!((16..150).contains(&count), "{}: {count}", char::from(*letter));
        }
    }
}
