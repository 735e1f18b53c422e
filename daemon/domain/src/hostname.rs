//! Domains and addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::invalid::Rule;
use crate::name::check_label;

/// A fully qualified domain name of at least two labels, in its ASCII form (IDNA: `bücher.example` is kept as
/// `xn--bcher-kva.example`), lower case, without the final dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
// Only a shape: a name may also come in its Unicode form.
#[schema(example = "acme.example", pattern = r"^[^\s./:@]+(\.[^\s./:@]+)+\.?$")]
pub struct DomainName(String);

impl DomainName {
    /// The ASCII form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let ascii = to_ascii(text)?;
        if ascii.parse::<IpAddr>().is_ok() || !ascii.contains('.') {
            return Err(Rule::new(
                "domain",
                "must be a domain name of at least two labels, such as acme.example",
            ));
        }
        // The last label of a real domain is never all digits (RFC 3696, section 2).
        if ascii.rsplit('.').next().is_some_and(|tld| tld.bytes().all(|b| b.is_ascii_digit())) {
            return Err(Rule::new("domain", "the last label of a domain name cannot be a number"));
        }
        Ok(Self(ascii))
    }
}

/// Where a machine is reached: an IP address or a host name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(example = "192.0.2.10", pattern = r"^[^\s@/]{1,253}$")]
pub struct Address(String);

impl Address {
    /// The address as text: an IP address without brackets, or a host name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address as it stands in a URL: IPv6 in brackets.
    pub fn for_url(&self) -> String {
        if self.0.contains(':') { format!("[{}]", self.0) } else { self.0.clone() }
    }
}

impl FromStr for Address {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(ip.to_string()));
        }
        to_ascii(text).map(Self).map_err(|_| Rule::new("address", "must be an IP address or a host name"))
    }
}

/// The IDNA (UTS 46) ASCII form of a host name whose every label follows the DNS label rule.
fn to_ascii(text: &str) -> Result<String, Rule> {
    let refuse = |message: &str| Rule::new("domain", message);
    let ascii = idna::domain_to_ascii_strict(text.strip_suffix('.').unwrap_or(text))
        .map_err(|_| refuse("must be a domain name such as acme.example"))?;
    if ascii.len() > 253 {
        return Err(refuse("must be at most 253 characters long in its ASCII form"));
    }
    for label in ascii.split('.') {
        check_label(label).map_err(|_| {
            refuse("every label must be 1 to 63 of a–z, 0–9 and -, not starting or ending with -")
        })?;
    }
    Ok(ascii)
}

macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = Rule;

            fn try_from(text: String) -> Result<Self, Rule> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_form!(DomainName);
text_form!(Address);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_kept_in_their_ascii_form() {
        let domain = |text: &str| text.parse::<DomainName>().map(String::from);
        assert_eq!(domain("Bücher.Example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(domain("acme.example.").unwrap(), "acme.example");
        for bad in [
            "",
            ".",
            "acme",
            "a..b",
            "-a.example",
            "a_b.example",
            "1.2.3.4",
            "a.123",
            "a b.example",
            "a.example/x",
            "a.example\0",
        ] {
            assert!(domain(bad).is_err(), "{bad:?}");
        }
        assert!(domain(&format!("{}.example", "a".repeat(64))).is_err());
        assert!(domain(&format!("{}example", "a.".repeat(130))).is_err());
    }

    #[test]
    fn addresses_are_ips_or_host_names() {
        let address = |text: &str| text.parse::<Address>();
        assert_eq!(address("::1").unwrap().for_url(), "[::1]");
        assert_eq!(address("10.77.1.2").unwrap().for_url(), "10.77.1.2");
        assert!(address("vm1.example").is_ok());
        assert!(address("-oProxyCommand=x").is_err(), "an ssh option is no address");
    }
}
