//! What a restore exchanges, written down before it does, so that it can be put back whatever happens.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::exchange::Exchange;
use super::secrets::SecretExchange;
use crate::failure::Result;
use crate::postgres::{self, copy};

/// Everything that one restore exchanges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Undo {
    /// Every unit that may use it.
    pub(super) units: Vec<String>,
    pub(super) directories: Vec<Exchange>,
    pub(super) databases: Vec<Database>,
    #[serde(default)]
    pub(super) secrets: Vec<SecretExchange>,
    /// Everything succeeded: there is no way back any more, and what was there before only has to be removed.
    pub(super) committed: bool,
}

/// A database that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(super) name: String,
    /// The new one's name until then, and the old one's from then on.
    pub(super) new: String,
    pub(super) old: String,
    /// Whether there was one before.
    pub(super) existed: bool,
}

impl Database {
    pub(super) fn of(name: &str, existed: bool, operation: Uuid, number: usize) -> Self {
        let operation = operation.simple();
        let (new, old) =
            (format!("berth-new-{operation}-{number}"), format!("berth-old-{operation}-{number}"));
        Self { name: name.to_owned(), new, old, existed }
    }

    pub(super) fn put(&self) -> Result<()> {
        copy::exchange(&self.name, &self.new, self.existed.then_some(self.old.as_str()))
    }

    fn put_back(&self) -> Result<()> {
        let there = postgres::existing(&[&self.name, &self.new, &self.old])?;
        let exists = |name: &String| there.contains(name);
        if exists(&self.old) {
            postgres::drop(&self.name)?;
            copy::take_back(&self.name, &self.old)?;
        } else if self.existed && exists(&self.name) {
            copy::open_again(&self.name)?;
        } else if !self.existed && !exists(&self.new) {
            // The new one came in nobody's place.
            postgres::drop(&self.name)?;
        }
        postgres::drop(&self.new)
    }
}

impl Undo {
    /// Puts back what was there before; done twice, it does nothing. Nothing may use it meanwhile.
    pub(super) fn put_back(&self) -> Result<()> {
        self.secrets.iter().try_for_each(SecretExchange::put_back)?;
        self.directories.iter().try_for_each(Exchange::put_back)?;
        self.databases.iter().try_for_each(Database::put_back)
    }

    /// Removes the secrets and the directories that were there before. They come first: what is in a mount point would be taken for
    /// a part of it.
    pub(super) fn forget_files(&self) -> Result<()> {
        self.secrets.iter().try_for_each(SecretExchange::forget)?;
        self.directories.iter().try_for_each(Exchange::forget)
    }

    /// Removes what was there before; done twice, it does nothing.
    pub(super) fn forget(&self) -> Result<()> {
        self.forget_files()?;
        let old = self.databases.iter().filter(|database| database.existed);
        let old: Vec<&str> = old.map(|database| database.old.as_str()).collect();
        // This starts a server that does not run.
        postgres::existing(&old)?.iter().try_for_each(|name| postgres::drop(name))
    }
}
