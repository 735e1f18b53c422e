//! Waits until a machine can be reached.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::record::MachineRecord;
use super::supervisor::Supervisor;
use crate::command::last_lines;
use crate::error::{Result, TestbedError};

const SSH_PORT: u16 = 22;

/// Between two attempts; machines are up within half a second.
const PAUSE: Duration = Duration::from_millis(20);

/// For one attempt: sshd greets at once.
const ATTEMPT: Duration = Duration::from_secs(1);

const CONSOLE_LINES: usize = 20;

/// Waits until sshd greets, the machine ends, or the time is over.
pub(super) async fn wait(
    record: &MachineRecord,
    supervisor: &Supervisor,
    console: &Path,
    timeout: Duration,
) -> Result<()> {
    let not_up = |reason: String| TestbedError::NotUp {
        name: record.name.to_string(),
        reason,
        console: console_end(console),
    };
    tokio::select! {
        greeted = tokio::time::timeout(timeout, greeting(record)) => {
            greeted.map_err(|_| not_up(format!("SSH did not answer within {} s", timeout.as_secs_f64())))
        }
        () = supervisor.ended() => Err(not_up("it ended".to_owned())),
    }
}

async fn greeting(record: &MachineRecord) {
    while !matches!(tokio::time::timeout(ATTEMPT, greets(record)).await, Ok(Ok(true))) {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether an SSH server greets, by the first bytes of RFC 4253, section 4.2.
async fn greets(record: &MachineRecord) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((record.address(), SSH_PORT)).await?;
    let mut first = [0; 4];
    stream.read_exact(&mut first).await?;
    Ok(&first == b"SSH-")
}

fn console_end(console: &Path) -> String {
    last_lines(&String::from_utf8_lossy(&fs::read(console).unwrap_or_default()), CONSOLE_LINES)
}
