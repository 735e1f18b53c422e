//! A daemon of a few lines: each route gives its replies in order, the last one again and again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

pub const ID: &str = "019a9f5e-5c00-7000-8000-000000000001";

#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /path`, without the query.
    pub route: String,
    /// The whole head, in lower case.
    pub head: String,
    pub body: String,
}

#[derive(Debug, Clone)]
pub enum Reply {
    Json(u16, Value),
    /// An event stream; then the end of the connection.
    Stream(String),
    /// An event stream that goes on without a word.
    Open(String),
}

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(routes: Vec<(&str, Vec<Reply>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let routes: HashMap<String, Vec<Reply>> =
            routes.into_iter().map(|(route, replies)| (route.to_owned(), replies)).collect();
        let (log, routes) = (Arc::clone(&requests), Arc::new(Mutex::new(routes)));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (log, routes) = (Arc::clone(&log), Arc::clone(&routes));
                std::thread::spawn(move || serve(connection, &routes, &log));
            }
        });
        Self { url, requests }
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub fn asked(&self, route: &str) -> usize {
        self.requests().iter().filter(|request| request.route == route).count()
    }
}

fn serve(mut connection: TcpStream, routes: &Mutex<HashMap<String, Vec<Reply>>>, log: &Mutex<Vec<Request>>) {
    let Some(request) = read(&connection) else { return };
    log.lock().unwrap().push(request.clone());
    let reply = match routes.lock().unwrap().get_mut(&request.route) {
        Some(replies) if replies.len() > 1 => replies.remove(0),
        Some(replies) => replies[0].clone(),
        None => problem(404, "not-found", &json!({})),
    };
    let stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let (bytes, stays) = match reply {
        Reply::Json(204, _) => ("HTTP/1.1 204 X\r\nconnection: close\r\n\r\n".to_owned(), false),
        Reply::Json(status, body) => {
            let body = body.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close", body.len());
            (format!("{head}\r\n\r\n{body}"), false)
        }
        Reply::Stream(text) => (format!("{stream}{text}"), false),
        Reply::Open(text) => (format!("{stream}{text}"), true),
    };
    let _ = connection.write_all(bytes.as_bytes());
    if stays {
        std::thread::sleep(Duration::from_secs(60));
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while reader.read_line(&mut head).ok()? > 2 {}
    let lower = head.to_lowercase();
    let length =
        lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let route = head.lines().next()?.trim_end_matches(" HTTP/1.1").split('?').next()?.to_owned();
    Some(Request { route, head: lower, body: String::from_utf8(body).ok()? })
}

pub fn problem(status: u16, code: &str, more: &Value) -> Reply {
    let mut body = json!({
        "type": format!("urn:berth:problem:{code}"), "title": "A title", "status": status, "detail": "the detail"
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    Reply::Json(status, body)
}

pub fn tenant(version: i64, app_name: &str) -> Value {
    json!({
        "spec": {
            "name": "acme", "domain": "acme.example", "contact_email": "ann@acme.example", "machine": "vm1",
            "services": {"gitea": {"app_name": app_name}}, "ssh_keys": []
        },
        "version": version, "urls": {"gitea": "http://git.acme.example"}, "deployed_revision": null,
        "created_at": "2026-11-20T10:00:00Z", "updated_at": "2026-11-20T10:00:00Z"
    })
}

pub fn operation(status: &str) -> Value {
    let step = |name: &str, status: &str| {
        json!({
            "name": name, "status": status, "started_at": "2026-11-20T10:00:00Z",
            "finished_at": "2026-11-20T10:00:01Z", "progress": null
        })
    };
    let error = (status == "failed").then(|| {
        json!({
            "code": "build-failed", "message": "the builder failed", "step": "build",
            "derivation": "/nix/store/x.drv", "log": ["cc: no such file"], "retryable": false
        })
    });
    json!({
        "id": ID, "tenant": "acme", "machine": "vm1", "kind": "deploy", "wipe": false, "status": status,
        "revision": null, "system": null, "steps": [step("render", "succeeded"), step("build", if status == "queued" { "pending" } else { status })],
        "cancel_requested": false, "error": error, "requested_by": "admin",
        "created_at": "2026-11-20T10:00:00Z", "started_at": "2026-11-20T10:00:00Z",
        "finished_at": "2026-11-20T10:00:02Z", "last_seq": 9
    })
}

pub fn event(seq: i64, kind: &str, more: &Value) -> String {
    let mut data = json!({
        "operation": ID, "seq": seq, "at": "2026-11-20T10:00:00Z", "kind": kind, "message": format!("message {seq}")
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        data[key] = value.clone();
    }
    format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n")
}

pub fn end(status: &str) -> String {
    format!("event: end\ndata: {}\n\n", operation(status))
}
