//! Asking the process that holds a connection.

use std::borrow::Cow;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use openssh_mux_client::{Connection, NonZeroByteSlice, Session};

use crate::ending::Ending;
use crate::{Running, Streams};

/// Starts a command on the machine that is connected with at a control socket.
///
/// # Errors
/// Where nobody listens at the socket, or whoever does refuses: most servers allow ten commands at once (`MaxSessions` of
/// sshd_config(5)).
pub async fn start(socket: &Path, words: &[&str]) -> io::Result<Running> {
    let line = words.join(" ");
    let line = NonZeroByteSlice::new(line.as_bytes())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a word holds a zero byte"))?;
    let no_terminal = NonZeroByteSlice::new(&[]).map(Cow::Borrowed);
    let no_terminal = no_terminal.ok_or(io::ErrorKind::InvalidInput)?;
    let command = Session::builder().cmd(Cow::Borrowed(line)).term(no_terminal).build();
    let (streams, theirs) = Streams::new()?;
    let connection = Connection::connect(socket).await.map_err(io::Error::other)?;
    let fds = [theirs[0].as_raw_fd(), theirs[1].as_raw_fd(), theirs[2].as_raw_fd()];
    let session = connection.open_new_session(&command, &fds).await.map_err(io::Error::other)?;
    Ok(streams.with(Ending::of_session(session)))
}
