//! Names that are DNS labels: tenants, machines, services, plans, labels.
//!
//! One rule serves all of them (RFC 1123 label, lower case): 1 to 63 of `a`–`z`, `0`–`9` and `-`, neither
//! first nor last a `-`. Such a name is safe as a host name, a systemd unit, a file and a Nix attribute.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::invalid::Rule;

/// The same rule as a regular expression, for JSON Schema and Nix (anchored by both users).
pub const LABEL_PATTERN: &str = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?";

/// Names that no tenant may take: they are, or may become, host names of the provider itself.
pub const RESERVED_TENANTS: &[&str] = &[
    "admin",
    "api",
    "berth",
    "berthd",
    "localhost",
    "provider",
    "root",
    "status",
    "support",
    "watch",
    "www",
];

/// Checks that `text` is a DNS label in lower case.
///
/// # Errors
/// The rule `dns-label`.
pub fn check_label(text: &str) -> Result<(), Rule> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = text.as_bytes();
    let good = (1..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if good {
        return Ok(());
    }
    Err(Rule::new(
        "dns-label",
        "must be 1 to 63 characters of a–z, 0–9 and -, and neither start nor end with -",
    ))
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Rule;

            fn from_str(text: &str) -> Result<Self, Rule> {
                check_label(text)?;
                let reserved: &[&str] = $reserved;
                if reserved.contains(&text) {
                    return Err(Rule::new("reserved", format!("“{text}” is reserved; choose another name")));
                }
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Rule;

            fn try_from(text: String) -> Result<Self, Rule> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

label!(
    /// A tenant's name, unique at its provider.
    TenantName,
    RESERVED_TENANTS
);
label!(
    /// A machine's name, unique at its provider.
    MachineName,
    &["localhost"]
);
label!(
    /// A service's name: the name of its file in `modules/services/`.
    ServiceName,
    &[]
);
label!(
    /// The name of a plan in the panel's price list; Berth only keeps it.
    PlanName,
    &[]
);
label!(
    /// A word by which tenants are found again; Berth only keeps it.
    Label,
    &[]
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_follow_rfc_1123() {
        let longest = "a".repeat(63);
        for good in ["a", "0", "acme", "a-b", "a--b", "xn--bcher-kva", longest.as_str()] {
            assert!(good.parse::<TenantName>().is_ok(), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a b", "é", "a\n", "a\0", too_long.as_str()] {
            assert_eq!(bad.parse::<TenantName>().unwrap_err().name, "dns-label", "{bad:?}");
        }
    }

    #[test]
    fn reserved_names_are_refused_for_tenants_only() {
        assert_eq!("admin".parse::<TenantName>().unwrap_err().name, "reserved");
        assert!("admin".parse::<PlanName>().is_ok());
    }
}
