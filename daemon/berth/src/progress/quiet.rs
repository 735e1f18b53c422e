//! A terminal that leaves alone what is being drawn when Ctrl-C is pressed.

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Keeps the terminal from writing `^C` into the drawing, and from throwing away what it has not shown of it yet
/// (`ECHOCTL` and `NOFLSH` of termios(3)). Dropped, it does as before.
#[derive(Debug)]
pub(super) struct Quiet {
    before: Option<LocalModes>,
}

impl Quiet {
    pub(super) fn new() -> Self {
        Self { before: change(|modes| (modes - LocalModes::ECHOCTL) | LocalModes::NOFLSH).ok() }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = change(|_| before);
        }
    }
}

/// Changes the modes and says what they were. Fails where standard input is no terminal.
fn change(new: impl FnOnce(LocalModes) -> LocalModes) -> rustix::io::Result<LocalModes> {
    let terminal = std::io::stdin();
    let mut settings = tcgetattr(&terminal)?;
    let before = settings.local_modes;
    settings.local_modes = new(before);
    tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    Ok(before)
}
