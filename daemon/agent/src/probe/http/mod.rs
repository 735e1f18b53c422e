//! One HTTP request to the machine's own web server.
//!
//! HTTP/1.0 (RFC 1945) is all that is needed: one request, one answer, whose body ends with the connection and is not
//! cut into chunks.

mod https;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use berth_domain::manifest::Probe;

/// How long a request may take in all.
const LIMIT: Duration = Duration::from_secs(5);

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The certificate that was shown, DER in Base64.
    pub(super) certificate: Option<String>,
}

/// Sends a probe to this machine's own address.
pub(super) fn get(probe: &Probe) -> Result<Answer, String> {
    match probe.scheme.as_str() {
        "http" => get_from(SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), probe, LIMIT),
        "https" => https::get(probe),
        scheme => Err(format!("{scheme} is not something that can be probed")),
    }
}

fn get_from(server: SocketAddr, probe: &Probe, limit: Duration) -> Result<Answer, String> {
    let request = request(probe)?;
    let end = Instant::now() + limit;
    let mut stream =
        TcpStream::connect_timeout(&server, limit).map_err(|error| format!("cannot connect: {error}"))?;
    let written = stream.set_write_timeout(Some(limit)).and_then(|()| stream.write_all(request.as_bytes()));
    written.map_err(|error| format!("cannot ask: {error}"))?;
    parse(&read(&mut stream, end, limit)?)
}

/// Refuses what would mean something else in a request or a URL than a host and a path.
fn check(probe: &Probe) -> Result<(), String> {
    let in_host = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
    let host = !probe.host.is_empty() && !probe.host.starts_with('-') && probe.host.bytes().all(in_host);
    let path = probe.path.starts_with('/') && probe.path.bytes().all(|b| b.is_ascii_graphic());
    if host && path { Ok(()) } else { Err(format!("“{}{}” cannot be asked for", probe.host, probe.path)) }
}

fn request(probe: &Probe) -> Result<String, String> {
    check(probe)?;
    let (path, host) = (&probe.path, &probe.host);
    Ok(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: berth-agent\r\nAccept: */*\r\n\r\n"))
}

fn read(stream: &mut TcpStream, end: Instant, limit: Duration) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    let mut buffer = [0; 8192];
    while answer.len() < MAX_ANSWER {
        let left = end.saturating_duration_since(Instant::now());
        let late = || format!("no answer within {} s", limit.as_secs_f64());
        if left.is_zero() {
            return Err(late());
        }
        let read = stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut buffer));
        match read {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Err(late()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Some servers reset a connection once they have said everything.
            Err(_) if !answer.is_empty() => break,
            Err(error) => return Err(format!("cannot read the answer: {error}")),
        }
    }
    Ok(answer)
}

fn parse(answer: &[u8]) -> Result<Answer, String> {
    let head_end = answer.windows(4).position(|part| part == b"\r\n\r\n");
    let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let status = match (words.next(), words.next()) {
        (Some(version), Some(status)) if version.starts_with("HTTP/1.") => status.parse::<u16>().ok(),
        _ => None,
    };
    match (status, head_end) {
        (Some(status), Some(end)) => {
            Ok(Answer { status, body: answer[end + 4..].to_vec(), certificate: None })
        }
        (_, None) if answer.is_empty() => Err("the connection was closed without an answer".into()),
        _ => Err("the answer is not HTTP".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn probe(path: &str) -> Probe {
        Probe {
            name: "front page".into(),
            host: "git.acme.example".into(),
            scheme: "http".into(),
            path: path.into(),
            status: 200,
            contains: None,
            inside_only: false,
            any_certificate: false,
        }
    }

    /// Serves one connection: reads the request's head, writes these parts, and returns the head.
    fn serve(parts: Vec<Vec<u8>>, pause: Duration) -> (SocketAddr, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            for part in parts {
                if stream.write_all(&part).is_err() {
                    break;
                }
                std::thread::sleep(pause);
            }
            String::from_utf8(head).unwrap()
        });
        (address, server)
    }

    #[test]
    fn the_machines_own_server_is_asked_for_the_services_host() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>Gitea</h1>".to_vec();
        let (address, server) = serve(vec![answer], Duration::ZERO);
        let answer = get_from(address, &probe("/api/healthz"), LIMIT).unwrap();
        assert_eq!(answer, Answer { status: 200, body: b"<h1>Gitea</h1>".to_vec(), certificate: None });
        let head = server.join().unwrap();
        assert!(head.starts_with("GET /api/healthz HTTP/1.0\r\nHost: git.acme.example\r\n"), "{head}");
    }

    #[test]
    fn a_server_that_dawdles_is_not_waited_for_beyond_the_limit() {
        let parts = vec![b"HTTP/1.1 200 OK\r\n".to_vec(); 50];
        let (address, _server) = serve(parts, Duration::from_millis(50));
        let began = Instant::now();
        let problem = get_from(address, &probe("/"), Duration::from_millis(300)).unwrap_err();
        assert_eq!(problem, "no answer within 0.3 s");
        assert!(began.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn an_endless_answer_is_read_in_part_only() {
        let mut parts = vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()];
        parts.extend(vec![vec![b'x'; MAX_ANSWER]; 64]);
        let (address, _server) = serve(parts, Duration::ZERO);
        let answer = get_from(address, &probe("/"), LIMIT).unwrap();
        assert!(answer.body.len() <= MAX_ANSWER + 8192);
    }

    #[test]
    fn what_is_no_answer_is_said_in_words() {
        let problem = |answer: &[u8]| {
            let (address, _server) = serve(vec![answer.to_vec()], Duration::ZERO);
            get_from(address, &probe("/"), LIMIT).unwrap_err()
        };
        assert_eq!(problem(b""), "the connection was closed without an answer");
        assert_eq!(problem(b"SSH-2.0-OpenSSH\r\n"), "the answer is not HTTP");
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(get_from(closed, &probe("/"), LIMIT).unwrap_err().starts_with("cannot connect"));
    }

    #[test]
    fn a_path_that_would_bring_headers_of_its_own_is_not_asked_for() {
        assert!(request(&probe("/\r\nX: y")).is_err());
        assert!(request(&probe("relative")).is_err());
        assert!(request(&probe("/ x")).is_err());
        assert!(request(&Probe { host: "a/b@c".into(), ..probe("/") }).is_err());
    }
}
