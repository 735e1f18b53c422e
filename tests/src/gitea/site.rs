//! What people do with a Gitea: through the API, as a browser, and with Git.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::flake::run;
use crate::web;

/// The cookie in which NixOS keeps who is signed in (`session.COOKIE_NAME`).
const SESSION: &str = "session";

/// A Gitea as it is seen by its name, which no DNS knows, at one address.
#[derive(Debug, Clone)]
pub struct Site {
    address: Ipv4Addr,
    host: String,
    http: reqwest::Client,
    token: String,
}

impl Site {
    /// What `token` opens of the host at this address.
    ///
    /// # Errors
    /// If no client can be set up.
    pub fn new(address: Ipv4Addr, host: &str, token: &str) -> Result<Self> {
        Ok(Self { address, host: host.to_owned(), http: web::http()?, token: token.to_owned() })
    }

    /// What the API answers.
    ///
    /// # Errors
    /// If it refuses, or nobody answers.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// What the API answers to something new.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: Value) -> Result<Value> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.request(method, &format!("/api/v1{path}"));
        request = request.header(AUTHORIZATION, format!("token {}", self.token));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let text = succeeded(path, request.send().await?).await?.text().await?;
        serde_json::from_str(&text).with_context(|| format!("{path}: {text}"))
    }

    /// Attaches a file to an issue; the path at which it is found afterwards.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn attach(&self, issue: &str, file: &str, content: &[u8]) -> Result<String> {
        const BOUNDARY: &str = "a-boundary-that-no-content-has";
        let mut body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"{file}\"\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(content);
        body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let path = format!("/api/v1{issue}/assets");
        let request = self
            .request(Method::POST, &path)
            .header(AUTHORIZATION, format!("token {}", self.token))
            .header(CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
        let answer: Value = succeeded(&path, request.body(body).send().await?).await?.json().await?;
        let url = answer["browser_download_url"].as_str().context("an address")?;
        let path = url.strip_prefix(&format!("http://{}", self.host));
        Ok(path.with_context(|| format!("{url} is elsewhere"))?.to_owned())
    }

    /// The bytes at a path that everybody may see.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn download(&self, path: &str) -> Result<Vec<u8>> {
        let answer = self.request(Method::GET, path).send().await?;
        Ok(succeeded(path, answer).await?.bytes().await?.to_vec())
    }

    /// Signs in as a browser does; the cookie by which it is known from then on.
    ///
    /// # Errors
    /// If it is not let in.
    pub async fn sign_in(&self, user: &str, password: &str) -> Result<String> {
        let page = self.request(Method::GET, "/user/login").send().await?;
        let anonymous = session(&page);
        let page = succeeded("/user/login", page).await?.text().await?;
        ensure!(page.contains("name=\"user_name\""), "no form to sign in: {page}");
        let form =
            [("user_name", user), ("password", password)].map(|(name, value)| format!("{name}={value}"));
        let mut request = self
            .request(Method::POST, "/user/login")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.join("&"));
        if let Some(anonymous) = &anonymous {
            request = request.header(COOKIE, anonymous);
        }
        let answer = request.send().await?;
        ensure!(answer.status().is_redirection(), "not let in: {answer:?}");
        session(&answer).or(anonymous).context("a session")
    }

    /// Whether a browser with this cookie is signed in: it is shown what only its user may see.
    ///
    /// # Errors
    /// If nobody answers, or something unexpected.
    pub async fn is_signed_in(&self, cookie: &str) -> Result<bool> {
        let answer = self.request(Method::GET, "/user/settings").header(COOKIE, cookie).send().await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            status if status.is_redirection() => Ok(false),
            _ => anyhow::bail!("{answer:?}"),
        }
    }

    /// The address of a repository of somebody who signs in with the token.
    pub fn repository(&self, path: &str) -> String {
        format!("http://token:{}@{}/{path}.git", self.token, self.host)
    }

    /// What Git prints. It reaches the site by taking the machine for a proxy, as does its helper for large files: the web server
    /// there goes by the name that it is asked for.
    ///
    /// # Errors
    /// If it fails.
    pub fn git(&self, folder: &Path, words: &[&str]) -> Result<String> {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder).args(words);
        // Nothing of this host's own configuration.
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("HOME", folder);
        git.env("GIT_TERMINAL_PROMPT", "0").env("http_proxy", format!("http://{}:80", self.address));
        for name in ["HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"] {
            git.env_remove(name);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Ann").env(format!("GIT_{role}_EMAIL"), "ann@acme.example");
        }
        Ok(run(&mut git)?.trim().to_owned())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.address)).header(HOST, &self.host)
    }
}

async fn succeeded(path: &str, answer: Response) -> Result<Response> {
    let status = answer.status();
    if !status.is_success() {
        anyhow::bail!("{path}: {status}: {}", answer.text().await?);
    }
    Ok(answer)
}

/// The cookie of a session that an answer sets.
fn session(answer: &Response) -> Option<String> {
    let set = answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    set.filter_map(|value| value.split(';').next())
        .rfind(|pair| pair.split_once('=').is_some_and(|(name, value)| name == SESSION && !value.is_empty()))
        .map(str::to_owned)
}
