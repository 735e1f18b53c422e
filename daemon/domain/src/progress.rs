//! How far something is, or that this is unknown.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is being counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Derivations built.
    Builds,
    /// Store paths copied.
    Paths,
    /// Bytes.
    Bytes,
    /// systemd units.
    Units,
    /// Health probes.
    Probes,
    /// Databases, directories and secrets.
    Holdings,
}

/// A count. `expected` is absent while nobody knows it: then a bar must not pretend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// How many are done.
    pub done: u64,
    /// How many there will be, as far as is known; never less than `done`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
    /// What is counted.
    pub unit: Unit,
}

impl Progress {
    /// A count with a known end; `expected` is raised to `done` where it is less.
    pub fn of(done: u64, expected: u64, unit: Unit) -> Self {
        Self { done, expected: Some(expected.max(done)), unit }
    }

    /// A count whose end nobody knows yet.
    pub fn open(done: u64, unit: Unit) -> Self {
        Self { done, expected: None, unit }
    }
}
