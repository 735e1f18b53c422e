//! How tenants leave for another provider.

use berth_engine::MigrationOptions;
use serde::{Deserialize, Serialize};

/// How tenants leave for another provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MigrationConfig {
    /// Databases that are larger, in bytes, are followed while the services go on, and not dumped while they stand still.
    pub replicate_databases_above: u64,
}

impl Default for MigrationConfig {
    fn default() -> Self {
        Self { replicate_databases_above: MigrationOptions::default().replicate_databases_above }
    }
}

impl MigrationConfig {
    /// For the engine.
    pub fn migration(&self) -> MigrationOptions {
        MigrationOptions { replicate_databases_above: self.replicate_databases_above }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_are_followed_from_a_gibibyte_on_unless_something_else_is_said() {
        assert_eq!(MigrationConfig::default().migration().replicate_databases_above, 1 << 30);
        let config: MigrationConfig = toml::from_str("replicate_databases_above = 0").unwrap();
        assert_eq!(config.migration().replicate_databases_above, 0);
        assert!(toml::from_str::<MigrationConfig>("replicate_databases_above = -1").is_err());
    }
}
