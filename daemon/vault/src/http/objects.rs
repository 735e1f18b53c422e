//! Single objects: looked at, read, added, removed.

use actix_web::body::SizedStream;
use actix_web::http::header::{self, ByteRangeSpec, Header as _, Range};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::admitted::Admitted;
use crate::object::{Key, Kind, Sum};
use crate::receive::{Upload, discard};
use crate::refused::Refused;
use crate::storage::{Content, Part};

/// What the address names; a scope around may have parameters of its own.
#[derive(Debug, Deserialize)]
pub(super) struct Name {
    kind: String,
    name: String,
}

type Names = web::Path<Name>;

pub(super) async fn look(admitted: Admitted, names: Names) -> Result<HttpResponse, Refused> {
    size(&admitted, key(&names)?).await
}

pub(super) async fn look_config(admitted: Admitted) -> Result<HttpResponse, Refused> {
    size(&admitted, Key::Config).await
}

pub(super) async fn read(
    admitted: Admitted,
    names: Names,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    content(&admitted, key(&names)?, &request).await
}

pub(super) async fn read_config(admitted: Admitted, request: HttpRequest) -> Result<HttpResponse, Refused> {
    content(&admitted, Key::Config, &request).await
}

pub(super) async fn add(
    admitted: Admitted,
    names: Names,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refused> {
    receive(&admitted, key(&names)?, &request, payload).await
}

pub(super) async fn add_config(
    admitted: Admitted,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refused> {
    receive(&admitted, Key::Config, &request, payload).await
}

pub(super) async fn remove(admitted: Admitted, names: Names) -> Result<HttpResponse, Refused> {
    delete(&admitted, key(&names)?).await
}

pub(super) async fn remove_config(admitted: Admitted) -> Result<HttpResponse, Refused> {
    delete(&admitted, Key::Config).await
}

fn key(names: &Names) -> Result<Key, Refused> {
    let Name { kind, name } = &**names;
    let kind: Kind = kind.parse().map_err(|_| Refused::NotFound)?;
    let name: Sum = name.parse().map_err(|_| Refused::BadName)?;
    Ok(Key::Object(kind, name))
}

async fn size(admitted: &Admitted, key: Key) -> Result<HttpResponse, Refused> {
    let size = admitted.vault.inner.storage.size(&admitted.repository, &key).await?;
    // The body of an answer to HEAD is not sent; its size is what restic wants to know.
    let nothing = stream::empty::<Result<Bytes, std::io::Error>>();
    Ok(bytes(&mut HttpResponse::Ok()).body(SizedStream::new(size, nothing)))
}

async fn content(admitted: &Admitted, key: Key, request: &HttpRequest) -> Result<HttpResponse, Refused> {
    let part = part(request);
    let Content { size, range, bytes: content } =
        admitted.vault.inner.storage.get(&admitted.repository, &key, part).await?;
    let length = range.end - range.start;
    let mut response = HttpResponse::Ok();
    if part != Part::All {
        let place = format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1));
        response = HttpResponse::PartialContent();
        response.insert_header((header::CONTENT_RANGE, place));
    }
    Ok(bytes(&mut response).body(SizedStream::new(length, content)))
}

fn bytes(response: &mut HttpResponseBuilder) -> &mut HttpResponseBuilder {
    response.content_type("application/octet-stream").insert_header((header::ACCEPT_RANGES, "bytes"))
}

/// Which part is wanted. A header that says something else than one range of bytes is passed over, as RFC 9110 has it.
fn part(request: &HttpRequest) -> Part {
    let Ok(Range::Bytes(ranges)) = Range::parse(request) else { return Part::All };
    match ranges[..] {
        [ByteRangeSpec::From(first)] => Part::From(first),
        [ByteRangeSpec::FromTo(first, last)] if first <= last => Part::Between(first, last),
        [ByteRangeSpec::Last(count)] => Part::Last(count),
        _ => Part::All,
    }
}

async fn receive(
    admitted: &Admitted,
    key: Key,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refused> {
    let Admitted { vault, repository, access } = admitted;
    if let Err(refused) = admitted.may_add(&key) {
        discard(payload, &vault.inner.limits).await;
        return Err(refused);
    }
    let length = request.headers().get(header::CONTENT_LENGTH);
    let announced = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let upload = Upload { vault, repository, key, quota: access.quota_bytes, announced };
    upload.take(payload).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn delete(admitted: &Admitted, key: Key) -> Result<HttpResponse, Refused> {
    admitted.may_remove(&key)?;
    admitted.vault.remove(&admitted.repository, &key).await?;
    Ok(HttpResponse::Ok().finish())
}
