//! One request: its timeout, sending it again, reading the answer.

use std::time::Duration;

use berth_contract::{Page, Problem};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::client::Client;
use crate::download::Download;
use crate::error::{ClientError, Result};
use crate::pause;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// The longest that the daemon's `Retry-After` is obeyed by itself; for more, the caller decides.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How long an answer may take for which the daemon asks somebody else.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many items a page is asked for; the API's limit.
const PAGE: usize = 200;

/// When a request may be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Whenever no answer came: it changes nothing, or the daemon knows it by its key.
    Always,
    /// Only if no connection came about.
    IfUnsent,
}

/// A request that was not sent yet.
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    again: Again,
    /// How long the answer may take.
    after: Duration,
}

/// What came back, of a status that is no error.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    body: Vec<u8>,
    url: String,
}

impl Client {
    pub(crate) fn get(&self, segments: &[&str]) -> Call<'_> {
        Call::new(self, Method::GET, self.route(segments), Again::Always)
    }

    pub(crate) fn put(&self, segments: &[&str]) -> Call<'_> {
        Call::new(self, Method::PUT, self.route(segments), Again::IfUnsent)
    }

    pub(crate) fn delete(&self, segments: &[&str]) -> Call<'_> {
        Call::new(self, Method::DELETE, self.route(segments), Again::IfUnsent)
    }

    /// A post with a key of its own: one intent, however often it is sent.
    pub(crate) fn post(&self, segments: &[&str]) -> Call<'_> {
        let key = HeaderValue::try_from(Uuid::now_v7().to_string());
        Call::new(self, Method::POST, self.route(segments), Again::Always)
            .header(HeaderName::from_static("idempotency-key"), key.ok())
    }

    /// The items of a list from its beginning: at most `limit`, in as many pages as it takes.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        filter: &[(&str, String)],
        limit: usize,
    ) -> Result<Vec<T>> {
        let mut items: Vec<T> = Vec::new();
        let mut after: Option<String> = None;
        while items.len() < limit {
            let mut call = self.get(segments).query("limit", (limit - items.len()).min(PAGE));
            for (name, value) in filter {
                call = call.query(name, value);
            }
            if let Some(cursor) = &after {
                call = call.query("after", cursor);
            }
            let page: Page<T> = call.read().await?;
            let empty = page.items.is_empty();
            items.extend(page.items);
            match page.next {
                // A page without items that promises more would be asked for for ever.
                Some(next) if !empty => after = Some(next),
                _ => break,
            }
        }
        items.truncate(limit);
        Ok(items)
    }
}

impl<'a> Call<'a> {
    fn new(client: &'a Client, method: Method, url: Url, again: Again) -> Self {
        let after = client.options.timeout;
        Self { client, method, url, headers: HeaderMap::new(), body: None, again, after }
    }

    /// The daemon itself asks somebody first, who may take a while.
    pub(crate) fn patiently(mut self) -> Self {
        self.after = self.after.max(PATIENCE);
        self
    }

    pub(crate) fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.url.query_pairs_mut().append_pair(name, &value.to_string());
        self
    }

    /// Adds a header if there is a value.
    pub(crate) fn header(mut self, name: HeaderName, value: Option<HeaderValue>) -> Self {
        if let Some(value) = value {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        // The API's bodies have text keys and no floats, so they can always be written.
        self.body = serde_json::to_vec(body).ok();
        self
    }

    /// Sends it, and reads the body of the answer.
    pub(crate) async fn read<T: DeserializeOwned>(self) -> Result<T> {
        self.send().await?.read()
    }

    /// Sends it, again where that is allowed and may help.
    pub(crate) async fn send(self) -> Result<Answer> {
        let mut attempt = 1;
        loop {
            let error = match self.send_once().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = self.wait_after(&error, attempt) else { return Err(error) };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Sends it once, and leaves the body of the answer to be read piece by piece.
    pub(crate) async fn download(self) -> Result<Download> {
        let (after, url) = (self.client.options.timeout, self.url.to_string());
        let failed = |error: reqwest::Error| ClientError::of(&url, &error, after);
        let request =
            self.client.http.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        let late = |_| ClientError::Timeout { url: url.clone(), after };
        let response = tokio::time::timeout(after, request.send()).await.map_err(late)?.map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            let body = response.bytes().await.map_err(failed)?;
            return Err(refusal(&url, status, &body));
        }
        Ok(Download::new(response, url, after))
    }

    /// The client, the request without a body, and its address.
    pub(crate) fn begun(self) -> (&'a Client, reqwest::RequestBuilder, String) {
        let url = self.url.to_string();
        (self.client, self.client.http.request(self.method, self.url).headers(self.headers), url)
    }

    /// How long to wait before sending it again; `None` if it must not be, or it would not help.
    fn wait_after(&self, error: &ClientError, attempt: u32) -> Option<Duration> {
        let options = &self.client.options;
        let may = attempt < options.attempts
            && (self.again == Again::Always || matches!(error, ClientError::Unreachable { .. }));
        let pause = pause::before(attempt, options.pause);
        match error {
            _ if !may => None,
            ClientError::Refused(problem) if matches!(problem.status, 429 | 502..=504) => {
                let wanted = problem.retry_after.map_or(pause, Duration::from_secs);
                (wanted <= LONGEST_WAIT).then_some(wanted.max(pause))
            }
            ClientError::Unreachable { .. }
            | ClientError::Timeout { .. }
            | ClientError::Interrupted { .. } => Some(pause),
            _ => None,
        }
    }

    async fn send_once(&self) -> Result<Answer> {
        let after = self.after;
        let url = self.url.to_string();
        let failed = |error: reqwest::Error| ClientError::of(&url, &error, after);
        let mut request = self.client.http.request(self.method.clone(), self.url.clone());
        request = request.timeout(after).headers(self.headers.clone());
        if let Some(body) = &self.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                let reason = format!("it is longer than {LONGEST_ANSWER} bytes");
                return Err(ClientError::Garbled { url, reason });
            }
        }
        let answer = Answer { status, body, url };
        if status.is_success() { Ok(answer) } else { Err(answer.refusal()) }
    }
}

impl Answer {
    /// Reads the body.
    pub(crate) fn read<T: DeserializeOwned>(self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|error| ClientError::Garbled { url: self.url, reason: error.to_string() })
    }

    fn refusal(self) -> ClientError {
        refusal(&self.url, self.status, &self.body)
    }
}

/// What an answer of a status that is an error means.
pub(crate) fn refusal(url: &str, status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Refused(Box::new(problem)),
        // A proxy between us and a daemon that is being restarted answers so.
        Err(_) if matches!(status.as_u16(), 502..=504) => {
            ClientError::Interrupted { url: url.to_owned(), reason: status.to_string() }
        }
        Err(_) => {
            let beginning: String = String::from_utf8_lossy(body).trim().chars().take(200).collect();
            let reason = format!("{status} without a problem’s description: {beginning}");
            ClientError::Garbled {
                url: url.to_owned(),
                reason: reason.trim_end_matches([':', ' ']).to_owned(),
            }
        }
    }
}
