//! Networks: an IP address with the number of bits that count.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::invalid::Rule;

/// One address or a network in CIDR notation (RFC 4632, RFC 4291), such as `192.0.2.0/24`; a single address is kept
/// without its length. Bits behind the length are zero, so that the same network always reads the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(example = "192.0.2.0/24", pattern = r"^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$")]
pub struct Network(String);

impl Network {
    /// The network as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Network {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let refuse = || Rule::new("network", "must be an IP address or a network such as 192.0.2.0/24");
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| refuse())?;
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(length) => length.parse::<u8>().ok().filter(|length| *length <= bits).ok_or_else(refuse)?,
            None => bits,
        };
        let first = masked(address, length);
        Ok(Self(if length == bits { first.to_string() } else { format!("{first}/{length}") }))
    }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl TryFrom<String> for Network {
    type Error = Rule;

    fn try_from(text: String) -> Result<Self, Rule> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_kept_in_one_form() {
        let network = |text: &str| text.parse::<Network>().map(String::from);
        assert_eq!(network("192.0.2.77/24").unwrap(), "192.0.2.0/24");
        assert_eq!(network("192.0.2.7/32").unwrap(), "192.0.2.7");
        assert_eq!(network("2001:DB8::1/64").unwrap(), "2001:db8::/64");
        assert_eq!(network("::/0").unwrap(), "::/0");
        assert_eq!(network("10.0.0.1/0").unwrap(), "0.0.0.0/0");
        for bad in
            ["", "acme.example", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "1.2.3.4;allow all", "::1/129"]
        {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
