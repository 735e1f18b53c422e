//! HTTP probes from the daemon to a machine: what the tenant's customers would see, over a new connection and
//! without asking the DNS for the tenant's domain, which may not point at the machine yet.
//!
//! Certificates are verified against the daemon's usual authorities. Of a machine that makes its own the certificate is told, to be
//! compared with what the machine itself says of it. A machine that has no certificate for the
//! domain yet fails an `https` probe, and the outcome says so.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth_domain::manifest::{Manifest, Probe};
use berth_domain::{Address, ServiceName};
use berth_protocol::{Health, ProbeHealth};
use reqwest::redirect::Policy;
use reqwest::tls::TlsInfo;
use tokio::time::{Instant, sleep, timeout};

/// The most that is read of a body, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(5);

/// The pauses between two rounds grow from the first to the second.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// Sends every probe of a manifest, again and again until all succeed or `limit` is over; tells the last outcome.
/// It says nothing about units. Dropping the future stops it.
pub async fn probe_manifest(address: &Address, manifest: &Manifest, limit: Duration) -> Health {
    let end = Instant::now() + limit;
    let mut pause = PAUSES.0;
    loop {
        let probes = round(address, manifest, end).await;
        let healthy = probes.iter().all(|probe| probe.healthy);
        if healthy || Instant::now() + pause >= end {
            return Health { healthy, units: Vec::new(), probes, also_failed: Vec::new() };
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

async fn round(address: &Address, manifest: &Manifest, end: Instant) -> Vec<ProbeHealth> {
    let mut outcomes = Vec::new();
    for (service, contract) in &manifest.services {
        for probe in contract.probes.iter().filter(|probe| !probe.inside_only) {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
            outcomes.push(probe_http(address, service, probe, left.min(REQUEST)).await);
        }
    }
    outcomes
}

/// Sends one probe to a machine's address and compares the answer with what is expected. Redirects are not followed.
pub async fn probe_http(
    address: &Address,
    service: &ServiceName,
    probe: &Probe,
    limit: Duration,
) -> ProbeHealth {
    let outcome = timeout(limit, async { ask(&addresses(address, &probe.scheme).await?, probe).await }).await;
    of(service, probe, outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", limit.as_secs_f64()))))
}

fn of(service: &ServiceName, probe: &Probe, outcome: Result<Answer, String>) -> ProbeHealth {
    let (status, problem, certificate) = match outcome {
        Ok(answer) => (Some(answer.status), judge(probe, answer.status, &answer.body), answer.certificate),
        Err(problem) => (None, Some(problem), None),
    };
    let healthy = problem.is_none();
    ProbeHealth { service: service.to_string(), probe: probe.clone(), status, healthy, problem, certificate }
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
    /// The certificate that was shown, DER in Base64, where any will do.
    certificate: Option<String>,
}

pub(crate) async fn addresses(address: &Address, scheme: &str) -> Result<Vec<SocketAddr>, String> {
    let port = if scheme == "https" { 443 } else { 80 };
    let found = tokio::net::lookup_host((address.as_str(), port)).await;
    found.map(Iterator::collect).map_err(|error| format!("{address} is not found: {error}"))
}

async fn ask(addresses: &[SocketAddr], probe: &Probe) -> Result<Answer, String> {
    let client = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    let client =
        client.tls_danger_accept_invalid_certs(probe.any_certificate).tls_info(probe.any_certificate);
    // To read the authorities takes longer than to ask.
    let client = match probe.scheme == "https" && !probe.any_certificate {
        true => client,
        false => client.tls_certs_only([]),
    };
    let client = client.resolve_to_addrs(&probe.host, addresses).build().map_err(|error| words(&error))?;
    let url = format!("{}://{}{}", probe.scheme, probe.host, probe.path);
    let mut response = client.get(url).send().await.map_err(|error| words(&error))?;
    let shown = response.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let certificate = shown.map(|der| STANDARD.encode(der));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| words(&error))? {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_BODY - body.len())]);
        if body.len() == MAX_BODY {
            break;
        }
    }
    Ok(Answer { status: response.status().as_u16(), body, certificate })
}

fn judge(probe: &Probe, status: u16, body: &[u8]) -> Option<String> {
    if status != probe.status {
        return Some(format!("answered {status} instead of {}", probe.status));
    }
    let wanted = probe.contains.as_deref()?;
    let there = wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted.as_bytes());
    (!there).then(|| format!("the answer does not contain “{wanted}”"))
}

/// An error with its causes, the innermost of which usually tells most.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    /// Answers one request and returns what was asked.
    async fn serve(answer: Vec<u8>) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.unwrap();
            // Who has read enough hangs up.
            let _ = stream.write_all(&answer).await;
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (address, serving)
    }

    fn probe(status: u16, contains: Option<&str>) -> Probe {
        let (name, host, scheme, path) = ("front page", "git.acme.example", "http", "/api/healthz");
        let [name, host, scheme, path] = [name, host, scheme, path].map(str::to_owned);
        Probe {
            name,
            host,
            scheme,
            path,
            status,
            contains: contains.map(str::to_owned),
            inside_only: false,
            any_certificate: false,
        }
    }

    async fn outcome(answer: &str, probe: &Probe) -> ProbeHealth {
        let (address, serving) = serve(answer.as_bytes().to_vec()).await;
        let outcome = of(&"gitea".parse().unwrap(), probe, ask(&[address], probe).await);
        let asked = serving.await.unwrap();
        assert!(asked.starts_with("GET /api/healthz HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("host: git.acme.example\r\n"), "{asked}");
        outcome
    }

    #[tokio::test]
    async fn the_machine_is_asked_for_the_services_host_without_asking_the_dns_for_it() {
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npass";
        let health = outcome(answer, &probe(200, Some("pass"))).await;
        assert_eq!((health.healthy, health.status, health.problem), (true, Some(200), None));
        let health = outcome(answer, &probe(200, Some("fail"))).await;
        assert_eq!(health.problem.as_deref(), Some("the answer does not contain “fail”"));
        let health = outcome(answer, &probe(204, None)).await;
        assert_eq!(
            (health.status, health.problem.as_deref()),
            (Some(200), Some("answered 200 instead of 204"))
        );
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_followed() {
        let answer = "HTTP/1.1 301 Moved\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n";
        assert!(outcome(answer, &probe(301, None)).await.healthy);
    }

    #[tokio::test]
    async fn an_endless_body_is_read_in_part_only() {
        let answer = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 8 * MAX_BODY]].concat();
        let (address, _serving) = serve(answer).await;
        let answer = ask(&[address], &probe(200, None)).await.unwrap();
        assert_eq!(answer.body.len(), MAX_BODY);
    }

    #[tokio::test]
    async fn a_closed_port_is_said_in_words() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let problem = ask(&[closed], &probe(200, None)).await.err().unwrap();
        assert!(problem.contains("Connection refused"), "{problem}");
    }
}
