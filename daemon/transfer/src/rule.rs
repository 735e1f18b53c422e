//! Rules that are kept as soon as a statement is read; for `#[serde(deserialize_with = …)]`.

use berth_sign::Sha256Hex;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

/// An age recipient.
pub(crate) fn recipient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    berth_seal::check_recipient(&text).map_err(|_| D::Error::custom("the recipient is no age recipient"))?;
    Ok(text)
}

/// A restic snapshot's whole id. It becomes an argument of restic's, so it is nothing else.
pub(crate) fn snapshot<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse::<Sha256Hex>().map_err(|_| D::Error::custom("a snapshot’s id is 64 hexadecimal digits"))?;
    Ok(text)
}

/// Something of which everything is known. Types that pass over what they do not know would let something by, such as a
/// part of a fingerprint that is not compared, and nobody would notice.
pub(crate) fn whole<'de, D: Deserializer<'de>, T: DeserializeOwned + Serialize>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    let read: T = serde_json::from_value(value.clone()).map_err(D::Error::custom)?;
    if serde_json::to_value(&read).is_ok_and(|known| known == value) {
        Ok(read)
    } else {
        Err(D::Error::custom("it holds something that is not known here"))
    }
}
