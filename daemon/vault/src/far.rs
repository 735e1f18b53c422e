//! A way through this host into a repository of somebody else's vault.
//!
//! A machine that is to write there has no way to it, and is not to know what opens it: it speaks to this host, with a token of
//! its own, and this host passes on what it says, with what the other vault asks for. Nothing is kept here, and no upload is
//! ever in memory as a whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::StreamExt as _;
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use tokio::sync::mpsc;

use crate::http::credentials;
use crate::tokens::random_text;

/// How long the other vault may take to be connected to.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the other vault may say nothing: an upload on a slow line has said all of it by then.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// How many pieces of an upload may be on their way at once.
const PIECES: usize = 4;

/// What is passed on of a request, and of an answer.
const OF_REQUESTS: [HeaderName; 4] =
    [header::ACCEPT, header::CONTENT_TYPE, header::CONTENT_LENGTH, header::RANGE];
const OF_ANSWERS: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_RANGE, header::ACCEPT_RANGES];

/// The doors that are open.
#[derive(Default)]
pub struct Far {
    doors: Mutex<HashMap<String, Door>>,
    /// Made with the first door: reading the host's certificates takes longer than all the rest of a daemon's start.
    http: OnceLock<reqwest::Client>,
}

/// Why no door can be opened.
#[derive(Debug, thiserror::Error)]
pub enum FarError {
    /// The operating system has no randomness to give.
    #[error(transparent)]
    Random(#[from] getrandom::Error),
    /// No TLS can be had.
    #[error(transparent)]
    Tls(#[from] reqwest::Error),
}

#[derive(Clone)]
struct Door {
    own: SecretString,
    url: Url,
    user: String,
    password: SecretString,
    http: reqwest::Client,
}

/// A door that is open as long as this lives.
pub struct OpenDoor {
    far: Arc<Far>,
    id: String,
    /// The password of any user.
    pub token: SecretString,
}

impl OpenDoor {
    /// Its path on this host, from `/` to `/`.
    pub fn path(&self) -> String {
        format!("/far/{}/", self.id)
    }
}

impl fmt::Debug for OpenDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenDoor").finish_non_exhaustive()
    }
}

impl Drop for OpenDoor {
    fn drop(&mut self) {
        self.far.lock().remove(&self.id);
    }
}

impl Far {
    /// No door yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Opens a door to the repository at `url`, which ends with a `/`, for whoever presents its token.
    ///
    /// # Errors
    /// [`FarError`]
    pub fn open(
        self: &Arc<Self>,
        url: Url,
        user: String,
        password: SecretString,
    ) -> Result<OpenDoor, FarError> {
        let (id, token) = (random_text::<8>()?, SecretString::from(random_text::<32>()?));
        let door = Door { own: token.clone(), url, user, password, http: self.client()? };
        self.lock().insert(id.clone(), door);
        Ok(OpenDoor { far: Arc::clone(self), id, token })
    }

    fn client(&self) -> Result<reqwest::Client, FarError> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(self.http.get_or_init(|| http).clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Door>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The door of that id, for whoever has its token.
    fn door(&self, id: &str, request: &HttpRequest) -> Option<Door> {
        let presented = credentials(request.headers())?.password;
        let door = self.lock().get(id).cloned()?;
        let right = door.own.expose_secret().as_bytes().ct_eq(presented.expose_secret().as_bytes());
        bool::from(right).then_some(door)
    }
}

/// The route of all doors.
pub fn routes(far: Arc<Far>) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config.service(
            web::resource("/far/{id}/{rest:.*}").app_data(Data::from(far)).route(web::route().to(pass_on)),
        );
    }
}

async fn pass_on(
    request: HttpRequest,
    far: Data<Far>,
    names: web::Path<(String, String)>,
    body: Payload,
) -> HttpResponse {
    let (id, rest) = names.into_inner();
    let Some(door) = far.door(&id, &request) else {
        return HttpResponse::Unauthorized().insert_header((header::WWW_AUTHENTICATE, "Basic")).finish();
    };
    let Some(url) = door.below(&rest, request.query_string()) else {
        return HttpResponse::NotFound().finish();
    };
    let Ok(method) = reqwest::Method::from_bytes(request.method().as_str().as_bytes()) else {
        return HttpResponse::MethodNotAllowed().finish();
    };
    let mut there = door.http.request(method, url);
    there = there.basic_auth(&door.user, Some(door.password.expose_secret()));
    for name in OF_REQUESTS {
        if let Some(value) = request.headers().get(&name) {
            there = there.header(name.as_str(), value.as_bytes());
        }
    }
    if has_body(&request) {
        there = there.body(upload(body));
    }
    match there.send().await {
        Ok(answer) => passed_back(answer),
        // What it says may name the other's address, and nothing else: its credentials are in a header.
        Err(error) => {
            tracing::warn!(error = %error.without_url(), "the other provider's vault does not answer");
            HttpResponse::BadGateway().finish()
        }
    }
}

impl Door {
    /// The address of something in the repository; nothing where it would be elsewhere.
    fn below(&self, rest: &str, query: &str) -> Option<Url> {
        let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'/');
        if !rest.bytes().all(plain) {
            return None;
        }
        let mut url = self.url.join(rest).ok().filter(|url| url.path().starts_with(self.url.path()))?;
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        (url.host() == self.url.host() && url.port() == self.url.port()).then_some(url)
    }
}

fn has_body(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || headers.contains_key(header::TRANSFER_ENCODING)
}

/// A request's content, which this thread reads while another sends it.
fn upload(mut body: Payload) -> reqwest::Body {
    let (pieces, taken) = mpsc::channel::<std::io::Result<Bytes>>(PIECES);
    actix_web::rt::spawn(async move {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|error| std::io::Error::other(error.to_string()));
            let broken = piece.is_err();
            if pieces.send(piece).await.is_err() || broken {
                return;
            }
        }
    });
    reqwest::Body::wrap_stream(futures_util::stream::unfold(taken, |mut taken| async move {
        taken.recv().await.map(|piece| (piece, taken))
    }))
}

fn passed_back(answer: reqwest::Response) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(answer.status().as_u16());
    let mut back = HttpResponse::build(status.unwrap_or(actix_web::http::StatusCode::BAD_GATEWAY));
    let mut length = None;
    for name in OF_ANSWERS {
        if let Some(value) = answer.headers().get(name.as_str()) {
            if name == header::CONTENT_LENGTH {
                length = value.to_str().ok().and_then(|text| text.parse().ok());
            } else {
                back.insert_header((name, value.as_bytes()));
            }
        }
    }
    match length {
        Some(length) => back.no_chunking(length).streaming(answer.bytes_stream()),
        None => back.streaming(answer.bytes_stream()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_repository() {
        let url: Url = "https://b.example/v1/transfers/1/vault/2/".parse().unwrap();
        let http = reqwest::Client::new();
        let door = Door { own: "a".into(), url, user: "u".into(), password: "p".into(), http };
        let below = |rest| door.below(rest, "").map(|url| url.to_string());
        assert_eq!(below("data/24aa").unwrap(), "https://b.example/v1/transfers/1/vault/2/data/24aa");
        assert_eq!(below("").unwrap(), "https://b.example/v1/transfers/1/vault/2/");
        let with_query = door.below("", "create=true").unwrap();
        assert_eq!(with_query.as_str(), "https://b.example/v1/transfers/1/vault/2/?create=true");
        for bad in
            ["../3/config", "/etc/passwd", "//evil.example/x", "https://evil.example/", "data/%2e%2e", "a\\b"]
        {
            assert!(below(bad).is_none(), "{bad}");
        }
    }
}
