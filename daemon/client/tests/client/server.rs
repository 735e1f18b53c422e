//! A server of a few lines that does what a test tells it, also what no HTTP library would do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_client::{Client, ClientOptions};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path?query`.
    pub line: String,
    /// Header names are in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What to do about a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(String),
    /// These bytes, then silence.
    Stall(String),
    /// The end of the connection without a word.
    HangUp,
}

impl Reply {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        let body = body.to_string();
        Self::Bytes(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    pub fn problem(status: u16, code: &str, more: &serde_json::Value) -> Self {
        let mut body = serde_json::json!({
            "type": format!("urn:berth:problem:{code}"), "title": "Title", "status": status, "detail": "detail"
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        Self::json(status, &body)
    }

    pub fn stream(text: &str) -> Self {
        Self::Bytes(stream_head() + text)
    }

    pub fn stalled_stream(text: &str) -> Self {
        Self::Stall(stream_head() + text)
    }
}

fn stream_head() -> String {
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n".to_owned()
}

/// A running server; what it was asked is kept.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Starts one that gives these replies, in order; the last one again and again.
    pub async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(serve(listener, replies, Arc::clone(&requests)));
        Self { url, requests }
    }

    pub fn client(&self) -> Client {
        Client::with_options(&self.url, "berth_test".into(), quick()).unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Bounds that tests do not wait long for.
pub fn quick() -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_millis(300),
        attempts: 3,
        pause: Duration::from_millis(5),
        stream_silence: Duration::from_millis(200),
        stream_attempts: 4,
        ..ClientOptions::default()
    }
}

async fn serve(listener: TcpListener, replies: Vec<Reply>, requests: Arc<Mutex<Vec<Request>>>) {
    while let Ok((connection, _)) = listener.accept().await {
        let request = read(connection).await;
        let (request, connection) = request;
        let reply = {
            let mut requests = requests.lock().unwrap();
            requests.push(request);
            replies[(requests.len() - 1).min(replies.len() - 1)].clone()
        };
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
    let line = lines.next().unwrap_or_default();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.unwrap();
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    (Request { line, headers, body: String::from_utf8(body).unwrap() }, reader.into_inner())
}

async fn answer(mut connection: TcpStream, reply: Reply) {
    match reply {
        Reply::HangUp => {}
        Reply::Bytes(bytes) => {
            let _ = connection.write_all(bytes.as_bytes()).await;
            let _ = connection.shutdown().await;
        }
        Reply::Stall(bytes) => {
            let _ = connection.write_all(bytes.as_bytes()).await;
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    }
}
