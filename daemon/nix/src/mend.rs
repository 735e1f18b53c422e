//! Sending a path again that another store calls valid and holds damaged.
//!
//! `nix copy` passes over whatever the other store's database calls valid, and Nix deletes nothing that others refer to. What
//! replaces a path in its place is the operation `AddToStoreNar` of Nix's worker protocol with its flag `repair`, which
//! none of Nix's own commands sets. So it is asked for here, of the same `nix-daemon --stdio` that `nix copy` speaks with
//! over `ssh-ng`. The other store itself compares the hash of what comes with what was announced, takes its own locks, and
//! looks after hard links and read-only mounts.

mod worker;

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;

use crate::copy::{Destination, lend_the_ssh_agent};
use crate::error::NixError;
use crate::nix::{Nix, Run, spawnable};
use crate::store::{PATH_INFO, parsed};
use crate::store_path::StorePath;
use worker::{Info, Worker, WorkerError};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInfo {
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
    #[serde(default)]
    deriver: Option<String>,
    #[serde(default)]
    signatures: Vec<String>,
    /// A text until Nix 2.31.
    #[serde(default)]
    ca: Option<serde_json::Value>,
}

impl Nix {
    /// Sends paths that this store holds once more, in place of whatever the other store has there. What they refer to must
    /// be valid there. Paths are sent in their order.
    ///
    /// # Errors
    /// [`NixError::CopyFailed`] with what the other store, or `ssh`, said; [`NixError::CommandFailed`] where a path is not
    /// in this store, or damaged here as well.
    pub async fn send_again(
        &self,
        paths: &[StorePath],
        to: Destination<'_>,
        run: &Run,
    ) -> Result<(), NixError> {
        if paths.is_empty() {
            return Ok(());
        }
        let sending = async {
            let infos = self.infos(paths, run).await?;
            let mut child = self.other_store(to)?;
            let (Some(output), Some(input)) = (child.stdout.take(), child.stdin.take()) else {
                return Err(NixError::io("nix-daemon")(std::io::Error::other("its streams were not piped")));
            };
            let mut worker = match Worker::greet(output, input).await {
                Ok(worker) => worker,
                Err(error) => return Err(refused(error, child).await),
            };
            for info in infos {
                let mut dump = self.dump(&info.path)?;
                let archive = dump.stdout.take();
                let archive = archive.ok_or_else(|| {
                    NixError::io("nix-store")(std::io::Error::other("its output was not piped"))
                })?;
                if let Err(error) = worker.replace(&info, archive).await {
                    return Err(refused(error, child).await);
                }
            }
            Ok(())
        };
        tokio::select! {
            biased;
            () = run.cancel.cancelled() => Err(NixError::Cancelled),
            () = tokio::time::sleep(run.timeout) => Err(NixError::Timeout { after: run.timeout }),
            sent = sending => sent,
        }
    }

    /// What this store knows of some paths, each of which is whole here.
    async fn infos(&self, paths: &[StorePath], run: &Run) -> Result<Vec<Info>, NixError> {
        let words = || paths.iter().map(StorePath::as_str);
        // The other store has removed what it had by the time it finds out that something else came.
        let mut whole = self.nix_store(&["--verify-path"]);
        whole.args(words());
        let finished = self.run(whole, run, |_| {}).await?;
        if !finished.success() {
            let command = "nix-store --verify-path";
            return Err(NixError::CommandFailed { command, message: finished.message_of_all() });
        }
        let mut command = self.nix(&["path-info"]);
        command.args(["--json", "--"]).args(words());
        let mut known: Vec<_> = parsed::<RawInfo>(&self.ask(command, PATH_INFO).await?)?.by_path().collect();
        let of = |path: &StorePath| {
            let at = known
                .iter()
                .position(|(found, _)| found == path.as_str())
                .ok_or_else(|| nothing_about(path))?;
            let (_, raw) = known.swap_remove(at);
            Ok(Info {
                path: path.clone(),
                deriver: raw.deriver.unwrap_or_default(),
                nar_hash: raw.nar_hash,
                nar_bytes: raw.nar_size,
                references: raw.references,
                signatures: raw.signatures,
                content_address: raw.ca.and_then(|ca| ca.as_str().map(str::to_owned)).unwrap_or_default(),
            })
        };
        paths.iter().map(of).collect()
    }

    /// `nix-daemon --stdio` at the other store: behind `ssh`, or here.
    fn other_store(&self, to: Destination<'_>) -> Result<tokio::process::Child, NixError> {
        let (program, mut command) = match to.url.strip_prefix("ssh-ng://") {
            Some(host) => {
                let mut command = spawnable(Path::new("ssh"));
                self.environment(&mut command);
                let options = to.ssh_options.unwrap_or_default().split_whitespace();
                command.args(options).args(["--", host, "nix-daemon", "--stdio"]).env("LC_ALL", "C");
                lend_the_ssh_agent(&mut command);
                ("ssh", command)
            }
            None => {
                let mut command = self.bare("nix-daemon");
                command.args(["--stdio", "--option", "store", to.url]);
                ("nix-daemon", command)
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true).spawn().map_err(NixError::io(program))
    }

    /// A path as an archive (NAR), on a child's standard output.
    fn dump(&self, path: &StorePath) -> Result<tokio::process::Child, NixError> {
        let mut command = self.nix_store(&["--dump", path.as_str()]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        command.process_group(0).kill_on_drop(true).spawn().map_err(NixError::io("nix-store"))
    }
}

fn nothing_about(path: &StorePath) -> NixError {
    NixError::UnexpectedOutput { command: PATH_INFO, problem: format!("nothing about {path}") }
}

/// The most that is kept of what a program wrote, in bytes.
const MAX_WORDS: u64 = 16 * 1024;

/// What the other store said; where it said nothing, what `ssh` wrote.
async fn refused(error: WorkerError, mut child: tokio::process::Child) -> NixError {
    use tokio::io::AsyncReadExt as _;
    let mut words = Vec::new();
    let _ = child.start_kill();
    if let (WorkerError::Io(_), Some(stderr)) = (&error, child.stderr.take()) {
        // Without its words there is still the error.
        let _ = stderr.take(MAX_WORDS).read_to_end(&mut words).await;
    }
    let words = String::from_utf8_lossy(&words).trim().to_owned();
    let message = if words.is_empty() { error.to_string() } else { format!("{words}\n{error}") };
    NixError::CopyFailed { message }
}
