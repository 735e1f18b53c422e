//! The master connection: one per machine, in the background, shared through its control socket.
//!
//! It is `ssh` itself that keeps it: the process that connects goes into the background once it is authenticated
//! and ends by itself when nobody has used it for a while, so nothing is left behind by a daemon that was killed.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use super::{Endpoint, command, diagnosis};
use crate::error::MachineError;

/// What is waited beyond `ssh`'s own timeout, so that its words come first.
const GRACE: Duration = Duration::from_millis(500);

/// A quick key exchange first, where both sides offer it: nothing goes over this connection that would have to be hidden from those
/// who break it some day, and the ones that quantum computers do not break take OpenSSH 9 a tenth of a second of computing.
const QUICK_KEY_EXCHANGE: &str = "KexAlgorithms=^curve25519-sha256,curve25519-sha256@libssh.org";

/// Whether a master connection is there: something listens at the socket.
pub(crate) async fn is_open(endpoint: &Endpoint) -> bool {
    UnixStream::connect(endpoint.socket()).await.is_ok()
}

/// Opens the master connection.
pub(crate) async fn open(program: &Path, endpoint: &Endpoint, within: Duration) -> Result<(), MachineError> {
    // What a killed master left behind would keep the new one from listening.
    let _ = std::fs::remove_file(endpoint.socket());
    let _ = std::fs::remove_file(endpoint.log());
    let log = endpoint.log();
    let log = log.to_string_lossy();
    let mut command =
        command::ssh(program, endpoint, &["-E", &log, "-o", "ControlMaster=yes", "-N", "-f"], &[]);
    let status = finish(&mut command, endpoint, "connecting", within).await?;
    match status.success() {
        true => Ok(()),
        false => Err(diagnosis::of_connecting(&endpoint.machine, &words(endpoint))),
    }
}

/// Connects and authenticates anew, beside the master connection, and leaves nothing open.
pub(crate) async fn try_anew(
    program: &Path,
    endpoint: &Endpoint,
    within: Duration,
) -> Result<(), MachineError> {
    let quick = ["-o", "ControlPath=none", "-o", QUICK_KEY_EXCHANGE];
    let mut words = words_of_one(program, endpoint, &quick, within).await?;
    // An OpenSSH that was built without it, as for FIPS 140.
    if words.as_ref().is_some_and(|words| words.contains("KexAlgorithms")) {
        words = words_of_one(program, endpoint, &quick[..2], within).await?;
    }
    words.map_or(Ok(()), |words| Err(diagnosis::of_connecting(&endpoint.machine, &words)))
}

/// What `ssh` says that cannot connect; nothing where it could.
async fn words_of_one(
    program: &Path,
    endpoint: &Endpoint,
    options: &[&str],
    within: Duration,
) -> Result<Option<String>, MachineError> {
    let mut command = command::ssh(program, endpoint, options, &["exit"]);
    command.stderr(std::process::Stdio::piped());
    let what = "a new connection";
    let output = bounded(endpoint, what, within, command.output())
        .await?
        .map_err(MachineError::io("cannot run ssh"))?;
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// Asks the master connection to end; nothing happens where there is none.
pub(crate) fn close(program: &Path, endpoint: &Endpoint) {
    if !endpoint.socket().exists() {
        return;
    }
    let command = command::ssh(program, endpoint, &["-O", "exit"], &[]);
    if let Err(error) = command.into_std().status() {
        tracing::warn!(machine = %endpoint.machine.name, %error, "the SSH connection could not be closed");
    }
}

/// What the master connection had to say.
pub(crate) fn words(endpoint: &Endpoint) -> String {
    let bytes = std::fs::read(endpoint.log()).unwrap_or_default();
    let newest = bytes.len().saturating_sub(16 * 1024);
    String::from_utf8_lossy(&bytes[newest..]).into_owned()
}

async fn finish(
    command: &mut tokio::process::Command,
    endpoint: &Endpoint,
    what: &str,
    within: Duration,
) -> Result<std::process::ExitStatus, MachineError> {
    bounded(endpoint, what, within, command.status()).await?.map_err(MachineError::io("cannot run ssh"))
}

async fn bounded<T>(
    endpoint: &Endpoint,
    what: &str,
    within: Duration,
    work: impl Future<Output = T>,
) -> Result<T, MachineError> {
    timeout(within + GRACE, work).await.map_err(|_| MachineError::Timeout {
        machine: endpoint.machine.name.clone(),
        what: what.into(),
        after: within,
    })
}
