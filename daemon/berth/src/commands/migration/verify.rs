//! `berth migration verify`: whether what two providers have signed holds, by nothing but the two files.

use std::path::Path;

use berth_sign::{Countersignature, PublicKey, verify_embedded};
use berth_transfer::view::TARGET;
use berth_transfer::{Manifest, Statement as _, brief};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::super::input;
use super::said;
use crate::args::migration::Verify;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// Whether all of it holds.
    pub(super) holds: bool,
    /// What the source signed, where that can be read.
    pub(super) manifest: Option<SignedManifest>,
    /// What the target signed, where that can be read.
    pub(super) countersignature: Option<SignedReceipt>,
    /// What does not hold.
    pub(super) problems: Vec<String>,
}

/// A manifest whose signature holds.
#[derive(Debug, Serialize)]
pub(super) struct SignedManifest {
    /// The thumbprint of the key that it is signed with.
    pub(super) key: String,
    /// What it says.
    #[serde(flatten)]
    pub(super) said: Manifest,
}

/// A countersignature that holds.
#[derive(Debug, Serialize)]
pub(super) struct SignedReceipt {
    /// The thumbprint of the key that it is made with.
    pub(super) key: String,
    /// As what.
    pub(super) role: String,
    /// When.
    pub(super) at: DateTime<Utc>,
}

pub(in super::super) fn run(options: &Verify, output: Output) -> Result<()> {
    let manifest = jws(&options.manifest)?;
    let countersignature = jws(&options.countersignature)?;
    let verdict = judge(&manifest, &countersignature, options);
    output.result(&verdict, said::verdict);
    if verdict.holds { Ok(()) } else { Err(Failure::NotProven) }
}

/// A signature of a file, without the line break that editors end files with.
fn jws(file: &Path) -> Result<String> {
    input::text(file).map(|text| text.trim().to_owned())
}

fn judge(manifest: &str, countersignature: &str, options: &Verify) -> Verdict {
    let mut problems = Vec::new();
    let moved = read_manifest(manifest).map_err(|error| problems.push(format!("the manifest: {error}"))).ok();
    let receipt = Countersignature::verify(countersignature);
    let receipt = receipt.map_err(|error| problems.push(format!("the countersignature: {error}"))).ok();
    let source = moved.as_ref().map(|(_, key)| *key);
    let target = receipt.as_ref().map(|(_, key)| *key);
    if let Some((receipt, _)) = &receipt {
        problems.extend(foreign(receipt, manifest));
    }
    if source.is_some() && source == target {
        problems.push("both are signed with the same key, so that nobody else has seen it".into());
    }
    problems.extend(other_key("the manifest", source, options.source_key.as_deref()));
    problems.extend(other_key("the countersignature", target, options.target_key.as_deref()));
    Verdict {
        holds: problems.is_empty(),
        manifest: moved.map(|(said, key)| SignedManifest { key: key.id().to_string(), said }),
        countersignature: receipt.map(|(said, key)| SignedReceipt {
            key: key.id().to_string(),
            role: said.role,
            at: said.at,
        }),
        problems,
    }
}

fn read_manifest(jws: &str) -> std::result::Result<(Manifest, PublicKey), String> {
    let signed = verify_embedded(jws, Manifest::TYP).map_err(|error| error.to_string())?;
    let manifest = serde_json::from_slice(&signed.payload)
        .map_err(|error| format!("it is signed, and cannot be read: {}", brief(&error.to_string())))?;
    Ok((manifest, signed.key))
}

/// Whether a countersignature is of something else, or says something else, than a target's.
fn foreign(receipt: &Countersignature, manifest: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if receipt.manifest_sha256 != Manifest::sum(manifest) {
        problems.push("the countersignature is of another manifest".to_owned());
    }
    if receipt.role != TARGET {
        problems
            .push("the countersignature is not a target’s: it does not say that anybody serves".to_owned());
    }
    problems
}

fn other_key(what: &str, found: Option<PublicKey>, wanted: Option<&str>) -> Option<String> {
    let (found, wanted) = (found?.id(), wanted?);
    (found.as_str() != wanted)
        .then(|| format!("{what} is signed with the key {found}, and not with {wanted}"))
}
