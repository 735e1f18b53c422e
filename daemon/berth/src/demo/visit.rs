//! Asking the services for their front page, as a visitor's browser would: by their names, at the machine's address.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use berth_contract::Tenant;
use reqwest::Url;

use super::record::Visited;
use crate::failure::{Failure, Result};

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Set by the stand-ins of the rehearsal platform.
const STAND_IN: &str = "x-stand-in";

/// Asks every service of a tenant, one after the other.
pub(super) async fn all(tenant: &Tenant, machine: Ipv4Addr) -> Result<Vec<Visited>> {
    let mut visited = Vec::new();
    for (name, url) in &tenant.urls {
        visited.push(one(name.as_str(), url, machine).await?);
    }
    Ok(visited)
}

/// A client that finds a host at an address. No name server knows the demo's names; the `Host` header is the right one all the
/// same.
pub(super) fn client(host: &str, at: SocketAddr) -> Result<reqwest::Client> {
    let built = reqwest::Client::builder()
        .resolve(host, at)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .tls_certs_only([])
        .no_proxy()
        .build();
    built.map_err(|error| Failure::local(error.to_string()))
}

async fn one(name: &str, address: &str, machine: Ipv4Addr) -> Result<Visited> {
    let url = Url::parse(address)
        .map_err(|error| Failure::local(format!("the daemon names “{address}” as an address: {error}")))?;
    let host = url.host_str().unwrap_or_default().to_owned();
    let port = url.port_or_known_default().unwrap_or(80);
    let client = client(&host, SocketAddr::new(IpAddr::V4(machine), port))?;
    let visited = Visited {
        name: name.to_owned(),
        url: address.to_owned(),
        status: None,
        ok: false,
        stand_in: false,
        said: String::new(),
    };
    let response = match client.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Ok(Visited { said: root_cause(&error), ..visited }),
    };
    let status = response.status();
    let stand_in = response.headers().contains_key(STAND_IN);
    let page = response.text().await.unwrap_or_default();
    let said = title(&page).unwrap_or_else(|| page.trim().chars().take(80).collect());
    Ok(Visited { status: Some(status.as_u16()), ok: status.is_success(), stand_in, said, ..visited })
}

/// The innermost reason: the outer ones only say that a request failed.
fn root_cause(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// The title of an HTML page.
fn title(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    let text = entities.iter().fold(title.trim().to_owned(), |text, (entity, c)| text.replace(entity, c));
    Some(text.chars().filter(|c| !c.is_control()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_title_is_what_a_visitor_would_read() {
        assert_eq!(title("<title>\nA &amp; B&#x27;s </title>").as_deref(), Some("A & B's"));
        assert_eq!(title("OK"), None);
    }

    #[tokio::test]
    async fn a_service_that_nobody_answers_for_is_said_to_be_so() {
        let visited = one("gitea", "http://git.acme.example:1/", Ipv4Addr::LOCALHOST).await.unwrap();
        assert_eq!((visited.status, visited.ok), (None, false));
        assert!(!visited.said.is_empty());
    }
}
