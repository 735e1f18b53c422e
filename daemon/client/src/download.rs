//! An answer that is read piece by piece, however long it is.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::{ClientError, Result};

/// An answer's body on its way. Each piece has as long to come as a whole answer otherwise.
#[derive(Debug)]
pub struct Download {
    response: reqwest::Response,
    url: String,
    patience: Duration,
}

impl Download {
    pub(crate) fn new(response: reqwest::Response, url: String, patience: Duration) -> Self {
        Self { response, url, patience }
    }

    /// How many bytes there are altogether, where the daemon says so.
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next piece; nothing after the last.
    ///
    /// # Errors
    /// [`ClientError::Interrupted`] where it ended too early, [`ClientError::Timeout`]
    pub async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>> {
        let after = self.patience;
        match timeout(after, self.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| ClientError::of(&self.url, &error, after)),
            Err(_) => Err(ClientError::Timeout { url: self.url.clone(), after }),
        }
    }
}
