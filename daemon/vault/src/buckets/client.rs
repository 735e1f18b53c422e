//! A bucket of an object store that speaks the protocol of Amazon S3.
//!
//! The client of the vault's own storage (`object_store`) takes a key for a path: it cannot list a bucket in which one key is none,
//! such as `a//b`, and takes `a/` for `a`. What somebody else keeps has to come back under the very key, so this one speaks HTTP
//! itself, and has requests signed there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::BucketError;
use super::reach::Reach;

/// How long the store may take to take a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long the store may take for an answer, or be silent in the middle of one.
const SILENCE: Duration = Duration::from_secs(30);

/// How long it may take for a request that carries much.
const FOR_A_PART: Duration = Duration::from_secs(3 * 60);

/// From how many bytes on a request carries much.
const MUCH: usize = 64 * 1024;

/// How often a request is repeated that failed in a way that may pass.
pub(super) const RETRIES: u32 = 3;

/// How long to wait before the first repetition; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(300);

/// How much is read of an answer that says why something failed, in bytes.
const REASON: usize = 64 * 1024;

/// Which bucket, and what opens it.
#[derive(Clone)]
pub struct BucketConfig {
    /// The store's address, such as `https://s3.example.org`. Without TLS only where it says `http:`.
    pub endpoint: String,
    /// The region, such as `us-east-1`.
    pub region: String,
    /// The bucket's name.
    pub name: String,
    /// The id of the key.
    pub access_key: String,
    /// The key's secret.
    pub secret: SecretString,
}

impl fmt::Debug for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint, region, name, .. } = self;
        let mut debug = f.debug_struct("BucketConfig");
        debug.field("endpoint", endpoint).field("region", region).field("name", name).finish_non_exhaustive()
    }
}

/// A bucket, addressed by path. Clones share its connections.
#[derive(Clone)]
pub struct Bucket {
    http: reqwest::Client,
    /// The bucket's address, without a slash at its end.
    base: String,
    region: String,
    name: String,
    credential: Arc<AwsCredential>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.base)
    }
}

/// What a store is asked for.
#[derive(Default)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// An object's key; without one, it is about the bucket.
    pub(super) key: Option<&'a str>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Bucket {
    /// A bucket; nothing is asked of it yet.
    ///
    /// # Errors
    /// [`BucketError::Endpoint`] where the address is none, names a path, a query or a user, or is out of reach.
    pub fn new(config: &BucketConfig, reach: &Reach) -> Result<Self, BucketError> {
        let bad = |why: &str| BucketError::Endpoint(why.to_owned());
        let url =
            Url::parse(config.endpoint.trim_end_matches('/')).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(bad("it is neither http nor https"));
        }
        if url.path() != "/"
            || url.query().is_some()
            || !url.username().is_empty()
            || url.password().is_some()
        {
            return Err(bad("it has more than a host and a port"));
        }
        reach.check(&url)?;
        let http = reqwest::Client::builder()
            // Whom it speaks to is decided here, and not by whoever passes it on.
            .no_proxy()
            .dns_resolver(Arc::new(reach.clone()))
            .connect_timeout(CONNECT)
            // What is signed is for one address.
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            http,
            base: format!("{}{}", url, encode(&config.name, false)),
            region: config.region.clone(),
            name: config.name.clone(),
            credential: Arc::new(AwsCredential {
                key_id: config.access_key.clone(),
                secret_key: config.secret.expose_secret().to_owned(),
                token: None,
            }),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its store's region.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Sends a request, and again where it failed in a way that may pass. The answer is a success, and not read yet.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Response, BucketError> {
        let mut tries = 0;
        loop {
            match self.send_once(ask).await {
                Err(error) if error.may_pass() && tries < RETRIES => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(tries)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }

    async fn send_once(&self, ask: &Ask<'_>) -> Result<Response, BucketError> {
        let (url, headers) = self.signed(ask)?;
        // To put parts together takes a store as long as to take one.
        let much = ask.body.len() > MUCH || ask.method == Method::POST;
        let limit = if much { FOR_A_PART } else { SILENCE };
        let request = self.http.request(ask.method.clone(), url).headers(headers).body(ask.body.clone());
        let sent = tokio::time::timeout(limit, request.send()).await;
        let response = sent.map_err(|_| BucketError::Late(limit))??;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(BucketError::answered(status.as_u16(), &reason(response, status).await))
    }

    fn signed(&self, ask: &Ask<'_>) -> Result<(Url, HeaderMap), BucketError> {
        let bad = |why: String| BucketError::Endpoint(why);
        let mut url = self.base.clone();
        if let Some(key) = ask.key {
            url.push('/');
            url.push_str(&encode(key, true));
        }
        for (number, (name, value)) in ask.query.iter().enumerate() {
            let before = if number == 0 { '?' } else { '&' };
            url.push(before);
            url.push_str(&format!("{name}={}", encode(value, false)));
        }
        let mut request = HttpRequest::new(HttpRequestBody::from(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = url.parse().map_err(|_| bad("a key makes no address".into()))?;
        *request.headers_mut() = ask.headers.clone();
        let authorizer = AwsAuthorizer::new(&self.credential, "s3", &self.region);
        authorizer.try_authorize(&mut request, None).map_err(|error| bad(error.to_string()))?;
        let url = Url::parse(&url).map_err(|error| bad(error.to_string()))?;
        Ok((url, std::mem::take(request.headers_mut())))
    }
}

/// What an answer says that is no success.
async fn reason(mut response: Response, status: StatusCode) -> Vec<u8> {
    let mut body = Vec::new();
    if status.is_redirection() {
        return body;
    }
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(SILENCE, response.chunk()).await {
        body.extend_from_slice(&chunk);
        if body.len() > REASON {
            break;
        }
    }
    body
}

/// The next bytes of an answer; nothing at its end.
pub(super) async fn next_bytes(response: &mut Response) -> Result<Option<Bytes>, BucketError> {
    let next = tokio::time::timeout(SILENCE, response.chunk()).await;
    Ok(next.map_err(|_| BucketError::Late(SILENCE))??)
}

/// All of an answer of which the store cannot make more than `most` bytes.
pub(super) async fn whole(mut response: Response, most: usize) -> Result<Vec<u8>, BucketError> {
    let mut body = Vec::new();
    while let Some(chunk) = next_bytes(&mut response).await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Err(BucketError::Answer(format!("it is longer than {most} bytes")));
        }
    }
    Ok(body)
}

/// A header, where its value can be one.
pub(super) fn header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), BucketError> {
    let bad = || BucketError::Record(format!("the attribute {} is no header", name.escape_debug()));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
    headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).map_err(|_| bad())?);
    Ok(())
}

/// Whether no client of HTTP asks for the object of this key: addresses know `.` and `..`, also where they are escaped.
pub(super) fn is_out_of_reach(key: &str) -> bool {
    key.is_empty() || key.split('/').any(|part| matches!(part, "." | ".."))
}

/// A text as Amazon's signature wants it in an address.
fn encode(text: &str, slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if slashes => encoded.push('/'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(endpoint: &str) -> BucketConfig {
        BucketConfig {
            endpoint: endpoint.into(),
            region: "garage".into(),
            name: "media".into(),
            access_key: "GK1".into(),
            secret: "hunter2".into(),
        }
    }

    #[test]
    fn an_address_is_a_host_and_no_secret_is_shown() {
        for wrong in ["", "ftp://a", "https://a/b", "https://a?b", "https://u:p@a", "https://"] {
            assert!(
                matches!(Bucket::new(&config(wrong), &Reach::default()), Err(BucketError::Endpoint(_))),
                "{wrong}"
            );
        }
        let bucket = Bucket::new(&config("https://s3.example.net:8443/"), &Reach::default()).unwrap();
        assert_eq!(bucket.base, "https://s3.example.net:8443/media");
        assert!(!format!("{bucket:?}{:?}", config("https://a")).contains("hunter2"));
    }

    #[test]
    fn a_key_of_any_characters_is_asked_for_as_it_is() {
        let bucket = Bucket::new(&config("http://127.0.0.1:1"), &Reach::new(["127.0.0.1"]).unwrap()).unwrap();
        let key = "a//b \u{e4}+%\n?#/";
        let (url, headers) = bucket.signed(&Ask { key: Some(key), ..Ask::default() }).unwrap();
        assert_eq!(url.as_str(), "http://127.0.0.1:1/media/a//b%20%C3%A4%2B%25%0A%3F%23/");
        assert!(headers.contains_key("authorization"));
        assert!(is_out_of_reach("a/../b") && is_out_of_reach("") && !is_out_of_reach("a/..b//"));
    }
}
