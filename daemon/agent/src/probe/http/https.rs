//! The same over TLS, by the machine's `curl`: a TLS library would multiply the agent's size.
//!
//! The certificate is not verified, since this connection does not leave the machine; whether a certificate is good
//! is what customers see, and the daemon asks from where they are. It is told, so that the daemon knows the machine's own.

use berth_domain::manifest::Probe;

use super::{Answer, LIMIT, MAX_ANSWER, check};
use crate::programs::{command, run};

pub(super) fn get(probe: &Probe) -> Result<Answer, String> {
    check(probe)?;
    let mut curl = command("curl").map_err(|failure| failure.message)?;
    curl.args([
        "--disable",
        "--silent",
        "--show-error",
        "--insecure",
        "--globoff",
        "--path-as-is",
        "--noproxy",
        "*",
    ]);
    curl.args([
        "--proto",
        "=https",
        "--http1.1",
        "--connect-to",
        "::127.0.0.1:443",
        "--user-agent",
        "berth-agent",
    ]);
    curl.arg("--max-time").arg(LIMIT.as_secs().to_string()).args([
        "--write-out",
        // The certificates apart from the body (curl 7.88 and later).
        "%{stderr}%{certs}%{stdout}\n%{http_code}",
        "--output",
        "-",
    ]);
    curl.arg("--url").arg(format!("https://{}{}", probe.host, probe.path));
    // curl keeps the limit by itself; a little more lets it say so.
    let output = run(curl, LIMIT * 2).map_err(|failure| failure.message)?;
    match output.status.success() {
        true => parse(&output.stdout).map(|answer| Answer { certificate: first(&output.stderr), ..answer }),
        false => Err(output.stderr.trim().to_owned()),
    }
}

/// The body, and the status code on a line of its own after it.
fn parse(output: &str) -> Result<Answer, String> {
    let (body, status) = output.rsplit_once('\n').ok_or("curl told no status")?;
    let status = status.parse().map_err(|_| "curl told no status")?;
    let body = body.as_bytes();
    Ok(Answer { status, body: body[..body.len().min(MAX_ANSWER)].to_vec(), certificate: None })
}

/// The server's own certificate, which comes first: what stands between the lines of its PEM (RFC 7468).
fn first(certificates: &str) -> Option<String> {
    let (_, pem) = certificates.split_once("-----BEGIN CERTIFICATE-----")?;
    let (base64, _) = pem.split_once("-----END CERTIFICATE-----")?;
    Some(base64.split_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_last_line() {
        assert_eq!(
            parse("<h1>\n200 OK\n</h1>\n503"),
            Ok(Answer { status: 503, body: b"<h1>\n200 OK\n</h1>".to_vec(), certificate: None })
        );
        assert_eq!(parse("\n200"), Ok(Answer { status: 200, body: Vec::new(), certificate: None }));
        assert!(parse("").is_err());
    }

    #[test]
    fn the_servers_certificate_is_the_first() {
        let pem = |text: &str| format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let told = format!("Subject:CN = git.acme.example\nCert:{}{}", pem("AAAA\nBB=="), pem("CCCC"));
        assert_eq!(first(&told).as_deref(), Some("AAAABB=="));
        assert_eq!(first("curl: unknown --write-out variable: 'certs'\n"), None);
    }
}
