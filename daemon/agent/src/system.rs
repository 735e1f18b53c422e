//! A system in the store, and its manifest.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use berth_domain::Manifest;
use berth_domain::manifest::MANIFEST_PATH;
use berth_protocol::{Failure, FailureCode, StorePath};

use crate::failure::{Result, bad_manifest, failure, io};

/// The manifest's format that this agent obeys.
const MANIFEST_VERSION: u32 = 1;

/// A system that is present on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct System {
    path: PathBuf,
}

impl System {
    /// The system at a store path.
    pub(crate) fn open(path: &str) -> Result<Self> {
        let path: StorePath =
            path.parse().map_err(|error| failure(FailureCode::BadCall, format!("/system: {error}")))?;
        let path = PathBuf::from(String::from(path));
        if path.is_dir() {
            Ok(Self { path })
        } else {
            Err(no_such_system(&path, "is not in this machine's store"))
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The program that switches to it.
    pub(crate) fn switcher(&self) -> Result<PathBuf> {
        let switcher = self.path.join("bin/switch-to-configuration");
        match switcher.is_file() {
            true => Ok(switcher),
            false => Err(no_such_system(&self.path, "has no bin/switch-to-configuration")),
        }
    }

    /// What it says of itself.
    pub(crate) fn manifest(&self) -> Result<Manifest> {
        self.manifest_if_any()?.ok_or_else(|| no_such_system(&self.path, "has no manifest"))
    }

    /// The same; nothing for a system that is not of Berth's making, which can still be switched to.
    pub(crate) fn manifest_if_any(&self) -> Result<Option<Manifest>> {
        let path = self.path.join(MANIFEST_PATH);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(format!("cannot read {}", path.display()))(error)),
        };
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| bad_manifest(error.to_string()))?;
        match manifest.version {
            MANIFEST_VERSION => Ok(Some(manifest)),
            version => {
                Err(bad_manifest(format!("its version is {version}, this agent knows {MANIFEST_VERSION}")))
            }
        }
    }
}

fn no_such_system(path: &Path, problem: &str) -> Failure {
    failure(FailureCode::NoSuchSystem, format!("{} {problem}", path.display()))
}

/// Every unit that a manifest names, with its service, in the manifest's order and each once.
pub(crate) fn units(manifest: &Manifest) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (service, contract) in &manifest.services {
        for unit in &contract.units {
            if !found.iter().any(|(_, known)| known == unit) {
                found.push((service.to_string(), unit.clone()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_system_here_is_said_to_be_none() {
        let code = |path: &str| System::open(path).unwrap_err().code;
        assert_eq!(code("/etc"), FailureCode::BadCall);
        assert_eq!(code("/nix/store/../../etc"), FailureCode::BadCall);
        assert_eq!(code("/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nowhere"), FailureCode::NoSuchSystem);
    }

    #[test]
    fn a_manifest_of_another_version_is_not_obeyed() {
        let folder = tempfile::tempdir().unwrap();
        let system = System { path: folder.path().to_owned() };
        assert_eq!(system.manifest_if_any().unwrap(), None);
        assert_eq!(system.manifest().unwrap_err().code, FailureCode::NoSuchSystem);
        let file = folder.path().join(MANIFEST_PATH);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, r#"{"version":2,"platform":"nixos","tenant":null,"mode":null}"#).unwrap();
        assert!(system.manifest().unwrap_err().message.contains("version is 2"));
        std::fs::write(&file, r#"{"version":1,"platform":"nixos","tenant":null,"mode":null}"#).unwrap();
        assert_eq!(system.manifest().unwrap().platform, "nixos");
    }
}
