//! What a bundle says of itself: at its beginning, in the manifest's first and last line, and in the signature.

use berth_sign::{Jwk, KeyId, PublicKey, Sha256Hex, seconds};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The first entry.
pub const ABOUT: &str = "bundle.json";
/// The last member but one.
pub const MANIFEST: &str = "manifest.jsonl";
/// The last member.
pub const SIGNATURE: &str = "manifest.jws";
/// The `typ` of the signature.
pub const SIGNATURE_TYPE: &str = "berth-bundle+jws";

/// What everything that a bundle says of itself begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// `bundle.json`, and what is signed.
    #[serde(rename = "berth-bundle")]
    Bundle,
    /// The manifest.
    #[serde(rename = "berth-bundle-manifest")]
    Manifest,
}

/// What a bundle is of: the first entry, `bundle.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Always [`Format::Bundle`].
    pub format: Format,
    /// The format's version: [`VERSION`].
    pub version: u32,
    /// The tenant's name.
    pub tenant: String,
    /// The provider's name, for people.
    pub provider: String,
    /// When it was begun, to the second.
    #[serde(with = "seconds")]
    pub created: DateTime<Utc>,
}

impl About {
    /// What is written of a tenant.
    pub fn new(tenant: impl Into<String>, provider: impl Into<String>, created: DateTime<Utc>) -> Self {
        let created = DateTime::from_timestamp(created.timestamp(), 0).unwrap_or(created);
        let (tenant, provider) = (tenant.into(), provider.into());
        Self { format: Format::Bundle, version: VERSION, tenant, provider, created }
    }

    /// As it stands in the bundle.
    pub(crate) fn text(&self) -> Result<Vec<u8>, serde_json::Error> {
        line(self)
    }
}

/// A service that the bundle holds data of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceAbout {
    /// Its name, which is that of its folder under `services/`.
    pub name: String,
    /// The version that its data is of, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_version: Option<String>,
}

/// Who signs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The provider's name, for people.
    pub provider: String,
    /// What its key is called.
    pub key_id: KeyId,
    /// The key.
    pub public_key: Jwk,
}

impl Signer {
    pub(crate) fn of(provider: &str, key: &PublicKey) -> Self {
        Self { provider: provider.to_owned(), key_id: key.id(), public_key: Jwk::of(key) }
    }
}

/// The manifest's first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Always [`Format::Manifest`].
    pub format: Format,
    /// The format's version: [`VERSION`].
    pub version: u32,
    /// The tenant's name.
    pub tenant: String,
    /// When the bundle was begun.
    #[serde(with = "seconds")]
    pub created: DateTime<Utc>,
    /// Who signs.
    pub signer: Signer,
    /// The services, in the order of their names.
    pub services: Vec<ServiceAbout>,
}

impl Head {
    /// What the first entry says, according to this.
    pub(crate) fn about(&self) -> About {
        About::new(&self.tenant, &self.signer.provider, self.created)
    }
}

/// The manifest's last line: how much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// How many entries.
    pub entries: u64,
    /// How many of them are files.
    pub files: u64,
    /// How many of them are folders.
    pub directories: u64,
    /// How many of them are symbolic links.
    pub symlinks: u64,
    /// How many bytes all files have together.
    pub bytes: u64,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Always [`Format::Bundle`].
    pub format: Format,
    /// The format's version: [`VERSION`].
    pub version: u32,
    /// The tenant's name.
    pub tenant: String,
    /// When the bundle was begun.
    #[serde(with = "seconds")]
    pub created: DateTime<Utc>,
    /// The manifest.
    pub manifest: ManifestSum,
}

/// Which manifest is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestSum {
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Sha256Hex,
}

/// A value as a line of JSON.
pub(crate) fn line(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}
