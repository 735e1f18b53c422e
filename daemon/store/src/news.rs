//! What daemons that share a database tell each other (PostgreSQL's `LISTEN` and `NOTIFY`).
//!
//! News only wake: what happened is read from the tables. So nothing is lost with news that are, and whoever listens
//! also looks now and then without having been told. A transaction's news are told when it is done, and not at all
//! when it fails.

use std::fmt;
use std::future::poll_fn;
use std::str::FromStr;
use std::time::Duration;

use berth_domain::OperationId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_postgres::{AsyncMessage, Client, Connection};

use crate::pool::Store;
use crate::postgres;
use crate::url::Kind;

/// The channel's name; channels belong to a database.
pub(crate) const CHANNEL: &str = "berth";

/// How long to wait before a lost connection is made again.
const AGAIN: Duration = Duration::from_secs(1);

/// How many news may wait; who is that far behind looks at everything instead.
const WAITING: usize = 1024;

/// Something that another daemon may want to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// There may be an operation to claim.
    Queued,
    /// Somebody asked to cancel an operation.
    Cancel(OperationId),
    /// An operation has events up to this number.
    Events(OperationId, i64),
    /// News may have been lost: look at everything.
    Missed,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued => f.write_str("queued"),
            Self::Cancel(id) => write!(f, "cancel {id}"),
            Self::Events(id, last) => write!(f, "events {id} {last}"),
            Self::Missed => f.write_str("missed"),
        }
    }
}

impl FromStr for News {
    type Err = ();

    /// Words that a newer program may have added are an error, and its reader's to ignore.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(());
        let news = match word()? {
            "queued" => Self::Queued,
            "cancel" => Self::Cancel(word()?.parse().map_err(drop)?),
            "events" => Self::Events(word()?.parse().map_err(drop)?, word()?.parse().map_err(drop)?),
            "missed" => Self::Missed,
            _ => return Err(()),
        };
        Ok(news)
    }
}

/// Hears news over a connection of its own, which it makes again when it is lost.
#[derive(Debug)]
pub struct Listener {
    config: tokio_postgres::Config,
    line: Option<Line>,
}

/// A connection that listens.
#[derive(Debug)]
pub(crate) struct Line {
    news: mpsc::Receiver<News>,
    /// The session ends with it.
    client: Client,
    task: AbortHandle,
}

impl Line {
    /// Begins to listen on a connection.
    pub(crate) async fn of<S, T>(
        client: Client,
        mut connection: Connection<S, T>,
    ) -> Result<Self, tokio_postgres::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (tell, news) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                let AsyncMessage::Notification(notification) = message else { continue };
                let Ok(heard) = notification.payload().parse() else { continue };
                // Who does not keep up loses the line, and looks at everything once there is another one.
                if tell.try_send(heard).is_err() {
                    return;
                }
            }
        });
        let line = Self { news, client, task: task.abort_handle() };
        line.client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Store {
    /// Hears what other daemons on this database tell; nothing on SQLite, where there is no other.
    pub fn listen(&self) -> Option<Listener> {
        let Kind::Postgres(config) = &self.shared.url.0 else { return None };
        let mut config = (**config).clone();
        // Otherwise a connection on which nothing comes is not known to be dead for hours.
        config.keepalives_idle(Duration::from_secs(10));
        Some(Listener { config, line: None })
    }
}

impl Listener {
    /// The next news; waits for them. [`News::Missed`] whenever the connection was made (again).
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(line) = &mut self.line {
                if let Some(news) = line.news.recv().await {
                    return news;
                }
                tracing::warn!("the connection on which news of other daemons come was lost");
                self.line = None;
            }
            match postgres::listen(&self.config).await {
                Ok(line) => {
                    self.line = Some(line);
                    return News::Missed;
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot listen for news of other daemons; trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
