//! Versions of a service's data.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The version that a service's data is of, such as `4.3`: numbers with dots between them, compared number by number.
/// What follows the first part that is no number counts for nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DataVersion(String);

impl DataVersion {
    fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.split('.').map_while(|part| part.parse().ok())
    }
}

impl From<&str> for DataVersion {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Ord for DataVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers().cmp(other.numbers())
    }
}

impl PartialOrd for DataVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DataVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DataVersion {}

impl fmt::Display for DataVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        let version = |text: &str| DataVersion::from(text);
        assert!(version("4.10") > version("4.9"));
        assert!(version("4.3.1") > version("4.3"));
        assert!(version("12") < version("12.0.1"));
        assert_eq!(version("1.22"), version("1.22"));
    }
}
