//! Which addresses a tenant's store may have.
//!
//! It is the tenant's setting that names it, and the daemon's host that speaks to it: whoever writes settings must not have the host
//! speak to itself, or to what only its own network sees.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::error::BucketError;

/// The networks in which stores may be, beside what is public.
#[derive(Debug, Clone, Default)]
pub struct Reach {
    networks: Arc<Vec<Network>>,
}

/// A network: its address, and how many of its bits count.
#[derive(Debug, Clone, Copy)]
struct Network {
    first: IpAddr,
    length: u8,
}

/// The store's name leads to no address that is spoken to.
#[derive(Debug, thiserror::Error)]
#[error("it is at an address that this daemon does not speak to for tenants")]
struct OutOfReach;

impl Reach {
    /// Public addresses, and these networks: `192.0.2.7`, or `192.0.2.0/24`.
    ///
    /// # Errors
    /// [`BucketError::Endpoint`] where one is no network.
    pub fn new<'a>(networks: impl IntoIterator<Item = &'a str>) -> Result<Self, BucketError> {
        let parsed: Option<Vec<Network>> = networks.into_iter().map(Network::parse).collect();
        let networks = parsed.ok_or_else(|| BucketError::Endpoint("no such network".into()))?;
        Ok(Self { networks: Arc::new(networks) })
    }

    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.has(address))
    }

    /// Refuses an address that needs no resolver, which asks for none.
    pub(super) fn check(&self, url: &Url) -> Result<(), BucketError> {
        let host = url.host_str().unwrap_or_default();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match literal {
            Ok(address) if !self.allows(address) => Err(BucketError::Endpoint(OutOfReach.to_string())),
            _ => Ok(()),
        }
    }
}

impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| reach.allows(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(OutOfReach).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (first, length) =
            text.split_once('/').map_or((text, None), |(first, length)| (first, Some(length)));
        let first: IpAddr = first.parse().ok()?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(most), |length| length.parse().ok())?;
        (length <= most).then_some(Self { first, length })
    }

    fn has(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// Whether anybody may speak to an address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            // Shared, for protocols, and for measurements (RFC 6890).
            let special =
                matches!((first, second, third), (100, 64..128, _) | (192, 0, 0) | (198, 18 | 19, _));
            !(v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_documentation() || special)
                && (1..224).contains(&first)
        }
        // Global unicast (RFC 4291), without what leads to an address of the other kind (6to4, Teredo) and what is for documents.
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            let special = first == 0x2002 || (first == 0x2001 && matches!(second, 0 | 0xdb8));
            first & 0xe000 == 0x2000 && !special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_this_host_or_its_network_sees_is_refused_unless_it_was_allowed() {
        let public = Reach::default();
        let own = Reach::new(["10.1.0.0/16", "::1"]).unwrap();
        let allows = |reach: &Reach, text: &str| reach.allows(text.parse().unwrap());
        for text in ["203.0.112.7", "2a01:4f8::1"] {
            assert!(allows(&public, text) && allows(&own, text), "{text}");
        }
        for text in [
            "127.0.0.1",
            "169.254.169.254",
            "10.2.0.1",
            "192.168.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "198.19.0.1",
            "fe80::1",
            "2002:a00:1::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!allows(&public, text) && !allows(&own, text), "{text}");
        }
        assert!(!allows(&public, "::ffff:127.0.0.1") && !allows(&public, "::1"));
        assert!(allows(&own, "10.1.2.3") && allows(&own, "::ffff:10.1.2.3") && allows(&own, "::1"));
        assert!(Reach::new(["10.0.0.0/33"]).is_err() && Reach::new(["here"]).is_err());
        let check = |url: &str| public.check(&Url::parse(url).unwrap()).is_ok();
        assert!(!check("http://127.0.0.1:3900") && !check("http://[::1]/") && !check("http://2130706433/"));
        assert!(check("http://localhost/"), "its name is resolved first");
    }

    #[tokio::test]
    async fn a_name_leads_nowhere_where_no_address_of_it_is_allowed() {
        let name = || "localhost".parse::<Name>().unwrap();
        assert!(Reach::default().resolve(name()).await.is_err());
        let own = Reach::new(["127.0.0.0/8", "::1"]).unwrap();
        assert!(own.resolve(name()).await.unwrap().count() > 0);
    }
}
