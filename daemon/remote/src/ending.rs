//! How a command ended.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use openssh_mux_client::{Error, EstablishedSession, SessionStatus};
use tokio::process::Child;

/// What `ssh` ends with when the connection ended before the command (ssh(1)).
const CONNECTION_ENDED: u32 = 255;

/// The end of a command, to be waited for. Dropping it ends the command if it runs here; one on another machine is hung up on.
#[derive(Debug)]
pub struct Ending(How);

#[derive(Debug)]
enum How {
    Program(Child),
    Session(EstablishedSession),
}

impl Ending {
    pub(crate) fn of_program(child: Child) -> Self {
        Self(How::Program(child))
    }

    pub(crate) fn of_session(session: EstablishedSession) -> Self {
        Self(How::Session(session))
    }

    /// Waits for it. The exit status is the command's own, or 255 where the connection ended before, as with `ssh`; nothing where
    /// it is not known. Whoever holds a shared connection stops passing on what the command wrote once the status was read: its
    /// streams are to be read to their ends before.
    pub async fn status(self) -> Option<ExitStatus> {
        match self.0 {
            How::Program(mut child) => child.wait().await.ok(),
            How::Session(session) => match session.wait().await {
                Ok(SessionStatus::Exited { exit_value }) => {
                    Some(with(exit_value.unwrap_or(CONNECTION_ENDED)))
                }
                Err((Error::IOError(_), _)) => Some(with(CONNECTION_ENDED)),
                // No terminal was asked for.
                Ok(SessionStatus::TtyAllocFail(_)) | Err(_) => None,
            },
        }
    }
}

/// The status of who exits with this number, of which a process keeps one byte (exit(3)).
fn with(number: u32) -> ExitStatus {
    ExitStatus::from_raw(i32::from(number.to_le_bytes()[0]) << 8)
}
