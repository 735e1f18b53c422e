//! Asks an HTTP server as fast as it answers, over a fixed number of connections.
//!
//! It writes and reads plain HTTP/1.1 by itself, because it shares two cores with what it measures: a client that does
//! more would be measured as well.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The paths; each connection takes them in turn, from another one on.
    pub paths: Vec<String>,
    /// The bearer token, if one is sent.
    pub token: Option<String>,
    /// How many connections there are; each waits for its answer before it asks again.
    pub connections: usize,
}

/// What it came to.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Answers a second, over all connections.
    pub rps: f64,
    /// What 99 of 100 answers stayed below.
    pub p99: Duration,
}

impl Load {
    /// Asks for so long. The connections are made before.
    ///
    /// # Errors
    /// If the server answers anything but 200, or goes away.
    pub async fn run(&self, duration: Duration) -> Result<Measured> {
        let mut connections = Vec::new();
        for number in 0..self.connections {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            connections.push((number, stream));
        }
        let requests: std::sync::Arc<Vec<Vec<u8>>> =
            self.paths.iter().map(|path| self.request(path)).collect::<Vec<_>>().into();
        let start = Instant::now();
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|(number, stream)| {
                let first = number * requests.len() / self.connections;
                tokio::spawn(ask(stream, std::sync::Arc::clone(&requests), first, start + duration))
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await??);
        }
        let took = start.elapsed();
        latencies.sort_unstable();
        let p99 = *latencies.get(latencies.len() * 99 / 100).context("no answer came")?;
        #[allow(clippy::cast_precision_loss)]
        let rps = latencies.len() as f64 / took.as_secs_f64();
        Ok(Measured { rps, p99 })
    }

    fn request(&self, path: &str) -> Vec<u8> {
        let token =
            self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{token}\r\n", self.address).into_bytes()
    }
}

/// Asks until `end`; the result is how long each answer took.
async fn ask(
    mut stream: TcpStream,
    requests: std::sync::Arc<Vec<Vec<u8>>>,
    first: usize,
    end: Instant,
) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    let mut buffer = Vec::with_capacity(16 << 10);
    for request in requests.iter().cycle().skip(first) {
        let start = Instant::now();
        if start >= end {
            break;
        }
        stream.write_all(request).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

/// Reads one answer to its end, which its Content-Length tells.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            bail!("the server closed the connection: {}", String::from_utf8_lossy(buffer));
        }
        let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let length = content_length(&buffer[..head]).context("an answer without Content-Length")?;
        while buffer.len() < head + 4 + length {
            if stream.read_buf(buffer).await? == 0 {
                bail!("the answer broke off");
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200 ") {
            bail!("{}", String::from_utf8_lossy(buffer));
        }
        return Ok(());
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok()?;
    let (_, value) = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}
