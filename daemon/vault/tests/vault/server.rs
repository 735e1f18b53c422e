//! A vault behind a real HTTP server, on a free port.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer};
use berth_vault::{Limits, Mode, RepositoryName, Storage, Tokens, Vault};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::place::Place;

pub const HOUR: Duration = Duration::from_secs(3600);

/// The vault that runs; it ends with this value.
pub struct Server {
    pub address: String,
    pub vault: Vault,
    pub tokens: Arc<Tokens>,
    handle: ServerHandle,
}

impl Server {
    pub async fn start(place: &Place) -> Self {
        Self::start_with(place, Limits::default()).await
    }

    pub async fn start_with(place: &Place, limits: Limits) -> Self {
        Self::start_on(place.storage().await, limits)
    }

    pub fn start_on(storage: Arc<dyn Storage>, limits: Limits) -> Self {
        let tokens = Arc::new(Tokens::new());
        let vault = Vault::new(storage, tokens.clone(), limits);
        let served = vault.clone();
        let app = move || App::new().configure(berth_vault::routes(served.clone()));
        let server = HttpServer::new(app).workers(2).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let address = server.addrs()[0].to_string();
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, vault, tokens, handle }
    }

    /// A token that lasts.
    pub fn token(&self, repository: &str, mode: Mode, quota: Option<u64>) -> SecretString {
        self.tokens.issue(&name(repository), mode, quota, HOUR).unwrap()
    }

    /// Somebody who has such a token.
    pub fn client(&self, repository: &str, mode: Mode, quota: Option<u64>) -> Client {
        Client {
            base: format!("http://{}/vault/{repository}", self.address),
            token: self.token(repository, mode, quota),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        }
    }

    pub async fn usage(&self, repository: &str) -> u64 {
        self.vault.usage(&name(repository)).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What tells the server to stop happens in the call; only the wait is in the future.
        drop(self.handle.stop(false));
    }
}

/// Makes requests with a token.
pub struct Client {
    pub base: String,
    pub token: SecretString,
    pub http: reqwest::Client,
}

impl Client {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.basic_auth("any", Some(self.token.expose_secret()))
    }

    pub async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    pub async fn status(&self, method: Method, path: &str) -> StatusCode {
        self.send(method, path).await.status()
    }

    pub async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> StatusCode {
        self.request(Method::POST, path).body(body.into()).send().await.unwrap().status()
    }

    /// Makes room, as `restic init` does.
    pub async fn create(&self) {
        assert_eq!(self.post("/?create=true", []).await, StatusCode::OK);
    }

    /// Adds an object of a kind under its right name; the path.
    pub async fn add(&self, kind: &str, content: &[u8]) -> String {
        let path = path(kind, content);
        assert_eq!(self.post(&path, content).await, StatusCode::OK, "{path}");
        path
    }

    pub async fn text(&self, path: &str) -> String {
        self.send(Method::GET, path).await.error_for_status().unwrap().text().await.unwrap()
    }
}

pub fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

/// Where an object with this content belongs.
pub fn path(kind: &str, content: &[u8]) -> String {
    format!("/{kind}/{:x}", Sha256::digest(content))
}

/// Bytes that cannot be compressed, the same for the same seed.
pub fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut noise = vec![0; bytes];
    random.fill(&mut noise);
    noise
}
