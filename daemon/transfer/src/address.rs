//! Where a ticket may lead.

use std::net::IpAddr;

use reqwest::Url;

use crate::ticket::TicketError;

/// `https`, or `http` to this machine itself; neither user, password, query nor fragment.
pub(crate) fn check_url(url: &Url) -> Result<(), TicketError> {
    let bad = |reason| Err(TicketError::Url { url: shown(url), reason });
    if !url.username().is_empty() || url.password().is_some() {
        return bad("there must be no user and no password in it");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return bad("it must end with its path");
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_loopback(url) => Ok(()),
        "http" => bad("what is sent there could be read on the way; it must begin with https://"),
        _ => bad("it must begin with https://"),
    }
}

/// Whether it leads to this machine itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Only what may be in a url that is used: a password may stand in the rest.
fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}", url.scheme(), url.host_str().unwrap_or_default())
}
