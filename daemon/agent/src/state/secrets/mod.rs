//! Secrets that come back with the state that was encrypted and signed with them: from the tenant's own part of a snapshot into
//! their files, put in place while the services are stopped, and put back with the state if anything fails.

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use berth_domain::{Manifest, ServiceName};
use berth_protocol::{GivenSecret, SecretsPart, TenantFile, tenant_file};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plan::check_id;
use super::quiet;
use super::restic::Restic;
use super::snapshot::mismatch;
use crate::failure::{Result, io};
use crate::files::remove_if_there as remove;
use crate::secrets::{Change, changes};

/// The file of a secret that is exchanged: the old and the new one stand beside it, each for its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SecretExchange {
    path: PathBuf,
    operation: Uuid,
    /// Whether there was one before.
    existed: bool,
}

/// The secrets that change in a restore.
#[derive(Default)]
pub(super) struct Former<'a> {
    changes: Vec<(Change<'a>, SecretExchange)>,
    /// Every unit that may use one of them, in the order in which they are stopped.
    units: Vec<String>,
    /// What a person should know, a sentence each.
    said: Vec<String>,
}

impl<'a> Former<'a> {
    /// Reads the secrets out of the snapshot; changes nothing.
    pub(super) fn read(
        manifest: &'a Manifest,
        asked: &SecretsPart,
        restic: &Restic<'_>,
        operation: Uuid,
    ) -> Result<Self> {
        check_id("/secrets", &asked.snapshot)?;
        let text = Zeroizing::new(restic.file(&asked.snapshot, tenant_file::PATH)?);
        let file = TenantFile::parse(&text)
            .map_err(|error| mismatch(format!("of its tenant's own part, {error}")))?;
        Self::of(manifest, asked.services.as_deref(), &file.secrets, operation)
    }

    fn of(
        manifest: &'a Manifest,
        services: Option<&[ServiceName]>,
        secrets: &[GivenSecret],
        operation: Uuid,
    ) -> Result<Self> {
        let mut former = Self::default();
        let wanted = manifest.services.iter();
        for (service, contract) in wanted.filter(|(name, _)| services.is_none_or(|all| all.contains(name))) {
            let own: Vec<_> = secrets.iter().filter(|secret| secret.service == service.as_str()).collect();
            let found = changes(service.as_str(), contract, &own)?;
            let unknown =
                |name| format!("the secret {service}/{name} of the snapshot has no place here any more");
            former.said.extend(found.unknown.iter().map(unknown));
            if !found.files.is_empty() {
                former.units.extend(quiet::all(contract));
                // Those that hand it on to the others come up before them.
                former.units.extend(found.files.iter().flat_map(|change| change.secret.readers.clone()));
            }
            for change in found.files {
                former.said.push(format!("the secret {} is as it was again", change.full));
                let exchange = SecretExchange::of(&change.secret.path, operation);
                former.changes.push((change, exchange));
            }
        }
        Ok(former)
    }

    pub(super) fn exchanges(&self) -> Vec<SecretExchange> {
        self.changes.iter().map(|(_, exchange)| exchange.clone()).collect()
    }

    pub(super) fn units(&self) -> &[String] {
        &self.units
    }

    pub(super) fn said(&self) -> &[String] {
        &self.said
    }

    /// Writes the new ones beside the old ones.
    pub(super) fn make_ready(&self) -> Result<()> {
        self.changes.iter().try_for_each(|(change, exchange)| {
            let written = change.write_to(&exchange.new_one());
            written.map_err(io(format!("cannot write the secret {}", change.full)))
        })
    }

    /// Puts the new ones in the old ones' places.
    pub(super) fn put(&self) -> Result<()> {
        self.changes.iter().try_for_each(|(_, exchange)| exchange.put())
    }
}

impl SecretExchange {
    fn of(path: &str, operation: Uuid) -> Self {
        let path = PathBuf::from(path);
        let existed = path.symlink_metadata().is_ok();
        Self { path, operation, existed }
    }

    fn put(&self) -> Result<()> {
        let put = || {
            if self.existed {
                // Whoever looks finds one or the other.
                std::fs::hard_link(&self.path, self.before())?;
            }
            std::fs::rename(self.new_one(), &self.path)?;
            self.sync()
        };
        put().map_err(self.problem("exchange"))
    }

    /// Puts the old one back, however far it went; done twice, it does nothing.
    pub(super) fn put_back(&self) -> Result<()> {
        let put_back = || {
            match self.existed {
                true if self.before().symlink_metadata().is_ok() => {
                    // Two names of one file are not exchanged by rename(2); then it was not replaced yet.
                    std::fs::rename(self.before(), &self.path)?;
                    remove(&self.before())?;
                }
                // The new one came in nobody's place.
                false if self.new_one().symlink_metadata().is_err() => remove(&self.path)?,
                _ => {}
            }
            remove(&self.new_one())?;
            self.sync()
        };
        put_back().map_err(self.problem("put back"))
    }

    /// Removes the old one: there is no way back any more.
    pub(super) fn forget(&self) -> Result<()> {
        remove(&self.before()).map_err(self.problem("remove what was before"))
    }

    fn new_one(&self) -> PathBuf {
        self.beside("new")
    }

    fn before(&self) -> PathBuf {
        self.beside("before")
    }

    /// `.NAME.berth-before-OPERATION`, in the same folder.
    fn beside(&self, what: &str) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.berth-{what}-{}", self.operation))
    }

    fn sync(&self) -> std::io::Result<()> {
        match File::open(self.path.parent().unwrap_or(Path::new("/"))) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            folder => folder?.sync_all(),
        }
    }

    fn problem(&self, what: &str) -> impl FnOnce(std::io::Error) -> berth_protocol::Failure + use<> {
        io(format!("cannot {what} the secret at {}", self.path.display()))
    }
}
