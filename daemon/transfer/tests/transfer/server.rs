//! A server of a few lines that answers as a test tells it, also as no HTTP library would.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_transfer::{Bounds, Statement as _, Target, Ticket};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{target_key, ticket, view};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path`
    pub line: String,
    /// Header names are in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn nonce(&self) -> &str {
        &self.headers["berth-nonce"]
    }

    /// What the target answers if all is well.
    pub fn answered(&self) -> Reply {
        Reply::jose(&view(self.nonce()).sign(&target_key()))
    }
}

/// What to do about a request.
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then silence.
    Stall(String),
    /// These bytes, and then more and more.
    Flood(String),
}

impl Reply {
    pub fn new(status: u16, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        Self::Bytes([head.as_bytes(), body].concat())
    }

    pub fn jose(jws: &str) -> Self {
        Self::new(200, "content-type: application/jose\r\n", jws.as_bytes())
    }

    pub fn problem(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "content-type: application/problem+json\r\n", body.to_string().as_bytes())
    }
}

/// A running server; what it was asked is kept.
pub struct Server {
    pub ticket: Ticket,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts one that answers so.
    pub async fn start(reply: impl Fn(&Request) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ticket = ticket(&format!("http://{}/berth/", listener.local_addr().unwrap()));
        let requests = Arc::default();
        tokio::spawn(serve(listener, reply, Arc::clone(&requests)));
        Self { ticket, requests }
    }

    /// The way to it, with bounds that tests do not wait long for.
    pub fn target(&self) -> Target {
        let bounds = Bounds { whole: Duration::from_millis(500), ..Bounds::default() };
        Target::with_bounds(&self.ticket, bounds).unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    reply: impl Fn(&Request) -> Reply + Send + 'static,
    requests: Arc<Mutex<Vec<Request>>>,
) {
    while let Ok((connection, _)) = listener.accept().await {
        let (request, connection) = read(connection).await;
        let reply = reply(&request);
        requests.lock().unwrap().push(request);
        tokio::spawn(answer(connection, reply));
    }
}

async fn read(connection: TcpStream) -> (Request, TcpStream) {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.unwrap() == 0 || line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let mut lines = lines.into_iter();
    let line = lines.next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
    let pairs = lines.filter_map(|line| {
        line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()))
    });
    let headers: HashMap<String, String> = pairs.collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    (Request { line, headers, body: String::from_utf8(body).unwrap() }, reader.into_inner())
}

async fn answer(mut connection: TcpStream, reply: Reply) {
    match reply {
        Reply::Bytes(bytes) => {
            let _ = connection.write_all(&bytes).await;
            let _ = connection.shutdown().await;
        }
        Reply::Stall(bytes) => {
            let _ = connection.write_all(bytes.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        Reply::Flood(bytes) => {
            let _ = connection.write_all(bytes.as_bytes()).await;
            while connection.write_all(&[b'a'; 1 << 16]).await.is_ok() {}
        }
    }
}
