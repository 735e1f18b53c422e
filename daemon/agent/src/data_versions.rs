//! Which version of each service wrote its data last, so that an older one is not put on top of it.

use std::collections::BTreeMap;
use std::path::Path;

use berth_domain::manifest::DataVersion;
use berth_domain::{Manifest, ServiceName};
use berth_protocol::FailureCode;

use crate::failure::{Result, failure};
use crate::files::{json_if_any, write_json};
use crate::places::DATA_VERSIONS;

type Versions = BTreeMap<ServiceName, DataVersion>;

/// Refuses a system of which a service is older than its data. A version that is not known is no hindrance.
pub(crate) fn check(manifest: &Manifest) -> Result<()> {
    check_against(manifest, &read(Path::new(DATA_VERSIONS))?)
}

fn check_against(manifest: &Manifest, known: &Versions) -> Result<()> {
    let older = manifest.services.iter().find_map(|(service, contract)| {
        let (found, version) = (known.get(service)?, contract.data_version.as_ref()?);
        (found > version).then_some((service, found, version))
    });
    let Some((service, found, version)) = older else { return Ok(()) };
    let message = format!(
        "the data of {service} is of version {found}, and this system's {service} only reads it up to {version}; \
         bring back a snapshot of that time first"
    );
    Err(failure(FailureCode::DataNewer, message))
}

/// Notes what a committed system's services have written.
pub(crate) fn remember(manifest: &Manifest) -> Result<()> {
    remember_in(Path::new(DATA_VERSIONS), manifest)
}

fn remember_in(path: &Path, manifest: &Manifest) -> Result<()> {
    let known = read(path)?;
    let mut now = known.clone();
    for (service, contract) in &manifest.services {
        if let Some(version) = &contract.data_version {
            now.insert(service.clone(), version.clone());
        }
    }
    if now == known {
        return Ok(());
    }
    write_json(path, &now)
}

fn read(path: &Path) -> Result<Versions> {
    Ok(json_if_any(path)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(version: Option<&str>) -> Manifest {
        serde_json::from_value(serde_json::json!({ "version": 1, "platform": "nixos", "tenant": "acme",
            "mode": "active", "services": { "mastodon": { "title": "Mastodon", "url": "http://social.acme.example",
            "units": [], "probes": [], "state": {}, "data_version": version } } }))
        .unwrap()
    }

    #[test]
    fn an_older_version_is_not_put_on_newer_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("versions.json");
        let check = |version| check_against(&manifest(version), &read(&path).unwrap());
        check(Some("4.2")).unwrap();
        remember_in(&path, &manifest(Some("4.3"))).unwrap();
        check(Some("4.3")).unwrap();
        check(Some("4.10")).unwrap();
        let failure = check(Some("4.2")).unwrap_err();
        assert_eq!(failure.code, FailureCode::DataNewer);
        assert!(failure.message.contains("mastodon is of version 4.3"), "{failure}");
        remember_in(&path, &manifest(None)).unwrap();
        check(None).unwrap();
        check(Some("4.2")).unwrap_err();
    }
}
