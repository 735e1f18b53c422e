//! A request whose body is sent piece by piece, however long it is.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tokio::io::AsyncReadExt as _;

use crate::call::{Call, refusal};
use crate::error::{ClientError, Result};

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// A piece of what is sent.
type Piece = std::io::Result<Bytes>;

/// A file from where it is read on, piece by piece; `tell` is told how many bytes went.
pub(crate) fn pieces(
    file: tokio::fs::File,
    tell: impl Fn(u64) + Send + 'static,
) -> impl Stream<Item = Piece> + Send + 'static {
    futures_util::stream::try_unfold((file, tell), async |(mut file, tell)| {
        let mut piece = BytesMut::with_capacity(CHUNK);
        if file.read_buf(&mut piece).await? == 0 {
            return Ok(None);
        }
        tell(piece.len() as u64);
        Ok(Some((piece.freeze(), (file, tell))))
    })
}

impl Call<'_> {
    /// Sends it once with such a body, and reads the answer.
    pub(crate) async fn upload<T, S>(self, content: S) -> Result<T>
    where
        T: DeserializeOwned,
        S: Stream<Item = Piece> + Send + 'static,
    {
        let (client, request, url) = self.begun();
        let patience = client.options.timeout;
        let failed = |error: reqwest::Error| ClientError::of(&url, &error, patience);
        // Whoever takes nothing for long is not waited for; the whole may take as long as it does.
        let (sent, seen) = tokio::sync::watch::channel(());
        let content = content.inspect(move |_| sent.send_replace(()));
        let request = request.header(CONTENT_TYPE, "application/x-tar");
        let sending = request.body(reqwest::Body::wrap_stream(content)).send();
        let response = tokio::select! {
            response = sending => response.map_err(failed)?,
            () = stands_still(seen, patience) => {
                return Err(ClientError::Timeout { url: url.clone(), after: patience });
            }
        };
        let status = response.status();
        let body = response.bytes().await.map_err(failed)?;
        if !status.is_success() {
            return Err(refusal(&url, status, &body));
        }
        serde_json::from_slice(&body)
            .map_err(|error| ClientError::Garbled { url: url.clone(), reason: error.to_string() })
    }
}

/// Comes to its end once nothing more was asked for within the time.
async fn stands_still(mut seen: tokio::sync::watch::Receiver<()>, patience: std::time::Duration) {
    loop {
        match tokio::time::timeout(patience, seen.changed()).await {
            Ok(Ok(())) => {}
            // All of it is on its way; the answer has the same time once more.
            Ok(Err(_)) => return tokio::time::sleep(patience).await,
            Err(_) => return,
        }
    }
}
