//! The daemon's SSH identity, and one master connection per machine.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use berth_domain::MachineSpec;
use tokio_util::sync::CancellationToken;

use crate::error::MachineError;
use crate::runtime::RuntimeDir;
use crate::session::Session;
use crate::ssh::files::Common;
use crate::ssh::{Endpoint, master};

/// How machines are reached.
#[derive(Debug, Clone)]
pub struct ConnectorOptions {
    /// The private key that machines accept; without a passphrase, readable by the daemon only.
    pub identity_file: PathBuf,
    /// Where sockets and generated files go: a short path without spaces, made private to the daemon's user. A new
    /// folder below `$XDG_RUNTIME_DIR` or the temporary folder when absent, removed at the end.
    pub runtime_dir: Option<PathBuf>,
    /// How long connecting and authenticating may take; counted in whole seconds.
    pub connect_timeout: Duration,
    /// How long a connection that nobody uses is kept open.
    pub idle: Duration,
    /// The program; a bare name is looked up in `PATH`.
    pub ssh: PathBuf,
}

impl ConnectorOptions {
    /// The defaults with this private key: 10 s to connect, idle connections kept for 10 minutes.
    pub fn with_identity(identity_file: impl Into<PathBuf>) -> Self {
        Self {
            identity_file: identity_file.into(),
            runtime_dir: None,
            connect_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            ssh: "ssh".into(),
        }
    }
}

/// Opens sessions with machines. Cheap to clone; the connections end with the last clone.
#[derive(Debug, Clone)]
pub struct Connector {
    shared: Arc<Shared>,
}

/// What a connector and its sessions share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ConnectorOptions,
    /// By the socket's path. The inner lock is held while a connection is being opened, so that two callers who
    /// want the same machine at once get the same connection.
    connections: Mutex<HashMap<PathBuf, Arc<Connection>>>,
    runtime: RuntimeDir,
}

#[derive(Debug)]
struct Connection {
    endpoint: Arc<Endpoint>,
    opening: tokio::sync::Mutex<()>,
}

impl Connector {
    /// Prepares the folder for sockets; connects to nothing.
    ///
    /// # Errors
    /// [`MachineError::RuntimeDir`] for a folder whose path cannot be used, [`MachineError::Io`] where the private key
    /// or the folder cannot be reached.
    pub fn new(mut options: ConnectorOptions) -> Result<Self, MachineError> {
        let what = format!("cannot use the SSH key {}", options.identity_file.display());
        options.identity_file = options.identity_file.canonicalize().map_err(MachineError::io(what))?;
        let runtime = RuntimeDir::open(options.runtime_dir.as_deref())?;
        Ok(Self { shared: Arc::new(Shared { options, connections: Mutex::default(), runtime }) })
    }

    /// A session with a machine, over the connection that is open already or a new one.
    ///
    /// # Errors
    /// [`MachineError::Unreachable`], [`MachineError::WrongHostKey`], [`MachineError::AuthRefused`] and
    /// [`MachineError::Timeout`] say what kept it from connecting.
    pub async fn connect(
        &self,
        machine: &MachineSpec,
        cancel: &CancellationToken,
    ) -> Result<Session, MachineError> {
        let connection = self.shared.connection(machine)?;
        let open = async {
            let _opening = connection.opening.lock().await;
            if master::is_open(&connection.endpoint).await {
                return Ok(());
            }
            let options = &self.shared.options;
            master::open(&options.ssh, &connection.endpoint, options.connect_timeout).await
        };
        or_cancelled(cancel, open).await?;
        Ok(Session::new(Arc::clone(&self.shared), Arc::clone(&connection.endpoint)))
    }

    /// Connects and authenticates anew although a connection may be open: proves that the machine can still be
    /// entered, which an open connection does not.
    ///
    /// # Errors
    /// As [`Connector::connect`].
    pub async fn try_anew(
        &self,
        machine: &MachineSpec,
        cancel: &CancellationToken,
    ) -> Result<(), MachineError> {
        let connection = self.shared.connection(machine)?;
        let options = &self.shared.options;
        or_cancelled(cancel, master::try_anew(&options.ssh, &connection.endpoint, options.connect_timeout))
            .await
    }

    /// Ends the connection to a machine, if one is open.
    ///
    /// # Errors
    /// [`MachineError::Io`] where the generated files cannot be written.
    pub async fn close(&self, machine: &MachineSpec) -> Result<(), MachineError> {
        let connection = self.shared.connection(machine)?;
        let shared = Arc::clone(&self.shared);
        let closed =
            tokio::task::spawn_blocking(move || master::close(&shared.options.ssh, &connection.endpoint))
                .await;
        closed.map_err(|error| MachineError::io("cannot close the connection")(std::io::Error::other(error)))
    }
}

impl Connector {
    /// Ends every connection and removes what was generated for them. Sessions that are still held are of no use
    /// afterwards.
    pub fn shut_down(&self) {
        self.shared.shut_down();
    }
}

impl Shared {
    fn shut_down(&self) {
        let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for connection in connections.values() {
            master::close(&self.options.ssh, &connection.endpoint);
        }
        self.runtime.remove();
    }

    fn connection(&self, machine: &MachineSpec) -> Result<Arc<Connection>, MachineError> {
        let common = Common {
            folder: self.runtime.path(),
            identity_file: &self.options.identity_file,
            connect_timeout: self.options.connect_timeout,
            idle: self.options.idle,
        };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoint = Arc::new(Endpoint::write(machine, &common)?);
        let connection = connections.entry(endpoint.socket());
        let opening = tokio::sync::Mutex::default();
        Ok(Arc::clone(connection.or_insert_with(|| Arc::new(Connection { endpoint, opening }))))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// The work's outcome, unless it is cancelled first; what is cancelled is dropped and so ends.
pub(crate) async fn or_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, MachineError>>,
) -> Result<T, MachineError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(MachineError::Cancelled),
        outcome = work => outcome,
    }
}
