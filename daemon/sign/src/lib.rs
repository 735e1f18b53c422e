//! Signatures that anybody can check with what they have: a compact JWS (RFC 7515) with Ed25519 (RFC 8037), made and read
//! strictly.
//!
//! What is signed says what it is: its `typ`. A signature for one purpose is none for another, so one key serves for
//! bundles, for the manifests of a migration and for countersignatures.
//!
//! | module | subject |
//! | --- | --- |
//! | [`key`] | [`SigningKey`]: kept in a file that its user alone can read; [`PublicKey`] and its [`KeyId`] |
//! | [`jwk`] | public keys as JSON (RFC 7517), and their thumbprints (RFC 7638) |
//! | [`jws`] | signing, and verifying with a key that is known or that comes with the signature |
//! | [`trust`] | [`TrustedKeys`]: whose signatures count |
//! | [`sum`], [`seconds`] | sums and instants as the signed texts write them |
//! | [`countersign`] | [`Countersignature`]: somebody has seen a manifest, in a role, at a time |

pub mod countersign;
pub mod error;
pub mod jwk;
pub mod jws;
pub mod key;
mod key_file;
pub mod seconds;
pub mod sum;
pub mod trust;

pub use countersign::Countersignature;
pub use error::{JwsError, KeyError};
pub use jwk::Jwk;
pub use jws::{Signed, verify, verify_embedded};
pub use key::{KeyId, PublicKey, SigningKey};
pub use sum::Sha256Hex;
pub use trust::TrustedKeys;
