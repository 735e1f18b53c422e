//! Requests that no library would make.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::ExposeSecret as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::{Client, Server};

/// A connection that was not used yet.
pub struct Raw {
    stream: TcpStream,
    authorization: String,
}

impl Raw {
    pub async fn connect(server: &Server, client: &Client) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        let pair = BASE64_STANDARD.encode(format!("any:{}", client.token.expose_secret()));
        Self { stream, authorization: format!("Authorization: Basic {pair}") }
    }

    /// Sends a request's head; `more` are lines of it.
    pub async fn head(&mut self, method: &str, target: &str, more: &str) {
        let authorization = &self.authorization;
        let head = format!("{method} {target} HTTP/1.1\r\nHost: vault\r\n{authorization}\r\n{more}\r\n");
        self.send(head.as_bytes()).await;
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The status of the next answer, whose body is read as well.
    pub async fn status(&mut self) -> u16 {
        let patience = Duration::from_secs(20);
        timeout(patience, self.answer()).await.expect("there is no answer")
    }

    /// The status of an answer to HEAD, which has a length and no body.
    pub async fn status_of_head(&mut self) -> u16 {
        status(&self.answer_head().await)
    }

    async fn answer(&mut self) -> u16 {
        let head = self.answer_head().await;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        status(&head)
    }

    async fn answer_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}
