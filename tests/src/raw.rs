//! Requests as any program could send them, where the typed client would not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use berth_contract::Problem;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::contract;

/// Sends requests to a daemon with a token, or without one.
#[derive(Debug, Clone)]
pub struct Raw {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub body: String,
}

impl Raw {
    /// With a token.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn with(base: &str, token: &str) -> Result<Self> {
        Self::new(base, Some(token), Ipv4Addr::LOCALHOST)
    }

    /// Without one, or with one that will be refused. Each comes from another address of this host, so that failures
    /// do not add up to a guesser's.
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn stranger(base: &str, token: Option<&str>) -> Result<Self> {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self::new(base, token, Ipv4Addr::new(127, 77, high, low.max(1)))
    }

    fn new(base: &str, token: Option<&str>, from: Ipv4Addr) -> Result<Self> {
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(60));
        let http = client.local_address(IpAddr::V4(from)).build()?;
        Ok(Self { base: base.to_owned(), token: token.map(str::to_owned), http })
    }

    /// A request, to be completed and sent.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Gets something.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Sends JSON.
    ///
    /// # Errors
    /// If no answer comes.
    pub async fn send(&self, method: Method, path: &str, body: &Value) -> Result<Answer> {
        self.answer(self.request(method, path).json(body)).await
    }

    /// Sends a request and reads the answer to its end, which must keep the contract.
    ///
    /// # Errors
    /// If no answer comes, it breaks off, or it is not foreseen.
    pub async fn answer(&self, request: RequestBuilder) -> Result<Answer> {
        let request = request.build()?;
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Answer::read(self.http.execute(request).await?).await?;
        contract::check(&method, &path, answer.status, &answer.headers, &answer.body)?;
        Ok(answer)
    }
}

impl Answer {
    async fn read(response: Response) -> Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Self { status, headers, body: response.text().await? })
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{}: {}", self.status, self.body))
    }

    /// The problem that this is; it must be one in every respect.
    ///
    /// # Errors
    /// If it is none.
    pub fn problem(&self) -> Result<Problem> {
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        ensure!(kind == "application/problem+json", "{}: {kind}: {}", self.status, self.body);
        let problem: Problem = serde_json::from_str(&self.body).with_context(|| self.body.clone())?;
        ensure!(problem.status == self.status.as_u16(), "{} says it is {}", self.status, problem.status);
        ensure!(!problem.title.is_empty() && !problem.detail.is_empty(), "{problem:?} says nothing");
        ensure!(problem.code() != problem.kind, "{} is no type of ours", problem.kind);
        Ok(problem)
    }
}
