//! A machine's services as a visitor sees them: through its web server, by their names.

use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_testbed::Machine;
use reqwest::StatusCode;
use reqwest::header::HOST;

/// A page as it was served.
#[derive(Debug, Clone)]
pub struct Page {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub text: String,
}

/// A client for HTTP without TLS, which is never answered by a proxy.
///
/// # Errors
/// If it cannot be set up.
pub fn http() -> Result<reqwest::Client> {
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(Duration::from_secs(20));
    Ok(client.redirect(reqwest::redirect::Policy::none()).build()?)
}

/// Gets a page of a machine under a name that no DNS knows.
///
/// # Errors
/// If nothing is served at all.
pub async fn get(machine: &Machine, host: &str, path: &str) -> Result<Page> {
    let url = format!("http://{}{path}", machine.address());
    let response =
        http()?.get(&url).header(HOST, host).send().await.with_context(|| format!("{host}{path}"))?;
    Ok(Page { status: response.status(), text: response.text().await? })
}
