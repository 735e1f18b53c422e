//! restic, called so that nothing that it must keep to itself stands in its command line or in what is told of it.
//!
//! What it prints is described in its manual (“Scripting”); versions from 0.14 on are understood.

mod location;
mod words;

use std::fs::Metadata;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_delta::{Snapshot, newest};
use berth_protocol::{FailureCode, Repository};
use location::{encoded, location};
use words::{Message, is_missing, listed, parse, problem, version};

use crate::failure::{Result, bad_manifest, failure, program};
use crate::places::RESTIC_CACHE;
use crate::programs::{self, Output, Seen, command, run};

pub(super) use words::{Status, Summary};

/// How long a question about the repository may take.
const BRIEF: Duration = Duration::from_secs(300);

/// How long a transfer may get nowhere: one whose connection is gone would try again for a quarter of an hour.
const STALL: Duration = Duration::from_secs(180);

/// What restic says when nobody listens at the repository's address, and after how many times nobody ever will: the port was
/// forwarded over a connection that is gone.
const REFUSED: &str = "connection refused";
const REFUSALS: u32 = 4;

/// restic ends with 3 where it made a snapshot but could not read everything.
const INCOMPLETE: i32 = 3;

/// A repository that can be asked.
pub(super) struct Restic<'a> {
    repository: &'a Repository,
    location: String,
    version: (u32, u32),
}

/// What is to be copied.
pub(super) struct Backup<'a> {
    pub(super) host: &'a str,
    pub(super) tags: Vec<String>,
    pub(super) what: What<'a>,
    /// Whether files may vanish while they are read, as nobody is quiet.
    pub(super) tolerant: bool,
}

/// Which files a snapshot is of.
pub(super) enum What<'a> {
    /// What is at and below these paths; what of it is in the snapshot `parent` is not read again.
    Everything { paths: Vec<String>, parent: Option<String> },
    /// Just the files that a file lists, each ended by a byte of zero.
    Listed(&'a Path),
}

impl<'a> Restic<'a> {
    /// Looks whether restic is here and the address is one; connects to nothing.
    pub(super) fn of(repository: &'a Repository) -> Result<Self> {
        let location = location(repository)?;
        let mut ask = command("restic")?;
        ask.arg("version");
        let words = programs::run_ok(ask, BRIEF)?;
        let version = version(&words).ok_or_else(|| program("restic version", &words))?;
        Ok(Self { repository, location, version })
    }

    /// Makes the repository unless it is there.
    pub(super) fn ensure_there(&self) -> Result<()> {
        if self.is_there()? {
            return Ok(());
        }
        let made = run(self.call(&["init"])?, BRIEF)?;
        // Another may have made it meanwhile.
        if made.status.success() || self.is_there()? { Ok(()) } else { Err(self.failed("init", &made)) }
    }

    /// Whether the repository is there; a failure where that cannot be found out.
    pub(super) fn is_there(&self) -> Result<bool> {
        let output = self.transfer(self.call(&["cat", "config", "--no-lock"])?, &mut |_| {})?;
        match output.status.success() {
            true => Ok(true),
            false if is_missing(self.version, output.status.code(), &output.stderr) => Ok(false),
            false => Err(self.failed("cat config", &output)),
        }
    }

    /// Makes a snapshot.
    pub(super) fn backup(&self, backup: &Backup<'_>, on_status: &mut dyn FnMut(Status)) -> Result<Summary> {
        let mut call = self.call(&["backup", "--json", "--host", backup.host])?;
        for tag in &backup.tags {
            call.arg("--tag").arg(tag);
        }
        match &backup.what {
            What::Everything { paths, parent } => {
                // Of itself restic takes a snapshot of the same paths, and the staging folder's is another each time.
                call.args(parent.iter().flat_map(|parent| ["--parent", parent]));
                call.arg("--").args(paths);
            }
            // No earlier snapshot is of the same files.
            What::Listed(list) => drop(call.arg("--force").arg("--files-from-raw").arg(list)),
        }
        let (mut summary, mut problems) = (None, Vec::new());
        let output = self.transfer(call, &mut |message| match message {
            Message::Status(status) => on_status(status),
            Message::Summary(found) => summary = Some(found),
            Message::Error(problem) => problems.push(problem),
            Message::Snapshots(_) => {}
        })?;
        match (output.status.code(), summary) {
            (Some(0), Some(summary)) => self.with_whole_id(summary),
            (Some(INCOMPLETE), Some(summary)) if backup.tolerant => self.with_whole_id(summary),
            (Some(INCOMPLETE), _) => Err(program(
                "restic backup",
                &self.redacted(&format!("not everything could be read: {}", problems.join("; "))),
            )),
            _ => Err(self.failed("backup", &output)),
        }
    }

    /// Whether it writes a snapshot over an older one: its `restore` has had `--overwrite` and `--delete` since 0.17.
    pub(super) fn overwrites(&self) -> bool {
        self.version >= (0, 17)
    }

    /// Copies what is at and below a path of a snapshot into a folder, under its whole path. With `reuse`, files that are there
    /// and have the size and the time of change that they are to have are kept, and what is not in the snapshot is removed.
    pub(super) fn restore(
        &self,
        (snapshot, path): (&str, &str),
        target: &str,
        reuse: bool,
        on_status: &mut dyn FnMut(Status),
    ) -> Result<()> {
        let mut call =
            self.call(&["restore", "--json", "--no-lock", "--target", target, "--include", path])?;
        if self.version >= (0, 15) {
            call.arg("--sparse");
        }
        if reuse {
            call.args(["--overwrite", "if-changed", "--delete"]);
        }
        call.arg("--").arg(snapshot);
        let output = self.transfer(call, &mut |message| {
            if let Message::Status(status) = message {
                on_status(status);
            }
        })?;
        if output.status.success() { Ok(()) } else { Err(self.failed("restore", &output)) }
    }

    /// A file of a snapshot.
    pub(super) fn file(&self, snapshot: &str, path: &str) -> Result<String> {
        self.ok(&["dump", "--no-lock", "--", snapshot, path]).map(|output| output.stdout)
    }

    /// A snapshot of the repository; a failure also where there is no repository.
    pub(super) fn snapshot(&self, id: &str) -> Result<Snapshot> {
        let call = self.call(&["snapshots", "--json", "--no-lock", "--", id])?;
        let mut found = Vec::new();
        let output = self.transfer(call, &mut |message| {
            if let Message::Snapshots(listed) = message {
                found.extend(listed);
            }
        })?;
        if let Some(found) = found.pop() {
            return Ok(found);
        }
        if !output.status.success() {
            return Err(match is_missing(self.version, output.status.code(), &output.stderr) {
                true => failure(FailureCode::StateMismatch, "there is no repository"),
                false => self.failed("snapshots", &output),
            });
        }
        // restic ends well also where it could not read the snapshot, as it was not let in any more: only a list tells whether
        // there is one.
        let there = self.ok(&["list", "snapshots", "--no-lock"])?.stdout;
        match there.lines().any(|line| line.trim().starts_with(id)) {
            true => Err(self.failed("snapshots", &output)),
            false => Err(failure(FailureCode::StateMismatch, format!("there is no snapshot {id}"))),
        }
    }

    /// Refuses what this version would silently copy as something else: a link that leads to what is no UTF-8. (restic's
    /// changelog of 0.16.0, #3311.)
    pub(super) fn copies(&self, path: &Path, found: &Metadata) -> std::io::Result<()> {
        if self.version >= (0, 16) || !found.is_symlink() || std::fs::read_link(path)?.to_str().is_some() {
            return Ok(());
        }
        let (major, minor) = self.version;
        let message =
            format!("restic {major}.{minor} cannot copy the link {}; 0.16 and newer can", path.display());
        Err(std::io::Error::other(message))
    }

    /// Every snapshot of the repository.
    pub(super) fn snapshots(&self) -> Result<Vec<Snapshot>> {
        listed(&self.ok(&["snapshots", "--json", "--no-lock"])?.stdout)
    }

    /// The newest snapshot of a host with a tag; nothing also where that cannot be found out.
    pub(super) fn newest(&self, host: &str, tag: &str) -> Option<String> {
        let output = self.ok(&["snapshots", "--json", "--no-lock", "--host", host, "--tag", tag]).ok()?;
        newest(&listed(&output.stdout).ok()?).map(|snapshot| snapshot.id.clone())
    }

    /// Older versions only tell the beginning of the id.
    fn with_whole_id(&self, mut summary: Summary) -> Result<Summary> {
        if summary.snapshot_id.len() < 64 {
            summary.snapshot_id = self.snapshot(&summary.snapshot_id)?.id;
        }
        Ok(summary)
    }

    fn ok(&self, arguments: &[&str]) -> Result<Output> {
        let output = run(self.call(arguments)?, BRIEF)?;
        let what = arguments.first().copied().unwrap_or_default();
        if output.status.success() { Ok(output) } else { Err(self.failed(what, &output)) }
    }

    fn transfer(&self, call: Command, on_message: &mut dyn FnMut(Message)) -> Result<Output> {
        let (mut last, mut refusals) = (Status::default(), 0);
        // Only what tells how far it is can be seen to stand still; restic tells it of a restore from 0.17 on.
        let tells = self.version >= (0, 17);
        let streamed = programs::stream(call, STALL, &mut |line| match parse(line) {
            Some(Message::Status(status)) => {
                let moved = status != last;
                last = status;
                on_message(Message::Status(status));
                if moved { Seen::Moved } else { Seen::Nothing }
            }
            Some(message) => {
                on_message(message);
                Seen::Moved
            }
            None if line.contains(REFUSED) => {
                refusals += 1;
                if refusals >= REFUSALS { Seen::Hopeless } else { Seen::Nothing }
            }
            None if tells => Seen::Nothing,
            None => Seen::Moved,
        });
        streamed.map_err(|mut failure| {
            failure.message = self.redacted(&failure.message);
            failure
        })
    }

    /// What opens the repository goes by the environment, which only root can look at.
    fn call(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = command("restic")?;
        command.env("RESTIC_REPOSITORY", &self.location).env("RESTIC_PASSWORD", self.repository.key.expose());
        command.env("RESTIC_CACHE_DIR", RESTIC_CACHE).env("RESTIC_PROGRESS_FPS", "2");
        command.args(arguments);
        Ok(command)
    }

    fn failed(&self, what: &str, output: &Output) -> berth_protocol::Failure {
        let words: Vec<String> =
            output.stderr.lines().map(|line| problem(line).unwrap_or_else(|| line.into())).collect();
        let words = format!("{} ({})", words.join("\n").trim(), output.status);
        program(&format!("restic {what}"), &self.redacted(&words))
    }

    fn redacted(&self, words: &str) -> String {
        let Repository { user, password, key, .. } = self.repository;
        let secrets = [password.expose().to_owned(), encoded(password.expose()), key.expose().to_owned()];
        let mut words = words.replace(&self.location, "the repository");
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            words = words.replace(secret.as_str(), "…");
        }
        if user.is_empty() { words } else { words.replace(&format!("{}:…@", encoded(user)), "") }
    }
}

/// Refuses a path that restic would take for a pattern.
pub(super) fn check_path(path: &str) -> Result<()> {
    match path.contains(['*', '?', '[', ']', '\\', '$']) {
        true => Err(bad_manifest(format!("“{path}” has characters that restic takes for a pattern"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::location::tests::repository;
    use super::*;

    #[test]
    fn nothing_that_opens_the_repository_is_told() {
        let repository = repository("http://127.0.0.1:1/acme", "acme", "hunter 2");
        let restic =
            Restic { repository: &repository, location: location(&repository).unwrap(), version: (0, 18) };
        let words = "Head \"http://acme:hunter%202@127.0.0.1:1/acme/config\": no; rest:http://acme:hunter%202@127.0.0.1:1/acme/; the-key; hunter 2";
        let told = restic.redacted(words);
        assert_eq!(told, "Head \"http://127.0.0.1:1/acme/config\": no; the repository; …; …");
        let call = restic.call(&["cat", "config"]).unwrap();
        let arguments: Vec<_> = call.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments, ["cat", "config"]);
    }

    #[test]
    fn a_link_that_an_old_version_would_copy_as_another_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = tempfile::tempdir().unwrap();
        let repository = repository("/srv/vault", "", "");
        let copies = |target: &[u8], version| {
            let link = folder.path().join("link");
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), &link).unwrap();
            let restic = Restic { repository: &repository, location: String::new(), version };
            restic.copies(&link, &link.symlink_metadata().unwrap()).is_ok()
        };
        assert!(copies(b"x", (0, 14)) && copies(b"\xff", (0, 16)) && copies(b"\xff", (1, 0)));
        assert!(!copies(b"\xff", (0, 15)));
    }
}
