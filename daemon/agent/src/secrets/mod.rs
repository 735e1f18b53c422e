//! The files that services read their secrets from.
//!
//! A secret is generated on the machine that uses it, once, where its file does not exist. It passes through this
//! process's memory and the file, and through nothing else. Secrets that are made from others are written anew when
//! those changed.
//!
//! Its owner may not exist yet: users are made by the activation that needs the secret. Until then the file belongs
//! to root and nobody else can read it; [`settle`] hands it over as soon as the owner is there.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Component, Path};

use berth_domain::Manifest;
use berth_domain::manifest::{Generator, Secret, ServiceManifest};
use berth_protocol::GivenSecret;
use secrecy::{ExposeSecret as _, SecretString};

use crate::accounts::Accounts;
use crate::failure::{Result, bad_manifest, io};
use crate::files::Draft;

mod adopt;
mod changes;
mod derived;
mod generate;
mod vapid;

pub(crate) use adopt::{adopt, of};
pub(crate) use changes::{Change, changes};

/// Makes every secret that does not exist, then gives all of them to their owners. Returns a sentence for each
/// whose owner does not exist.
pub(crate) fn ensure(manifest: &Manifest) -> Result<Vec<String>> {
    for (_, secret) in all(manifest) {
        check(secret)?;
    }
    for (service, contract) in &manifest.services {
        make_all(service.as_str(), contract)?;
    }
    settle(manifest)
}

/// Puts secrets in place that somebody gave. They belong to root until [`settle`] hands them over.
pub(crate) fn bring(manifest: &Manifest, given: &[GivenSecret]) -> Result<()> {
    for given in given {
        let name = format!("{}/{}", given.service, given.name);
        let mut wanted = all(manifest).filter(|(full, _)| *full == name).map(|(_, secret)| secret);
        let secret = wanted.next().filter(|secret| matches!(secret.generate, Generator::Supplied { .. }));
        let secret = secret.ok_or_else(|| bad_manifest(format!("it has no secret {name} that is given")))?;
        check(secret)?;
        let value = SecretString::from(given.value.expose());
        let found = derived::read(secret).map_err(io(format!("cannot read the secret {name}")))?;
        if found.is_none_or(|found| found.expose_secret() != value.expose_secret()) {
            let written = draft(secret, &value).and_then(Draft::replace);
            written.map_err(io(format!("cannot write the secret {name} at {}", secret.path)))?;
        }
    }
    Ok(())
}

/// Makes a service's secrets in their order, as later ones may be made of earlier ones.
fn make_all(service: &str, contract: &ServiceManifest) -> Result<()> {
    let mut known = derived::Known::new();
    for secret in handled(contract) {
        let problem = io(format!("cannot make the secret {service}/{} at {}", secret.name, secret.path));
        let value = make(secret, &known).map_err(problem)?;
        known.insert(secret.name.clone(), value);
    }
    Ok(())
}

/// Makes a secret unless it is there and is what it must be; returns it.
fn make(secret: &Secret, known: &derived::Known) -> std::io::Result<SecretString> {
    let found = derived::read(secret)?;
    match (found, derived::derive(&secret.generate, known)?) {
        (Some(found), None) => Ok(found),
        (Some(found), Some(wanted)) if found.expose_secret() == wanted.expose_secret() => Ok(found),
        (_, Some(wanted)) => {
            draft(secret, &wanted)?.replace()?;
            Ok(wanted)
        }
        (None, None) => generated(secret),
    }
}

fn generated(secret: &Secret) -> std::io::Result<SecretString> {
    let Some(new) = generate::generate(&secret.generate)? else {
        return Err(std::io::Error::new(ErrorKind::NotFound, "nobody has brought it"));
    };
    // Whoever else made it meanwhile: theirs stays.
    if draft(secret, &new)?.appear()? {
        return Ok(new);
    }
    derived::read(secret)?.ok_or_else(|| ErrorKind::NotFound.into())
}

/// A draft that belongs to its owner already, where there is one: a secret that is replaced is never without its reader.
fn draft(secret: &Secret, value: &SecretString) -> std::io::Result<Draft> {
    draft_at(Path::new(&secret.path), secret, value)
}

/// The same under another name.
fn draft_at(path: &Path, secret: &Secret, value: &SecretString) -> std::io::Result<Draft> {
    let mut draft = Draft::of(path)?;
    draft.file.write_all(value.expose_secret().as_bytes())?;
    draft.file.set_permissions(Permissions::from_mode(0o400))?;
    give(&draft.file, secret, &Accounts::read())?;
    Ok(draft)
}

/// Gives every secret to its owner. Returns a sentence for each whose owner does not exist.
pub(crate) fn settle(manifest: &Manifest) -> Result<Vec<String>> {
    let accounts = Accounts::read();
    let mut ownerless = Vec::new();
    for (name, secret) in all(manifest) {
        let problem = io(format!("cannot hand over the secret {name} at {}", secret.path));
        if !hand_over(secret, &accounts).map_err(problem)? {
            let (owner, group) = (&secret.owner, &secret.group);
            ownerless.push(format!(
                "the secret {name} belongs to root: there is no user {owner} or no group {group}"
            ));
        }
    }
    Ok(ownerless)
}

/// Every secret that is ours to make, with its full name, such as `gitea/secret_key`.
pub(crate) fn all(manifest: &Manifest) -> impl Iterator<Item = (String, &Secret)> {
    let services = manifest.services.iter();
    services.flat_map(|(service, contract)| {
        handled(contract).map(move |secret| (format!("{service}/{}", secret.name), secret))
    })
}

/// Removes the values that were given before those which a committed system reads. The systems before it needed them until
/// then; one that is gone back to later is brought its own again.
pub(crate) fn remove_other_values(manifest: &Manifest) {
    for path in all(manifest).flat_map(|(_, secret)| other_values(secret)) {
        // The next commit tries again.
        let _ = std::fs::remove_file(path);
    }
}

/// The files of a given secret's other values: each has its own, named with the value's number.
pub(crate) fn other_values(secret: &Secret) -> Vec<String> {
    let (Generator::Supplied { version, .. }, path) = (&secret.generate, Path::new(&secret.path)) else {
        return Vec::new();
    };
    let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(&version.to_string()));
    let (Some(stem), Some(folder)) = (stem, path.parent()) else { return Vec::new() };
    let is_other = |name: &str| {
        let number = name.strip_prefix(stem).and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number != *version)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let others = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_other));
    others.filter_map(|entry| entry.path().to_str().map(str::to_owned)).collect()
}

/// A service's secrets but for those that it makes itself, which belong to its directories.
fn handled(contract: &ServiceManifest) -> impl Iterator<Item = &Secret> {
    contract.secrets.iter().filter(|secret| secret.generate != Generator::Service)
}

/// Refuses what must not be written: a path that is not a plain one, or one in the store, which everybody can read.
fn check(secret: &Secret) -> Result<()> {
    let path = Path::new(&secret.path);
    let plain = path.is_absolute()
        && !secret.path.ends_with('/')
        && path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    if !plain || path.starts_with("/nix") {
        return Err(bad_manifest(format!("a secret cannot stand at “{}”", secret.path)));
    }
    generate::check(secret)?;
    mode(secret).map(|_| ())
}

fn mode(secret: &Secret) -> Result<u32> {
    let mode = u32::from_str_radix(&secret.mode, 8).ok().filter(|mode| mode & !0o770 == 0);
    mode.ok_or_else(|| bad_manifest(format!("{}: “{}” is no mode for a secret", secret.path, secret.mode)))
}

/// Gives a secret's file its owner, group and mode; tells whether they exist. The file is opened first and never
/// through a link, so that what is changed is what was looked at.
fn hand_over(secret: &Secret, accounts: &Accounts) -> std::io::Result<bool> {
    give(&derived::open(Path::new(&secret.path))?, secret, accounts)
}

fn give(file: &File, secret: &Secret, accounts: &Accounts) -> std::io::Result<bool> {
    let found = file.metadata()?;
    let (Some(user), Some(group)) = (accounts.user(&secret.owner), accounts.group(&secret.group)) else {
        return Ok(false);
    };
    if (found.uid(), found.gid()) != (user, group) {
        fchown(file, Some(user), Some(group))?;
    }
    let mode = mode(secret).map_err(|failure| std::io::Error::other(failure.message))?;
    if found.mode() & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of the user or group that the tests run as.
    fn own(option: &str) -> String {
        let output = std::process::Command::new("id").arg(option).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn manifest(secret: serde_json::Value) -> Manifest {
        let mut whole = serde_json::json!({ "name": "key", "owner": own("-un"), "group": own("-gn"), "mode": "0440",
            "generate": { "kind": "hex", "bytes": 32 },
            "purpose": "Signs.", "readers": [], "loss": "data" });
        whole.as_object_mut().unwrap().extend(secret.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({ "version": 1, "platform": "rehearsal", "tenant": "acme",
            "mode": "active", "services": { "gitea": { "title": "Gitea", "url": "http://git.acme.example",
            "units": [], "probes": [], "state": {}, "secrets": [whole] } } }))
        .unwrap()
    }

    fn at(path: &Path) -> Manifest {
        manifest(serde_json::json!({ "path": path }))
    }

    #[test]
    fn a_missing_secret_is_generated_once_with_its_owner_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets/gitea/key");
        assert!(ensure(&at(&path)).unwrap().is_empty());
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(first.len(), 64);
        assert!(first.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase()));
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o440);
        assert_eq!(path.parent().unwrap().metadata().unwrap().mode() & 0o7777, 0o711);
        ensure(&at(&path)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first, "a second run must keep it");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_secret_whose_owner_does_not_exist_yet_is_roots_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let manifest =
            manifest(serde_json::json!({ "path": path, "owner": "berth-nobody-yet", "mode": "0440" }));
        let ownerless = ensure(&manifest).unwrap();
        assert!(
            ownerless[0].contains("gitea/key") && ownerless[0].contains("berth-nobody-yet"),
            "{ownerless:?}"
        );
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o400);
    }

    #[test]
    fn what_is_made_of_other_secrets_follows_them() {
        let folder = tempfile::tempdir().unwrap();
        let (key, file) = (folder.path().join("key"), folder.path().join("environment"));
        let mut manifest = at(&key);
        let secrets = &mut manifest.services.values_mut().next().unwrap().secrets;
        let mut template = secrets[0].clone();
        template.name = "environment".into();
        template.path = file.to_str().unwrap().into();
        template.generate = Generator::Template { text: "KEY={{key}}\n".into() };
        secrets.push(template);
        ensure(&manifest).unwrap();
        let first = std::fs::read_to_string(&key).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("KEY={first}\n"));
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&key, "other").unwrap();
        ensure(&manifest).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "KEY=other\n");
        assert_eq!(file.metadata().unwrap().mode() & 0o7777, 0o440);
    }

    #[test]
    fn every_value_that_was_given_is_known_by_its_number() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["key-1", "key-2", "key-10", "key-x", "other-1"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let generate = serde_json::json!({ "kind": "supplied", "setting": "/key", "version": 2 });
        let manifest =
            manifest(serde_json::json!({ "path": folder.path().join("key-2"), "generate": generate }));
        let (_, secret) = all(&manifest).next().unwrap();
        let mut others = other_values(secret);
        others.sort();
        let expected = ["key-1", "key-10"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        assert_eq!(others, expected);
        remove_other_values(&manifest);
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["key-2", "key-x", "other-1"]);
    }

    #[test]
    fn what_the_service_makes_itself_is_left_to_it_and_what_nobody_brought_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let with = |generate| manifest(serde_json::json!({ "path": path, "generate": generate }));
        assert!(ensure(&with(serde_json::json!({ "kind": "service" }))).unwrap().is_empty());
        assert!(!path.exists());
        let supplied = serde_json::json!({ "kind": "supplied", "setting": "/smtp/password", "version": 1 });
        let manifest = with(supplied);
        assert!(ensure(&manifest).unwrap_err().message.contains("nobody has brought it"));
        let given = |name: &str, value: &str| GivenSecret {
            service: "gitea".into(),
            name: name.into(),
            value: SecretString::from(value).into(),
        };
        bring(&manifest, &[given("key", "one")]).unwrap();
        bring(&manifest, &[given("key", "two")]).unwrap();
        ensure(&manifest).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o440);
        let refused = bring(&manifest, &[given("other", "hunter2")]).unwrap_err();
        assert!(refused.message.contains("gitea/other") && !refused.message.contains("hunter2"), "{refused}");
    }

    #[test]
    fn paths_modes_and_lengths_that_would_weaken_a_secret_are_refused() {
        for bad in [
            serde_json::json!({ "path": "/nix/store/x" }),
            serde_json::json!({ "path": "relative" }),
            serde_json::json!({ "path": "/var/lib/../../etc/shadow" }),
            serde_json::json!({ "path": "/var/lib/x/" }),
            serde_json::json!({ "path": "/var/lib/x", "mode": "0444" }),
            serde_json::json!({ "path": "/var/lib/x", "mode": "rw" }),
            serde_json::json!({ "path": "/var/lib/x", "generate": { "kind": "hex", "bytes": 1 } }),
        ] {
            assert!(ensure(&manifest(bad.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_link_in_a_secrets_place_is_refused_and_what_it_leads_to_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("key"));
        std::fs::write(&target, "x").unwrap();
        std::fs::set_permissions(&target, Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let failure = ensure(&at(&link)).unwrap_err();
        assert!(failure.message.contains("gitea/key"), "{failure}");
        assert_eq!(target.metadata().unwrap().mode() & 0o7777, 0o644);
    }
}
