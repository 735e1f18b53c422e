//! Secrets that a service takes along when it moves to another machine: what it signed and encrypted there must stay readable
//! here.

use berth_domain::Manifest;
use berth_domain::manifest::Loss;
use berth_protocol::{Claim, FailureCode, GivenSecret};
use secrecy::{ExposeSecret as _, SecretString};

use super::derived::{self, LONGEST};
use super::{all, check, draft, ensure};
use crate::failure::{Result, bad_manifest, failure, io};
use crate::fence;
use crate::files::Draft;
use crate::system::System;

/// The values of those secrets of a system that are made of chance and whose loss would cost something. Those that are made of
/// others follow from them, those that somebody gave are known to whoever did, and those that a service made itself are in its
/// directories.
pub(crate) fn of(claim: &Claim, path: &str) -> Result<Vec<GivenSecret>> {
    let manifest = System::open(path)?.manifest()?;
    fence::check(claim)?;
    values(&manifest)
}

fn values(manifest: &Manifest) -> Result<Vec<GivenSecret>> {
    let mut values = Vec::new();
    for (full, secret) in
        all(manifest).filter(|(_, secret)| secret.generate.is_by_chance() && secret.loss != Loss::Nothing)
    {
        check(secret)?;
        let value = derived::read(secret).map_err(io(format!("cannot read the secret {full}")))?;
        let missing = || failure(FailureCode::Io, format!("the secret {full} does not exist"));
        let service = full.split('/').next().unwrap_or_default().to_owned();
        values.push(GivenSecret {
            service,
            name: secret.name.clone(),
            value: value.ok_or_else(missing)?.into(),
        });
    }
    Ok(values)
}

/// Puts such secrets in place of those that this machine made or would make, then makes what follows from them. All are
/// checked before the first is written.
pub(crate) fn adopt(claim: &Claim, path: &str, secrets: &[GivenSecret]) -> Result<()> {
    let manifest = System::open(path)?.manifest()?;
    fence::check(claim)?;
    put(&manifest, secrets)
}

fn put(manifest: &Manifest, given: &[GivenSecret]) -> Result<()> {
    let mut wanted = Vec::new();
    for given in given {
        let full = format!("{}/{}", given.service, given.name);
        let secret = all(manifest).find(|(name, secret)| *name == full && secret.generate.is_by_chance());
        let (_, secret) =
            secret.ok_or_else(|| bad_manifest(format!("it has no secret {full} that is generated")))?;
        check(secret)?;
        if given.value.expose().is_empty() || given.value.expose().len() as u64 > LONGEST {
            return Err(failure(FailureCode::BadCall, format!("/secrets: {full} is empty or too long")));
        }
        wanted.push((full, secret, SecretString::from(given.value.expose())));
    }
    for (full, secret, value) in wanted {
        let found = derived::read(secret).map_err(io(format!("cannot read the secret {full}")))?;
        if found.is_none_or(|found| found.expose_secret() != value.expose_secret()) {
            let written = draft(secret, &value).and_then(Draft::replace);
            written.map_err(io(format!("cannot write the secret {full} at {}", secret.path)))?;
        }
    }
    ensure(manifest).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::path::Path;

    fn own(option: &str) -> String {
        let output = std::process::Command::new("id").arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A key, a public key that follows from another, a text that the key is in, and one that nobody would miss.
    fn machine(folder: &Path) -> Manifest {
        let secret = |name: &str, loss: &str, generate: Value| {
            json!({ "name": name, "path": folder.join(name), "owner": own("-un"), "group": own("-gn"), "mode": "0400",
                "generate": generate, "purpose": "Signs.", "readers": [], "loss": loss })
        };
        let secrets = json!([
            secret("key", "data", json!({ "kind": "hex", "bytes": 32 })),
            secret("push", "sessions", json!({ "kind": "vapid_private" })),
            secret("push-public", "sessions", json!({ "kind": "vapid_public", "of": "push" })),
            secret("environment", "data", json!({ "kind": "template", "text": "KEY={{key}}\n" })),
            secret("cookie", "nothing", json!({ "kind": "hex", "bytes": 32 })),
        ]);
        serde_json::from_value(json!({ "version": 1, "platform": "rehearsal", "tenant": "acme", "mode": "active",
            "services": { "web": { "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [],
            "state": {}, "secrets": secrets } } }))
        .unwrap()
    }

    #[test]
    fn what_cannot_be_made_again_is_taken_over_and_what_follows_from_it_is_the_same_then() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (source, target) = (machine(here.path()), machine(there.path()));
        ensure(&source).unwrap();
        ensure(&target).unwrap();
        let values = values(&source).unwrap();
        assert_eq!(values.iter().map(|given| given.name.as_str()).collect::<Vec<_>>(), ["key", "push"]);
        assert!(!format!("{values:?}").contains(&std::fs::read_to_string(here.path().join("key")).unwrap()));
        put(&target, &values).unwrap();
        let read = |folder: &Path, name| std::fs::read_to_string(folder.join(name)).unwrap();
        for name in ["key", "push", "push-public", "environment"] {
            assert_eq!(read(here.path(), name), read(there.path(), name), "{name}");
        }
        assert_ne!(read(here.path(), "cookie"), read(there.path(), "cookie"));
    }

    #[test]
    fn nothing_is_written_where_one_of_them_is_not_known() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = machine(folder.path());
        let given = |name: &str, value: &str| GivenSecret {
            service: "web".into(),
            name: name.into(),
            value: SecretString::from(value).into(),
        };
        for bad in [given("other", "hunter2"), given("environment", "hunter2"), given("push", "")] {
            let failure = put(&manifest, &[given("key", "new"), bad]).unwrap_err();
            assert!(failure.message.contains("web/") && !failure.message.contains("hunter2"), "{failure}");
            assert!(!folder.path().join("key").exists());
        }
    }
}
