//! The tenant that a bundle is of, from the flake in it. The text is somebody else's: it is read as data, by a Nix that sees
//! nothing but it.

use std::time::Duration;

use berth_domain::{BundleRefusal, TenantDraft};
use berth_nix::{Nix, Run};
use serde_json::Value;

/// The file with the specification, in a bundle.
pub(super) const FILE: &str = "configuration/tenant.nix";

/// How long reading it may take.
const LIMIT: Duration = Duration::from_secs(60);

/// The tenant as it is specified there; a number stands in the place of each secret that somebody gave.
pub(super) async fn read(nix: &Nix, text: &str) -> Result<TenantDraft, BundleRefusal> {
    let data = match nix.read_data(text, &Run::within(LIMIT)).await {
        Ok(data) => data,
        Err(error) => return Err(no_specification(format!("{FILE}: {error}"))),
    };
    let (mut value, others) = data.below(&["berth", "tenant"]);
    if let Some((at, why)) = others.first() {
        let at = at.iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        return Err(no_specification(format!("{FILE} holds more than data: {at}: {why}")));
    }
    if let Value::Object(values) = &mut value {
        // Which machine it was on is the old provider's business.
        values.insert("machine".into(), "".into());
    }
    serde_json::from_value(value).map_err(|error| no_specification(format!("{FILE} is no tenant: {error}")))
}

pub(super) fn no_specification(message: String) -> BundleRefusal {
    BundleRefusal { code: "bundle-specification".into(), message, problems: Vec::new() }
}
