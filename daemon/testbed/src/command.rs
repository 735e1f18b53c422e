//! Other programs: called with argument vectors, watched, ended with all their children.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use crate::error::{Context, Result, TestbedError};

/// Folders that are looked into besides `PATH`: root's programs are often missing from it.
const MORE_FOLDERS: &[&str] =
    &["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin", "/run/current-system/sw/bin"];

/// How many of a failed program's last lines an error carries.
const LINES_IN_ERROR: usize = 20;

/// Where a program is.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
        .ok_or_else(|| TestbedError::ProgramNotFound { program: program.to_owned() })
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A program and its arguments.
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, &'static str)>,
    only_this_environment: bool,
}

impl Call {
    pub(crate) fn new<A: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Self> {
        Ok(Self {
            program: find(program)?,
            arguments: arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect(),
            environment: Vec::new(),
            only_this_environment: false,
        })
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Hands on nothing of this process' environment.
    pub(crate) fn without_own_environment(mut self) -> Self {
        self.only_this_environment = true;
        self
    }

    /// For messages: the program and its first argument, never more, as later ones may be long.
    fn describe(&self) -> String {
        let mut text = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(first) = self.arguments.first() {
            text = format!("{text} {}", first.to_string_lossy());
        }
        text
    }

    /// The command, in a process group of its own so that Ctrl-C reaches only us and we end all of it.
    pub(crate) fn command(&self) -> std::process::Command {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new(&self.program);
        if self.only_this_environment {
            command.env_clear();
        }
        command
            .args(&self.arguments)
            .envs(self.environment.iter().copied())
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Runs to the end, whatever the exit status.
    pub(crate) async fn output(&self, timeout: Duration) -> Result<Output> {
        let mut command = tokio::process::Command::from(self.command());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut group = Group(child.context(|| format!("cannot start {}", self.describe()))?);
        let collected = async {
            let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
            let (stdout, stderr, status) = tokio::join!(read_all(stdout), read_all(stderr), group.0.wait());
            Ok::<_, std::io::Error>(Output { status: status?, stdout: stdout?, stderr: stderr? })
        };
        match tokio::time::timeout(timeout, collected).await {
            Ok(output) => output.context(|| format!("cannot follow {}", self.describe())),
            Err(_) => Err(TestbedError::Timeout { what: self.describe(), after: timeout }),
        }
    }

    /// Runs to the end; anything but success is an error with the end of what the program wrote.
    pub(crate) async fn run(&self, timeout: Duration) -> Result<Output> {
        let output = self.output(timeout).await?;
        self.check(output)
    }

    /// Like [`Self::run`] without a runtime, for putting things away. Only for programs that end at once.
    pub(crate) fn run_now(&self) -> Result<Output> {
        let output = self.command().output().context(|| format!("cannot start {}", self.describe()))?;
        self.check(output)
    }

    fn check(&self, output: Output) -> Result<Output> {
        if output.status.success() {
            return Ok(output);
        }
        let text = [output.stdout, output.stderr].concat();
        Err(self.failure(&output.status, &last_lines(&String::from_utf8_lossy(&text), LINES_IN_ERROR)))
    }

    fn failure(&self, status: &std::process::ExitStatus, message: &str) -> TestbedError {
        TestbedError::CommandFailed {
            command: self.describe(),
            status: status.to_string(),
            message: message.to_owned(),
        }
    }

    /// Runs to the end and hands every line on, as it comes.
    pub(crate) async fn stream(
        &self,
        timeout: Duration,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<()> {
        let mut command = tokio::process::Command::from(self.command());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut group = Group(child.context(|| format!("cannot start {}", self.describe()))?);
        match tokio::time::timeout(timeout, self.follow(&mut group, on_line)).await {
            Ok(done) => done,
            Err(_) => Err(TestbedError::Timeout { what: self.describe(), after: timeout }),
        }
    }

    async fn follow(&self, group: &mut Group, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
        let (lines, mut received) = tokio::sync::mpsc::channel(64);
        let stdout = send_lines(group.0.stdout.take(), lines.clone());
        let stderr = send_lines(group.0.stderr.take(), lines);
        let mut last = std::collections::VecDeque::new();
        let collected = async {
            while let Some(line) = received.recv().await {
                on_line(&line);
                if last.len() == LINES_IN_ERROR {
                    last.pop_front();
                }
                last.push_back(line);
            }
        };
        tokio::join!(stdout, stderr, collected);
        let status = group.0.wait().await.context(|| format!("cannot follow {}", self.describe()))?;
        if status.success() {
            return Ok(());
        }
        Err(self.failure(&status, &Vec::from(last).join("\n")))
    }
}

async fn read_all(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> std::io::Result<Vec<u8>> {
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// Ends when the stream does, or cannot be read any more: the exit status tells the rest.
async fn send_lines(
    stream: Option<impl tokio::io::AsyncRead + Unpin>,
    lines: tokio::sync::mpsc::Sender<String>,
) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).await.is_ok_and(|length| length > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// A running program; dropped before its end, it and all of its group are killed.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is `None` once the child was waited for, so the number cannot be somebody else's by now.
        let pid = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The end of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failing_program_is_an_error_with_the_end_of_what_it_wrote() {
        let call = Call::new("ls", ["/nonexistent-folder"]).unwrap();
        let error = call.run(Duration::from_secs(10)).await.unwrap_err();
        let TestbedError::CommandFailed { command, message, .. } = error else { panic!("{error}") };
        assert_eq!(command, "ls /nonexistent-folder");
        assert!(message.contains("No such file"), "{message}");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended() {
        let call = Call::new("sleep", ["3600.125"]).unwrap();
        let error = call.run(Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, TestbedError::Timeout { .. }), "{error}");
    }

    #[test]
    fn a_program_that_is_not_installed_is_named() {
        let error = find("no-such-program-at-all").unwrap_err();
        assert_eq!(error.to_string(), "the program “no-such-program-at-all” was not found");
    }

    #[test]
    fn the_last_lines_of_a_short_text_are_all_of_it() {
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
