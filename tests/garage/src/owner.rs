//! Whoever has a bucket, and keeps objects of any key in it.

use std::collections::BTreeMap;

use berth_vault::buckets::BucketConfig;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::{Method, Response};
use secrecy::ExposeSecret as _;

/// What every object's answer has, whoever put it there.
const OF_THE_STORE: [&str; 12] = [
    "date",
    "content-length",
    "etag",
    "last-modified",
    "accept-ranges",
    "connection",
    "server",
    "vary",
    "x-amz-request-id",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "x-amz-version-id",
];

/// An owner of the bucket that is named, by its key.
#[derive(Debug)]
pub struct Owner(pub BucketConfig, reqwest::Client);

impl Owner {
    /// Whoever has this key.
    pub fn of(config: BucketConfig) -> Self {
        Self(config, reqwest::Client::builder().no_proxy().build().unwrap())
    }

    /// Puts an object there, with these headers.
    pub async fn put(&self, key: &str, attributes: &[(&str, &str)], content: &[u8]) {
        self.ask(Method::PUT, key, attributes, content).await.error_for_status().unwrap();
    }

    /// Removes an object.
    pub async fn delete(&self, key: &str) {
        self.ask(Method::DELETE, key, &[], b"").await.error_for_status().unwrap();
    }

    /// An object's attributes and its content; nothing where there is none.
    pub async fn get(&self, key: &str) -> Option<(BTreeMap<String, String>, Vec<u8>)> {
        let answer = self.ask(Method::GET, key, &[], b"").await;
        if answer.status().as_u16() == 404 {
            return None;
        }
        let answer = answer.error_for_status().unwrap();
        let own = answer.headers().iter().filter(|(name, _)| !OF_THE_STORE.contains(&name.as_str()));
        let own = own
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let own = own.collect();
        Some((own, answer.bytes().await.unwrap().to_vec()))
    }

    /// Begins an object in parts.
    pub async fn begin(&self, key: &str) {
        let begun = self.ask_at(Method::POST, &format!("/{key}?uploads="), &[], b"").await;
        begun.error_for_status().unwrap();
    }

    /// How many objects were begun in parts, and neither completed nor given up.
    pub async fn unfinished(&self) -> usize {
        let answer = self.ask_at(Method::GET, "?uploads=", &[], b"").await.error_for_status().unwrap();
        answer.text().await.unwrap().matches("<Upload>").count()
    }

    async fn ask(&self, method: Method, key: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let escaped: String = key
            .bytes()
            .map(|byte| match byte {
                b'/' => "/".to_owned(),
                byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect();
        self.ask_at(method, &format!("/{escaped}"), headers, body).await
    }

    async fn ask_at(&self, method: Method, at: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let config = &self.0;
        let url = format!("{}/{}{at}", config.endpoint, config.name);
        let mut request = HttpRequest::new(HttpRequestBody::from(body.to_vec()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = url.parse().unwrap();
        for (name, value) in headers {
            let name: reqwest::header::HeaderName = name.parse().unwrap();
            let value = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().insert(name, value);
        }
        let credential = AwsCredential {
            key_id: config.access_key.clone(),
            secret_key: config.secret.expose_secret().to_owned(),
            token: None,
        };
        AwsAuthorizer::new(&credential, "s3", &config.region).try_authorize(&mut request, None).unwrap();
        let sent = self.1.request(method, url).headers(std::mem::take(request.headers_mut()));
        sent.body(body.to_vec()).send().await.unwrap()
    }
}
