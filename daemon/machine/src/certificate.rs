//! When the certificates expire that a machine shows to customers.

use std::time::{Duration, SystemTime};

use berth_domain::Address;
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::outside::{addresses, words};

/// How long one connection may take.
const LIMIT: Duration = Duration::from_secs(5);

/// When the certificate expires that a machine shows for `host`, whether or not it is otherwise good: that is what probes
/// tell.
///
/// # Errors
/// Why none was shown, in words.
pub async fn expiry(address: &Address, host: &str) -> Result<SystemTime, String> {
    let addresses = addresses(address, "https").await?;
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(LIMIT);
    // Also one that has expired is to be looked at, and nothing of worth is sent.
    let client = client.tls_info(true).danger_accept_invalid_certs(true).tls_certs_only([]);
    let client = client.resolve_to_addrs(host, &addresses);
    let client = client.build().map_err(|error| words(&error))?;
    let response = client.head(format!("https://{host}/")).send().await.map_err(|error| words(&error))?;
    let shown = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    not_after(shown.ok_or("no certificate was shown")?)
}

fn not_after(der: &[u8]) -> Result<SystemTime, String> {
    let certificate =
        Certificate::from_der(der).map_err(|error| format!("this is no certificate: {error}"))?;
    Ok(certificate.tbs_certificate.validity.not_after.to_system_time())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate for git.acme.example, in base64.
    const CERTIFICATE: &str = "MIIBizCCATGgAwIBAgIUFhPtCaBMjW90fWJQV8BgCjVl9IMwCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQZ2l0LmFjbWUuZXhhbXBsZTAeFw0yNjExMjUxODU4MjZaFw0yNzExMjUxODU4MjZaMBsxGTAXBgNVBAMMEGdpdC5hY21lLmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQye7nUCRDvhc7tJN+uzBY2VDSwGp4WzXEkU3E/dLWYVHKsG3sWD9htDyK8nbvt8MCYLgkNKNOLlUGLnDTMMLRIo1MwUTAdBgNVHQ4EFgQUPb7srRCrfM73kHLPATNV1mxF5KgwHwYDVR0jBBgwFoAUPb7srRCrfM73kHLPATNV1mxF5KgwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAoQwXHUkJdEakH0B/u7o5GwM4yMFabbmP09lHgdls5kcCIHaUgKbe/gHbQmIxGQs6mbrmdiMhLAcPiBQahsup8DcK";

    #[test]
    fn the_end_of_a_certificate_is_read() {
        let der = decode(CERTIFICATE);
        let end = not_after(&der).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(end.as_secs(), 1827169106);
        assert!(not_after(&der[..20]).is_err());
    }

    #[tokio::test]
    async fn a_machine_without_tls_shows_none_and_says_why() {
        let problem = expiry(&"127.0.0.1".parse().unwrap(), "git.acme.example").await.unwrap_err();
        assert!(!problem.is_empty());
    }

    /// RFC 4648, padded.
    fn decode(text: &str) -> Vec<u8> {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let values = text.bytes().filter_map(|byte| ALPHABET.iter().position(|letter| *letter == byte));
        let bits: Vec<bool> =
            values.flat_map(|value| (0..6).rev().map(move |bit| value >> bit & 1 == 1)).collect();
        bits.chunks_exact(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }
}
