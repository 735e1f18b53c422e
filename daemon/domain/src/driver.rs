//! Drivers: who copies a system to a machine, switches it and makes the switch last.

use serde::{Deserialize, Serialize};

use crate::invalid::Rule;
use crate::operation::words;

words! {
    /// How deployments reach a machine.
    Driver {
        /// Berth itself, with its agent on the machine.
        Berth = "berth",
        /// The command `nixos-rebuild` on the daemon's host.
        NixosRebuild = "nixos-rebuild",
        /// NixOps4, with Berth as its resource provider.
        Nixops4 = "nixops4",
    }
}

impl std::str::FromStr for Driver {
    type Err = Rule;

    fn from_str(word: &str) -> Result<Self, Rule> {
        Self::from_word(word)
            .ok_or_else(|| Rule::new("one-of", "must be one of berth, nixos-rebuild and nixops4"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_driver_is_answered_with_all_that_are() {
        for driver in Driver::ALL {
            assert_eq!(driver.word().parse(), Ok(*driver));
        }
        let rule = "NixOps".parse::<Driver>().unwrap_err();
        assert!(Driver::ALL.iter().all(|driver| rule.message.contains(driver.word())), "{rule}");
    }
}
