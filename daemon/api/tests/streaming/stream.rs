//! One who follows.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::served::Served;

/// A stream that was not asked for yet.
pub struct Stream {
    address: SocketAddr,
    request: String,
}

/// What a stream carried.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub seqs: Vec<i64>,
    pub ending: Option<Value>,
}

impl Stream {
    pub fn of(served: &Served, after: Option<i64>) -> Self {
        let Served { address, operation, token, .. } = served;
        let after = after.map(|after| format!("Last-Event-ID: {after}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /v1/operations/{operation}/events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Connection: close\r\nAuthorization: Bearer {token}\r\n{after}\r\n"
        );
        Self { address: *address, request }
    }

    pub async fn until_its_end(self) -> Told {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(self.request.as_bytes()).await.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).await.unwrap();
        told(&text)
    }
}

/// Chunks begin between messages, in lines of their own.
fn told(text: &str) -> Told {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let ids = body.lines().filter_map(|line| line.strip_prefix("id: "));
    let ending = body.rsplit_once("event: end\ndata: ").and_then(|(_, data)| data.lines().next());
    let ending = ending.map(|data| serde_json::from_str(data).unwrap());
    Told { status, seqs: ids.map(|id| id.parse().unwrap()).collect(), ending }
}
