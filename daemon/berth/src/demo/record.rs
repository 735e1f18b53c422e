//! What is written down of a demo whose services were visited: `demo.json` in its folder.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::folder;

/// A demo that runs; with `--json`, this is what the demo prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The daemon's address.
    pub url: String,
    /// File with an admin's token.
    pub token_file: PathBuf,
    /// Name of the machine.
    pub machine: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Name of the tenant.
    pub tenant: String,
    /// What its services answered.
    pub services: Vec<Visited>,
    /// Whether it outlives the demo's process.
    pub kept: bool,
    /// The testbed's folder, by which the machine is put away.
    pub testbed: PathBuf,
}

/// A service that was asked for its front page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visited {
    /// Its name.
    pub name: String,
    /// Where a visitor finds it.
    pub url: String,
    /// The status code of the answer; nothing if there was none.
    pub status: Option<u16>,
    /// Whether that is as it should be.
    pub ok: bool,
    /// Whether a stand-in answered.
    pub stand_in: bool,
    /// The page's title, or why there is none.
    pub said: String,
}

impl Record {
    /// The demo that is kept running, if one is.
    pub fn kept() -> Option<Self> {
        folder::all().iter().filter_map(|folder| Self::alive(folder)).find(|record| record.kept)
    }

    /// A demo that runs, best a kept one.
    pub fn running() -> Option<Self> {
        let mut records: Vec<_> = folder::all().iter().filter_map(|folder| Self::alive(folder)).collect();
        records.sort_by_key(|record| !record.kept);
        records.into_iter().next()
    }

    /// What a folder's record says, whether or not that runs.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join("demo.json")).ok()?).ok()
    }

    fn alive(folder: &Path) -> Option<Self> {
        Self::read(folder).filter(|_| super::daemon::runs(folder))
    }
}
