//! A repository's keys, by its password: whoever made it. (restic's design, “Keys, Encryption and MAC”.)

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::OffsiteError;
use crate::init::sealed::{KEY_BYTES, Keys};
use crate::object::{Key, Kind};
use crate::reader::{ReadError, Source};
use crate::storage::{Part, StorageError};

/// How many keys are tried, as restic itself does.
const MOST_KEYS: usize = 20;

/// How much memory a key may ask for when it is tried, as a power of two of 128-byte blocks: 256 MiB. restic's own ask for 32 MiB.
const MOST_MEMORY: u64 = 1 << 21;

/// How much work, in the same blocks. restic's own ask for half a second of it, which is a quarter of this.
const MOST_WORK: u64 = 1 << 23;

/// A file in `keys/`.
#[derive(Deserialize)]
struct Written {
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
    salt: String,
    data: String,
}

/// What it seals.
#[derive(Deserialize)]
struct Sealed {
    mac: Mac,
    encrypt: String,
}

#[derive(Deserialize)]
struct Mac {
    k: String,
    r: String,
}

#[derive(Deserialize)]
struct Config {
    version: u32,
    id: String,
}

/// The repository's keys and its id.
pub(super) fn unlock(source: &Source, password: &SecretString) -> Result<(Keys, String), OffsiteError> {
    let far = |error: StorageError| OffsiteError::far(error.into());
    let config = match source.get(&Key::Config, Part::All) {
        Err(StorageError::NotFound) => return Err(OffsiteError::NoRepository),
        config => config.map_err(far)?,
    };
    let names = source.list(Kind::Keys).map_err(far)?;
    if names.is_empty() {
        return Err(OffsiteError::NoRepository);
    }
    let mut costly = false;
    for name in names.into_iter().take(MOST_KEYS) {
        let file = source.get(&Key::Object(Kind::Keys, name), Part::All).map_err(far)?;
        match opened(password, &file) {
            Ok(Some(keys)) => {
                let id = identity(&keys, &config)?;
                return Ok((keys, id));
            }
            Ok(None) => {}
            Err(Costly) => costly = true,
        }
    }
    if costly {
        return Err(OffsiteError::Unsupported("a key asks for more memory or work than it may".into()));
    }
    Err(OffsiteError::Password)
}

/// A key asks for too much.
struct Costly;

/// What a key holds; nothing where the password does not open it, or it is none.
fn opened(password: &SecretString, file: &[u8]) -> Result<Option<Keys>, Costly> {
    let Some(written) = serde_json::from_slice::<Written>(file).ok().filter(|key| key.kdf == "scrypt") else {
        return Ok(None);
    };
    // scrypt holds N blocks and p more, of r pieces each (RFC 7914).
    let memory = written.n.saturating_add(written.p.into()).saturating_mul(written.r.into());
    if memory > MOST_MEMORY || memory.saturating_mul(written.p.into()) > MOST_WORK {
        return Err(Costly);
    }
    Ok(derive(password, &written))
}

fn derive(password: &SecretString, written: &Written) -> Option<Keys> {
    let log_n = u8::try_from(written.n.checked_ilog2()?).ok().filter(|_| written.n.is_power_of_two())?;
    let params = scrypt::Params::new(log_n, written.r, written.p, KEY_BYTES).ok()?;
    let salt = BASE64.decode(&written.salt).ok()?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(password.expose_secret().as_bytes(), &salt, &params, &mut *bytes).ok()?;
    let plain = Zeroizing::new(Keys::new(bytes).open(&BASE64.decode(&written.data).ok()?)?);
    let sealed: Sealed = serde_json::from_slice(&plain).ok()?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (text, place) in [(&sealed.encrypt, 0..32), (&sealed.mac.k, 32..48), (&sealed.mac.r, 48..64)] {
        let part = Zeroizing::new(BASE64.decode(text).ok()?);
        let place = bytes.get_mut(place)?;
        if part.len() != place.len() {
            return None;
        }
        place.copy_from_slice(&part);
    }
    Some(Keys::new(bytes))
}

/// Which repository it is.
fn identity(keys: &Keys, config: &[u8]) -> Result<String, OffsiteError> {
    let damaged = || OffsiteError::far(ReadError::Damaged("config".into()));
    let plain = keys.open(config).ok_or_else(damaged)?;
    let config: Config = serde_json::from_slice(&plain).map_err(|_| damaged())?;
    let is_an_id = config.id.len() == 64 && config.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match config.version {
        1 | 2 if is_an_id => Ok(config.id),
        1 | 2 => Err(damaged()),
        other => Err(OffsiteError::Unsupported(format!(
            "it is of version {other} of restic's format, and 1 and 2 are known here"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_asks_for_too_much_is_not_tried() {
        let key = |n: u64, r: u32, p: u32| {
            format!(r#"{{"kdf":"scrypt","N":{n},"r":{r},"p":{p},"salt":"AAAA","data":"AAAA"}}"#)
        };
        let tried = |text: String| opened(&"of this test".into(), text.as_bytes());
        for (n, r, p) in [
            (2, 1, 1 << 22),
            (1, 1, 1 << 22),
            (1 << 40, 8, 1),
            (1 << 22, 1, 1),
            (1 << 18, 8, 5),
            (u64::MAX, u32::MAX, u32::MAX),
        ] {
            assert!(tried(key(n, r, p)).is_err(), "{n} {r} {p}");
        }
        // No power of two, nothing at all, and no JSON of a key.
        for text in [key(3, 8, 1), key(2, 8, 1), key(2, 0, 0), "{}".into(), "x".into()] {
            assert!(matches!(tried(text.clone()), Ok(None)), "{text}");
        }
        assert!(matches!(tried(key(0, 8, 1)), Ok(None)));
    }
}
