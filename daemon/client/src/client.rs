//! Where the daemon is, the token, and the bounds of every call.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{ClientError, Result, root_cause};

/// The bounds of a client's calls.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long one attempt may take, answer included. Streams have their own bound.
    pub timeout: Duration,
    /// How often a request that may be sent again is sent at most.
    pub attempts: u32,
    /// The pause before the second attempt; later ones double it.
    pub pause: Duration,
    /// How long a stream may be silent before it is taken as lost. The daemon says something every 15 s.
    pub stream_silence: Duration,
    /// How often in a row a stream is tried anew without getting any further.
    pub stream_attempts: u32,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(30),
            attempts: 4,
            pause: Duration::from_millis(200),
            stream_silence: Duration::from_secs(45),
            stream_attempts: 10,
        }
    }
}

/// A client of one daemon. Cheap to clone; any number of calls may run at once.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) base: Url,
    pub(crate) options: ClientOptions,
}

impl Client {
    /// A client of the daemon at `url`, such as `http://127.0.0.1:8484`. Connects to nothing yet.
    ///
    /// # Errors
    /// [`ClientError::BadUrl`], [`ClientError::BadToken`], or [`ClientError::Setup`].
    pub fn new(url: &str, token: SecretString) -> Result<Self> {
        Self::with_options(url, token, ClientOptions::default())
    }

    /// The same with other bounds.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_options(url: &str, token: SecretString, options: ClientOptions) -> Result<Self> {
        let base = parse(url)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("berth/", env!("CARGO_PKG_VERSION")))
            .default_headers(authorization(&token)?)
            .connect_timeout(options.connect_timeout)
            // The token is for this daemon, not for wherever it may point.
            .redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // Root certificates are neither needed nor, on a bare host, always there.
            builder = builder.tls_certs_only([]);
        }
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| ClientError::Setup(root_cause(&error)))?;
        Ok(Self { http, base, options })
    }

    /// The daemon's address, with a `/` at its end.
    pub fn url(&self) -> &Url {
        &self.base
    }

    /// The address of a route, given its path's segments.
    pub(crate) fn route(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

fn parse(text: &str) -> Result<Url> {
    let bad = |reason: &str| ClientError::BadUrl { url: text.to_owned(), reason: reason.to_owned() };
    let mut url = Url::parse(text.trim()).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold a user or a password; give the token instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it must end with its path"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn authorization(token: &SecretString) -> Result<HeaderMap> {
    let text = format!("Bearer {}", token.expose_secret().trim());
    let mut value = HeaderValue::try_from(text).map_err(|_| ClientError::BadToken)?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_a_daemons_is_refused_with_the_reason() {
        for bad in ["", "127.0.0.1:8484", "ftp://x", "http://u:p@x", "http://x/?q=1", "http://"] {
            let error = Client::new(bad, "t".into()).unwrap_err();
            assert!(matches!(error, ClientError::BadUrl { .. }), "{bad}: {error}");
        }
    }

    #[test]
    fn routes_are_below_the_address_and_names_cannot_leave_their_segment() {
        let client = Client::new("https://berth.example/api", "t".into()).unwrap();
        assert_eq!(client.route(&["v1", "tenants"]).as_str(), "https://berth.example/api/v1/tenants");
        assert_eq!(client.route(&["v1", "a/b?c"]).as_str(), "https://berth.example/api/v1/a%2Fb%3Fc");
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let client = Client::new("http://127.0.0.1:1", "berth_secret".into()).unwrap();
        assert!(!format!("{client:?}").contains("berth_secret"));
        assert!(matches!(Client::new("http://x.example", "a\nb".into()), Err(ClientError::BadToken)));
    }
}
