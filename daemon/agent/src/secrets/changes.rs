//! Secrets that come back from a snapshot: which files they change, those of what is made of them among these. Nothing is written
//! here; the restore exchanges the files together with the state (`state::secrets`).

use std::collections::BTreeMap;
use std::path::Path;

use berth_domain::manifest::{Secret, ServiceManifest};
use berth_protocol::GivenSecret;
use secrecy::{ExposeSecret as _, SecretString};

use super::derived::{self, Known, LONGEST};
use super::{check, draft_at, handled};
use crate::failure::{Result, bad_manifest, io};

/// A secret's file that is to hold something else.
pub(crate) struct Change<'a> {
    /// Its full name, such as `gitea/secret_key`.
    pub(crate) full: String,
    /// What the system says of it.
    pub(crate) secret: &'a Secret,
    value: SecretString,
}

/// What of a service's secrets changes when these come back.
pub(crate) struct Changes<'a> {
    /// In the order in which they are made.
    pub(crate) files: Vec<Change<'a>>,
    /// The names of those that this system does not make of chance any more.
    pub(crate) unknown: Vec<String>,
}

/// Compares what a service's secrets are with what they were: `former` are the service's own alone.
pub(crate) fn changes<'a>(
    service: &str,
    contract: &'a ServiceManifest,
    former: &[&GivenSecret],
) -> Result<Changes<'a>> {
    let former: BTreeMap<&str, &GivenSecret> =
        former.iter().map(|given| (given.name.as_str(), *given)).collect();
    let is_known =
        |name: &str| handled(contract).any(|secret| secret.name == name && secret.generate.is_by_chance());
    let unknown = former.keys().filter(|name| !is_known(name)).map(|name| (*name).to_owned()).collect();
    let (mut files, mut known) = (Vec::new(), Known::new());
    for secret in handled(contract) {
        let full = format!("{service}/{}", secret.name);
        check(secret)?;
        let problem = || io(format!("cannot find out what the secret {full} is to be"));
        let found = derived::read(secret).map_err(problem())?;
        let wanted = match former.get(secret.name.as_str()) {
            Some(given) if secret.generate.is_by_chance() => Some(value(&full, given)?),
            _ => derived::derive(&secret.generate, &known).map_err(problem())?,
        };
        let Some(value) = wanted.or_else(|| found.clone()) else { continue };
        known.insert(secret.name.clone(), value.clone());
        if found.is_none_or(|found| found.expose_secret() != value.expose_secret()) {
            files.push(Change { full, secret, value });
        }
    }
    Ok(Changes { files, unknown })
}

fn value(full: &str, given: &GivenSecret) -> Result<SecretString> {
    let text = given.value.expose();
    if text.is_empty() || text.len() as u64 > LONGEST {
        return Err(bad_manifest(format!("the snapshot's secret {full} is empty or too long")));
    }
    Ok(SecretString::from(text))
}

impl Change<'_> {
    /// Writes the new file under another name, readable to whom the secret's own is.
    pub(crate) fn write_to(&self, path: &Path) -> std::io::Result<()> {
        draft_at(path, self.secret, &self.value)?.replace()
    }
}
