//! An object store in memory, of one bucket, as far as Berth asks for one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};

/// An object: its media type and its content.
pub type Object = (String, Vec<u8>);

/// The store. Keys are made of letters, digits, dots and slashes.
#[derive(Clone, Default)]
pub struct Store {
    objects: Arc<Mutex<BTreeMap<String, Object>>>,
    asked: Arc<Mutex<BTreeSet<String>>>,
}

impl Store {
    /// Begins to serve; gives the store and its address.
    ///
    /// # Errors
    /// It cannot listen on this host.
    pub fn serve() -> Result<(Self, String)> {
        let store = Self::default();
        let served = Data::new(store.clone());
        let app = move || {
            App::new()
                .app_data(served.clone())
                .app_data(web::PayloadConfig::new(64 << 20))
                .route("/{bucket}", web::get().to(list))
                .route("/{bucket}/{key:.*}", web::get().to(get))
                .route("/{bucket}/{key:.*}", web::put().to(put))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().bind(("127.0.0.1", 0))?;
        let address = *server.addrs().first().context("listening on nothing")?;
        tokio::spawn(server.run());
        Ok((store, format!("http://{address}")))
    }

    /// All that is in it.
    pub fn all(&self) -> BTreeMap<String, Object> {
        self.held().clone()
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, media_type: &str, content: &[u8]) {
        self.held().insert(key.to_owned(), (media_type.to_owned(), content.to_owned()));
    }

    /// Removes an object.
    pub fn delete(&self, key: &str) {
        self.held().remove(key);
    }

    /// Puts everything there that is in a folder, below a prefix.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn put_folder(&self, prefix: &str, folder: &std::path::Path) -> Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let (path, kind) = {
                let entry = entry?;
                (entry.path(), entry.file_type()?)
            };
            let key = format!("{prefix}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            if kind.is_dir() {
                self.put_folder(&key, &path)?;
            } else {
                self.put(&key, "application/octet-stream", &std::fs::read(&path)?);
            }
        }
        Ok(())
    }

    /// The keys of the objects that somebody has asked for.
    pub fn asked(&self) -> BTreeSet<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells a content from another; no store's own way.
fn e_tag(content: &[u8]) -> String {
    let sum = content.iter().fold(content.len() as u64, |sum, byte| {
        sum.wrapping_mul(1_099_511_628_211).wrapping_add(u64::from(*byte))
    });
    format!("\"{sum:016x}\"")
}

async fn list(store: Data<Store>) -> HttpResponse {
    let objects = store.all().into_iter().map(|(key, (_, content))| {
        let (size, e_tag) = (content.len(), e_tag(&content));
        format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>{e_tag}</ETag>\
             <LastModified>2026-11-26T02:41:07.000Z</LastModified></Contents>"
        )
    });
    let objects: String = objects.collect();
    let page = format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>");
    HttpResponse::Ok().content_type("application/xml").body(page)
}

async fn get(store: Data<Store>, request: HttpRequest, path: web::Path<(String, String)>) -> HttpResponse {
    store.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(path.1.clone());
    let found = store.held().get(&path.1).cloned();
    match found {
        Some((media_type, content)) => {
            let e_tag = e_tag(&content);
            let (mut answer, content) = match range(&request, content.len()) {
                Some(range) => (HttpResponse::PartialContent(), content[range].to_vec()),
                None => (HttpResponse::Ok(), content),
            };
            answer.content_type(media_type).insert_header(("etag", e_tag)).body(content)
        }
        None => HttpResponse::NotFound().body("<Error><Code>NoSuchKey</Code></Error>"),
    }
}

/// Which bytes are asked for, of those that there are.
fn range(request: &HttpRequest, length: usize) -> Option<std::ops::Range<usize>> {
    let range = request.headers().get("range")?.to_str().ok()?.strip_prefix("bytes=")?;
    let (first, last) = range.split_once('-')?;
    let last = if last.is_empty() { length } else { last.parse::<usize>().ok()?.saturating_add(1) };
    let (first, last) = (first.parse().ok()?, last.min(length));
    (first < last).then_some(first..last)
}

async fn put(
    store: Data<Store>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: Bytes,
) -> HttpResponse {
    let media_type = request.headers().get("content-type").and_then(|value| value.to_str().ok());
    store.put(&path.1, media_type.unwrap_or_default(), &body);
    HttpResponse::Ok().insert_header(("etag", e_tag(&body))).finish()
}
