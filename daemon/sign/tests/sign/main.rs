//! What signatures promise.
#![allow(clippy::unwrap_used)]

mod files;
mod jws;
mod vectors;

use berth_sign::SigningKey;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}
