//! Where derivations are built.

use serde::{Deserialize, Serialize};

use super::{ConfigError, value};

/// Where derivations are built: on this host, or on other machines by Nix's own means.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuilderConfig {
    /// Nix's setting `builders`: a line for each machine, divided by `;`, or `@` and the file that holds the lines. What
    /// `nix.conf` says when absent.
    pub machines: Option<String>,
    /// Whether this host builds what no other machine takes. Where it does not, a deployment that finds no builder fails.
    pub here: bool,
    /// Whether builders fetch from their own caches what they need, instead of being sent it.
    pub use_substitutes: bool,
}

impl Default for BuilderConfig {
    fn default() -> Self {
        Self { machines: None, here: true, use_substitutes: false }
    }
}

impl BuilderConfig {
    /// What Nix is told besides what it is told anyway.
    pub fn settings(&self) -> impl Iterator<Item = (String, String)> + use<> {
        let machines = self.machines.clone().map(|machines| ("builders", machines));
        let substitutes = self.use_substitutes.then(|| ("builders-use-substitutes", "true".to_owned()));
        let jobs = (!self.here).then(|| ("max-jobs", "0".to_owned()));
        let told = [machines, substitutes, jobs].into_iter().flatten();
        told.map(|(name, value)| (name.to_owned(), value))
    }

    /// Checks what can be checked without reaching anything.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match &self.machines {
            Some(machines) if machines.trim().is_empty() || machines.contains(['\n', '#']) => {
                let rule =
                    "must be what Nix's setting `builders` takes, on one line, with `;` between machines";
                Err(value("builders.machines", rule))
            }
            _ => Ok(()),
        }
    }
}
