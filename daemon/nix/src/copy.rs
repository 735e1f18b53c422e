//! Copying paths to another store.

use tokio::process::Command;

use crate::error::NixError;
use crate::log::{Tracker, Update};
use crate::nix::{Nix, Run};
use crate::store_path::StorePath;

/// Where paths are copied to.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The store's URL, such as `ssh-ng://root@192.0.2.10`.
    pub url: &'a str,
    /// Options for `ssh`, as `NIX_SSHOPTS` holds them: divided by spaces, without quotes.
    pub ssh_options: Option<&'a str>,
}

impl Nix {
    /// Copies paths, and all that they refer to, to another store. What is there already is not copied again.
    ///
    /// Signatures are not asked for: what goes is what this store holds, and a user whom the other store does not
    /// trust cannot write to it.
    ///
    /// Bytes are those of the paths as archives, before compression.
    ///
    /// # Errors
    /// [`NixError::CopyFailed`] with what `ssh` and Nix said; [`NixError::CommandFailed`] when a path is not in this
    /// store.
    pub async fn copy(
        &self,
        paths: &[StorePath],
        to: Destination<'_>,
        run: &Run,
        sink: impl FnMut(Update) + Send,
    ) -> Result<(), NixError> {
        if paths.is_empty() {
            return Ok(());
        }
        let mut command = self.nix(&["copy"]);
        command.args(["--no-check-sigs", "--to", to.url, "--"]).args(paths.iter().map(StorePath::as_str));
        if let Some(options) = to.ssh_options {
            command.env("NIX_SSHOPTS", options);
        }
        lend_the_ssh_agent(&mut command);
        // Nix and `ssh` take as long to start as Nix takes to tell the sizes.
        let tracker = async { Ok(Tracker::with_sizes(self.closure_sizes(paths, run).await?)) };
        let finished = self.run_tracked(command, run, tracker, sink).await?;
        if finished.success() {
            Ok(())
        } else {
            Err(NixError::CopyFailed { message: finished.message_of_all() })
        }
    }
}

/// Nothing of this process's environment reaches what it starts, but `ssh` needs the way to whoever holds its keys.
pub(crate) fn lend_the_ssh_agent(command: &mut Command) {
    if let Some(agent) = std::env::var_os("SSH_AUTH_SOCK") {
        command.env("SSH_AUTH_SOCK", agent);
    }
}
