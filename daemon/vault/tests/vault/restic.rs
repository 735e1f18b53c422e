//! The real restic, in every version that this host has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;
use std::time::Duration;

use berth_garage::cache;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

/// How long a call may take. restic repeats what fails for up to fifteen minutes; no test waits for that.
const PATIENCE: Duration = Duration::from_secs(120);

/// What opens every repository of these tests.
pub const PASSWORD: &str = "of this test";

static SKIPPED: Once = Once::new();

/// A restic program.
#[derive(Debug, Clone)]
pub struct Restic {
    pub version: String,
    program: PathBuf,
}

/// Each version that is here; without any, says so. `BERTH_RESTIC` names programs, divided by `:`; without it, the one in
/// `PATH` and those of the testbed's images are tried.
pub async fn every() -> Vec<Restic> {
    let mut versions = BTreeMap::new();
    for program in programs() {
        let Ok(output) = Command::new(&program).arg("version").output().await else { continue };
        let words = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(version) = words.strip_prefix("restic ").and_then(|rest| rest.split(' ').next()) {
            versions.insert(version.to_owned(), program);
        }
    }
    if versions.is_empty() {
        SKIPPED.call_once(|| say("SKIPPED: there is no restic (Debian: apt-get install restic)"));
    }
    versions.into_iter().map(|(version, program)| Restic { version, program }).collect()
}

/// Says something where a test's own words are looked for.
#[allow(clippy::print_stderr)]
pub fn say(words: &str) {
    eprintln!("{words}");
}

fn programs() -> Vec<PathBuf> {
    if let Some(named) = std::env::var_os("BERTH_RESTIC") {
        return std::env::split_paths(&named).collect();
    }
    let mut programs = vec![PathBuf::from("restic")];
    let images = cache().and_then(|cache| std::fs::read_dir(cache).ok()).into_iter().flatten().flatten();
    let images = images.filter(|entry| entry.file_name().to_string_lossy().starts_with("image-"));
    programs.extend(images.map(|image| image.path().join("usr/bin/restic")));
    programs
}

/// A host that backs itself up.
pub struct Host {
    restic: Restic,
    environment: Vec<(&'static str, String)>,
    folder: TempDir,
}

impl Restic {
    /// A host that uses a repository of a server by a token.
    pub fn host(&self, address: &str, repository: &str, token: &SecretString) -> Host {
        let token = token.expose_secret();
        self.host_of(format!("rest:http://any:{token}@{address}/vault/{repository}/"), Vec::new())
    }

    /// A host that uses any repository.
    pub fn host_of(&self, repository: String, environment: Vec<(&'static str, String)>) -> Host {
        let mut environment = environment;
        environment.push(("RESTIC_REPOSITORY", repository));
        Host { restic: self.clone(), environment, folder: tempfile::tempdir().unwrap() }
    }
}

impl Host {
    /// What is backed up.
    pub fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.restic.program);
        command.args(words).current_dir(self.folder.path()).envs(self.environment.iter().cloned());
        command.env("RESTIC_PASSWORD", PASSWORD).env("XDG_CACHE_HOME", self.path("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs restic, which must succeed; what it wrote.
    pub async fn ok(&self, words: &[&str]) -> String {
        let child = self.start(words);
        self.await_success(child, words).await
    }

    pub fn start(&self, words: &[&str]) -> Child {
        self.command(words).spawn().unwrap()
    }

    pub async fn await_success(&self, child: Child, words: &[&str]) -> String {
        let version = &self.restic.version;
        let output = timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.unwrap_or_else(|_| panic!("restic {version} {words:?} takes too long")).unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "restic {version} {words:?}: {text}");
        text.into_owned()
    }

    /// Runs restic, which must say this and not succeed. It is not waited for until it gives up.
    pub async fn fails(&self, words: &[&str], saying: &str) {
        let succeeded = self.says(words, saying).await;
        assert!(!succeeded, "restic {} {words:?} says “{saying}” and succeeds", self.restic.version);
    }

    /// Runs restic, which must say this; whether it then ended well, which is not waited for long.
    pub async fn says(&self, words: &[&str], saying: &str) -> bool {
        let version = &self.restic.version;
        let mut child = self.start(words);
        let (mut lines, mut said) = (String::new(), false);
        let errors = child.stderr.take().unwrap();
        let read = timeout(PATIENCE, read_until(errors, saying, &mut lines, &mut said)).await;
        assert!(read.is_ok() && said, "restic {version} {words:?} does not say “{saying}”: {lines}");
        match timeout(Duration::from_secs(2), child.wait()).await {
            Ok(status) => status.unwrap().success(),
            Err(_) => {
                child.kill().await.unwrap();
                false
            }
        }
    }

    /// Backs the tree up.
    pub async fn back_up(&self) -> String {
        self.ok(&["backup", "--quiet", "tree"]).await
    }

    /// Restores the newest snapshot into an empty folder; that of the tree in it.
    pub async fn restore(&self, name: &str) -> PathBuf {
        let target = self.path(name);
        self.ok(&["restore", "latest", "--target", target.to_str().unwrap()]).await;
        find(&target, "tree").unwrap()
    }

    pub async fn snapshots(&self) -> usize {
        let listed = self.ok(&["snapshots", "--json", "--no-lock"]).await;
        let listed: serde_json::Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
        listed.as_array().unwrap().len()
    }
}

async fn read_until(errors: ChildStderr, text: &str, lines: &mut String, said: &mut bool) {
    let mut errors = BufReader::new(errors);
    let mut line = Vec::new();
    while errors.read_until(b'\n', &mut line).await.unwrap() > 0 {
        lines.push_str(&String::from_utf8_lossy(&line));
        line.clear();
        if lines.contains(text) {
            *said = true;
            // Whoever writes on must not wait for a reader.
            tokio::spawn(async move { errors.read_to_end(&mut Vec::new()).await });
            return;
        }
    }
}

/// restic restores below the whole path that was backed up, or below what was said of it.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let inner = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut folders = inner.filter(|path| path.is_dir() && !path.is_symlink());
    folders.find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}
