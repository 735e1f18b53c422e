//! How long tenants are kept that have moved.

use std::time::Duration;

use berth_engine::MovedOptions;
use serde::{Deserialize, Serialize};

use super::{ConfigError, value};

/// The longest that one can be kept, in seconds: a hundred years.
const LONGEST: u64 = 100 * 365 * 24 * 60 * 60;

/// Tenants that have moved to another provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MovedConfig {
    /// How long each is kept from the hand-over on, in seconds: until then it can come back, and then it is removed with its data;
    /// 0 for until an operator removes it.
    pub keep: u64,
}

impl Default for MovedConfig {
    fn default() -> Self {
        Self { keep: MovedOptions::default().kept.map_or(0, |kept| kept.as_secs()) }
    }
}

impl MovedConfig {
    /// For the engine.
    pub fn moved(&self) -> MovedOptions {
        let kept = (self.keep > 0).then(|| Duration::from_secs(self.keep));
        // Nobody minds a hundredth more.
        let every = Duration::from_secs((self.keep / 100).clamp(1, 600));
        MovedOptions { kept, every }
    }

    /// Checks what can be checked without reaching anything.
    ///
    /// # Errors
    /// [`ConfigError::Value`]
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self.keep > LONGEST {
            true => Err(value("moved.keep", "must be at most a hundred years of seconds, or 0")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_moved_is_kept_for_as_long_as_it_says_and_without_end_for_zero() {
        let moved = |keep| MovedConfig { keep }.moved();
        assert_eq!(moved(3600).kept, Some(Duration::from_secs(3600)));
        assert_eq!(moved(3600).every, Duration::from_secs(36));
        assert_eq!(moved(0).kept, None);
        assert_eq!(MovedConfig::default().keep, 30 * 24 * 60 * 60);
    }
}
