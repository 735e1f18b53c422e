//! How the `ssh` program is called.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use super::Endpoint;

/// `ssh` with an endpoint's configuration and an environment without the daemon's own variables. It ends when its
/// handle is dropped.
pub(crate) fn ssh(program: &Path, endpoint: &Endpoint, options: &[&str], remote: &[&str]) -> Command {
    // Looked for here: with an environment of its own, it would be looked for in a copy of this process, whose memory would have to be
    // mapped for it.
    let mut command = Command::new(which::which(program).as_deref().unwrap_or(program));
    command.env_clear().env("LC_ALL", "C").env("SSH_ASKPASS_REQUIRE", "never").current_dir("/");
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.arg("-F").arg(endpoint.config()).args(options);
    command.arg("--").arg(endpoint.machine.name.as_str()).args(remote);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    // A terminal's Ctrl-C is for the daemon, which ends what it started in its own order.
    command.process_group(0);
    command
}
