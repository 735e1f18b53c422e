//! Stores that behave in ways in which a real one does at times only.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use berth_vault::Title;
use berth_vault::buckets::{Bucket, BucketConfig, BucketError, Copied, Copying, News};
use chrono::Utc;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::buckets::here;
use crate::place::Place;
use crate::restic::PASSWORD;
use crate::server::{Server, name, noise};

const LARGE: usize = 6_000_000;

/// An answer to a question for the large object.
#[derive(Clone, Copy)]
enum Answer {
    /// All of the content of this number.
    Whole(u64),
    /// So many bytes of it, then the connection breaks.
    Breaks(u64, usize),
    /// The rest of it.
    Rest(u64),
    /// It is another one by now.
    Changed,
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<String>>,
}

async fn list(script: Data<Script>) -> HttpResponse {
    // Once it fails, as stores do.
    if script.asked.lock().unwrap().is_empty() {
        script.asked.lock().unwrap().push("list".into());
        return HttpResponse::ServiceUnavailable().body("<Error><Code>SlowDown</Code></Error>");
    }
    let object = |key: &str, size: usize| {
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"{key}-0\"</ETag>\
             <LastModified>2026-11-26T02:41:07.000Z</LastModified></Contents>"
        )
    };
    let objects = [object("cold", 3), object("gone", 3), object("large", LARGE), object("small", 5)].concat();
    HttpResponse::Ok()
        .content_type("application/xml")
        .body(format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"))
}

async fn get(script: Data<Script>, request: HttpRequest, key: web::Path<String>) -> HttpResponse {
    let range = request.headers().get(header::RANGE).map(|range| range.to_str().unwrap().to_owned());
    script.asked.lock().unwrap().push(format!("{key} {}", range.clone().unwrap_or_default()));
    match key.as_str() {
        "small" => return HttpResponse::Ok().insert_header(("etag", "\"small-0\"")).body("small"),
        "cold" => return HttpResponse::Forbidden().body("<Error><Code>InvalidObjectState</Code></Error>"),
        "large" => {}
        _ => return HttpResponse::NotFound().body("<Error><Code>NoSuchKey</Code></Error>"),
    }
    let from: usize = range.as_deref().map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
    let named = |number: u64| ("etag", format!("\"large-{number}\""));
    match script.answers.lock().unwrap().pop_front().unwrap() {
        Answer::Whole(number) => HttpResponse::Ok().insert_header(named(number)).body(noise(number, LARGE)),
        Answer::Rest(number) => {
            let rest = noise(number, LARGE)[from..].to_vec();
            HttpResponse::PartialContent().insert_header(named(number)).body(rest)
        }
        Answer::Changed => HttpResponse::PreconditionFailed().finish(),
        Answer::Breaks(number, after) => {
            let begun = Bytes::from(noise(number, LARGE)[..after].to_vec());
            let parts = [Ok(begun), Err(std::io::Error::other("it breaks"))];
            HttpResponse::Ok().insert_header(named(number)).streaming(stream::iter(parts))
        }
    }
}

fn config(endpoint: String) -> BucketConfig {
    BucketConfig {
        endpoint,
        region: "here".into(),
        name: "media".into(),
        access_key: "GK1".into(),
        secret: "hunter2".into(),
    }
}

async fn copied(endpoint: String, cancel: CancellationToken) -> (Result<Copied, BucketError>, Vec<String>) {
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let title = Title { at: Utc::now(), host: "acme".into(), paths: Vec::new(), tags: Vec::new() };
    let copying = Copying {
        bucket: Bucket::new(&config(endpoint.clone()), &here()).unwrap(),
        endpoint,
        title,
        earlier: Vec::new(),
        limit: Duration::MAX,
        cancel,
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let tell = Box::new(move |news| {
        if let News::Line(line) = news {
            heard.lock().unwrap().push(line);
        }
    });
    let copied = server.vault.copy_bucket(&name("acme"), &PASSWORD.into(), copying, tell).await;
    let lines = lines.lock().unwrap().clone();
    (copied, lines)
}

async fn scripted(answers: &[Answer]) -> (Result<Copied, BucketError>, Vec<String>, Vec<String>) {
    let script = Data::new(Script::default());
    script.answers.lock().unwrap().extend(answers);
    let told = script.clone();
    let app = move || {
        App::new()
            .app_data(told.clone())
            .route("/media", web::get().to(list))
            .route("/media/{key:.*}", web::get().to(get))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    let (copied, lines) = copied(endpoint, CancellationToken::new()).await;
    let asked = script.asked.lock().unwrap().clone();
    (copied, lines, asked)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_goes_on_what_changes_is_taken_anew_and_what_vanishes_is_told() {
    let breaks = Answer::Breaks(1, 2_000_000);
    let (made, lines, asked) = scripted(&[breaks, Answer::Rest(1)]).await;
    let made = made.unwrap();
    assert_eq!((made.objects, made.bytes), (2, LARGE as u64 + 5));
    let cold = "cold: the store has put it into an archive, from which it would have to be brought first";
    assert_eq!(made.skipped, [cold, "gone: it was removed while the bucket was read"]);
    assert!(lines.iter().any(|line| line.contains("gone")), "{lines:?}");
    assert!(asked.iter().any(|asked| asked == "large bytes=2000000-"), "{asked:?}");

    let (made, lines, _) = scripted(&[breaks, Answer::Changed, Answer::Whole(2)]).await;
    assert_eq!(made.unwrap().bytes, LARGE as u64 + 5);
    assert!(lines.iter().any(|line| line.starts_with("large changed while it was read")), "{lines:?}");

    let changes = [breaks, Answer::Changed];
    let (made, _, _) = scripted(&[changes, changes, changes].concat()).await;
    let error = made.unwrap_err();
    assert_eq!(error.to_string(), "the object large: the object changed while it was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_is_left_at_once_when_somebody_wishes_so() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let (wish, begun) = (cancel.clone(), Instant::now());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        wish.cancel();
    });
    let (made, _) = copied(endpoint, cancel).await;
    assert!(matches!(made, Err(BucketError::Cancelled)), "{made:?}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}
