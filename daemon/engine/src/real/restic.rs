//! The restic of this host, for what is done with a vault here. What it must keep to itself stands in its environment only.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use berth_delta::REST;
use berth_protocol::Pass;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::Instant;

use crate::buckets::BUCKET_OF;
use crate::error::{EXPORT_FAILED, PRUNE_FAILED, StepError};
use crate::offsite::TAKEN_OVER;
use crate::ports::{Bounds, Report, Sink};

/// What stands in the environment of whatever removes something: the repository's path.
const MARK: &str = "BERTH_PRUNES";

/// What restic says of a repository that somebody else has locked.
const LOCKED: &str = "already locked";

/// How long it is waited until a lock goes.
const LOCKED_FOR: Duration = Duration::from_secs(60);

/// How often it is looked whether it has.
const PAUSE: Duration = Duration::from_secs(1);

/// A repository that this host's restic can open.
pub(super) struct Restic<'a> {
    pub(super) address: SocketAddr,
    pub(super) path: &'a str,
    pub(super) token: &'a SecretString,
    pub(super) key: &'a SecretString,
}

/// What restic tells of a snapshot.
#[derive(Deserialize)]
struct Told {
    id: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Told {
    /// Whether it is of no use where no snapshot of the tenant needs it. What was copied while the services went on cannot be brought back
    /// by itself, nor can the rest of a snapshot, nor what a try to take a tenant in left.
    fn is_idle(&self) -> bool {
        let live = Pass::Live.tag();
        let idle = |tag: &String| {
            *tag == live || *tag == TAKEN_OVER || tag.starts_with(BUCKET_OF) || tag.starts_with(REST)
        };
        self.tags.iter().flatten().any(idle)
    }
}

impl Restic<'_> {
    /// Writes what a snapshot holds into a folder, under its whole paths.
    pub(super) async fn restore(
        &self,
        snapshot: &str,
        into: &Path,
        bounds: &Bounds,
    ) -> Result<(), StepError> {
        let mut command = self.command("restore");
        command.args(["--no-lock", "--target"]).arg(into).arg("--").arg(snapshot);
        self.run(command, EXPORT_FAILED, bounds).await.map(drop)
    }

    /// Forgets snapshots, and what was copied while services went on, or of buckets for a snapshot that did not come about; then removes what none of the others needs.
    pub(super) async fn forget(
        &self,
        going: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        bounds: &Bounds,
        sink: &Sink,
    ) -> Result<(), StepError> {
        // What a daemon that was killed left running here would keep the repository locked.
        berth_nix::end_marked(MARK, self.path).await;
        // What was locked by somebody who is gone; whoever still works with the repository keeps it.
        self.run(self.command("unlock"), PRUNE_FAILED, bounds).await?;
        let mut listing = self.command("snapshots");
        listing.args(["--json", "--no-lock"]);
        let listed = self.run(listing, PRUNE_FAILED, bounds).await?;
        let unreadable = |error| StepError::failed(PRUNE_FAILED, format!("restic snapshots: {error}"));
        let there: Vec<Told> = serde_json::from_slice(&listed.stdout).map_err(unreadable)?;
        let goes = |told: &&Told| going.contains(&told.id) || !needed.contains(&told.id) && told.is_idle();
        let parts: Vec<&str> = there.iter().filter(goes).map(|told| told.id.as_str()).collect();
        if !parts.is_empty() {
            sink(Report::Line(format!("{} parts are forgotten", parts.len())));
            self.alone("forget", &parts, bounds).await?;
        }
        sink(Report::Line("what nothing needs any more is removed".into()));
        self.alone("prune", &[], bounds).await
    }

    /// Runs what nobody else may work with the repository meanwhile. What a killed daemon's restic locked stays locked until that has
    /// quite gone, which takes as long as its host takes to bury it.
    async fn alone(&self, word: &str, snapshots: &[&str], bounds: &Bounds) -> Result<(), StepError> {
        let end = Instant::now() + LOCKED_FOR;
        loop {
            let mut command = self.marked(word);
            command.arg("--").args(snapshots);
            match self.run(command, PRUNE_FAILED, bounds).await {
                Err(StepError::Failed(failure))
                    if failure.message.contains(LOCKED) && Instant::now() < end => {}
                outcome => return outcome.map(drop),
            }
            let pause = bounds.cancel.run_until_cancelled(tokio::time::sleep(PAUSE));
            pause.await.ok_or(StepError::Cancelled)?;
            self.run(self.command("unlock"), PRUNE_FAILED, bounds).await?;
        }
    }

    fn marked(&self, word: &str) -> Command {
        let mut command = self.command(word);
        command.env(MARK, self.path);
        command
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new("restic");
        command.args([word, "--no-cache", "--quiet"]);
        let (address, path, token) = (self.address, self.path, self.token.expose_secret());
        command.env("RESTIC_REPOSITORY", format!("rest:http://berth:{token}@{address}{path}"));
        command.env("RESTIC_PASSWORD", self.key.expose_secret());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs a command to its end; `code` is that of its failure.
    async fn run(
        &self,
        mut command: Command,
        code: &'static str,
        bounds: &Bounds,
    ) -> Result<Output, StepError> {
        let word = command.as_std().get_args().next().map(|word| word.to_string_lossy().into_owned());
        let output = async {
            tokio::time::timeout(bounds.timeout, command.output())
                .await
                .map_err(|_| StepError::retryable("timeout", "restic took longer than it may"))
        };
        let output = bounds.cancel.run_until_cancelled(output).await.ok_or(StepError::Cancelled)??;
        let output = output.map_err(|error| {
            StepError::failed(code, format!("restic cannot be started on the daemon's host: {error}"))
        })?;
        if output.status.success() {
            return Ok(output);
        }
        let words = String::from_utf8_lossy(&output.stderr).replace(self.token.expose_secret(), "…");
        Err(StepError::retryable(code, format!("restic {}: {}", word.unwrap_or_default(), words.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_is_written_down_of_is_of_no_use_where_it_was_taken_over_or_is_half_of_something() {
        let idle = |tags: &[&str]| {
            let tags = Some(tags.iter().map(|tag| (*tag).to_owned()).collect());
            Told { id: "ab".into(), tags }.is_idle()
        };
        assert!(idle(&["service:web", "pass:live"]) && idle(&["rest:web"]) && idle(&["bucket-of:web"]));
        assert!(idle(&["service:web", "pass:quiesced", TAKEN_OVER]));
        assert!(!idle(&["service:web", "pass:quiesced"]) && !idle(&["berth:tenant"]));
    }
}
