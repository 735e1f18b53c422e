//! Other programs: found, run, bounded.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use berth_protocol::FailureCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::failure::{Result, failure, io, program as failed};

/// Where programs are found besides `PATH`, which a non-interactive SSH session leaves poor.
const FOLDERS: [&str; 7] = [
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
    "/nix/var/nix/profiles/default/bin",
    "/usr/local/bin",
    "/usr/bin",
    "/usr/sbin",
    "/bin",
];

/// The most that is kept of a program's output, in bytes.
const MAX_OUTPUT: u64 = 4 * 1024 * 1024;

/// How often a program is looked at whose end nobody tells.
const PAUSE: Duration = Duration::from_millis(10);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `PATH` for what the agent starts.
pub(crate) fn search_path() -> OsString {
    let own = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> =
        std::env::split_paths(&own).filter(|folder| folder.is_absolute()).collect();
    for folder in FOLDERS.map(PathBuf::from) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    std::env::join_paths(folders).unwrap_or_default()
}

/// Where a program stands, looked for also in `more` folders.
pub(crate) fn find(name: &str, more: &[PathBuf]) -> Option<PathBuf> {
    let path = search_path();
    let folders = std::env::split_paths(&path).chain(more.iter().cloned());
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// A program with an environment in which its words are English and uncoloured.
pub(crate) fn command(name: &str) -> Result<Command> {
    let missing = || failure(FailureCode::Program, format!("{name} is not installed on this machine"));
    let mut command = Command::new(find(name, &[]).ok_or_else(missing)?);
    prepare(&mut command);
    Ok(command)
}

/// Gives a command the environment of [`command`].
pub(crate) fn prepare(command: &mut Command) {
    command.env("PATH", search_path()).env("LC_ALL", "C").env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "");
    command.current_dir("/").stdin(Stdio::null());
}

/// Runs a command to its end; it is killed with all that it started when it takes longer than `limit`.
pub(crate) fn run(mut command: Command, limit: Duration) -> Result<Output> {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(io(format!("cannot start {name}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let stdout = scope.spawn(|| collect(stdout));
        let stderr = scope.spawn(|| collect(stderr));
        let status = wait(&mut child, limit).map_err(io(format!("cannot wait for {name}")))?;
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        let late = || failed(&name, &format!("it took longer than {} s and was ended", limit.as_secs()));
        Ok(Output { status: status.ok_or_else(late)?, stdout, stderr })
    })
}

/// What a line that a program wrote says of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It got somewhere.
    Moved,
    /// Nothing.
    Nothing,
    /// It will never get anywhere, though it tries.
    Hopeless,
}

/// Runs a command to its end and hands on each line that it writes, to whichever stream, as it comes. One that gets nowhere
/// for longer than `stall` is ended, and so is one that is hopeless. What it wrote to its standard error is returned.
pub(crate) fn stream(
    mut command: Command,
    stall: Duration,
    on_line: &mut dyn FnMut(&str) -> Seen,
) -> Result<Output> {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(io(format!("cannot start {name}")))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (send, lines) = mpsc::channel();
    let (mut words, mut moved, mut ended) = (String::new(), Instant::now(), None);
    thread::scope(|scope| {
        let also = send.clone();
        scope.spawn(move || hand_on_lines(stdout, false, &send));
        scope.spawn(move || hand_on_lines(stderr, true, &also));
        loop {
            let seen = match lines.recv_timeout(Duration::from_millis(500)) {
                Ok((is_error, line)) => {
                    if is_error && words.len() < MAX_WORDS {
                        words.push_str(&line);
                        words.push('\n');
                    }
                    on_line(&line)
                }
                Err(RecvTimeoutError::Timeout) => Seen::Nothing,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if seen == Seen::Moved {
                moved = Instant::now();
            }
            if ended.is_none() && (seen == Seen::Hopeless || moved.elapsed() > stall) {
                ended = Some(moved.elapsed());
                end_group(&mut child);
            }
        }
    });
    let status = child.wait().map_err(io(format!("cannot wait for {name}")))?;
    match ended {
        None => Ok(Output { status, stdout: String::new(), stderr: words }),
        Some(after) => {
            let words = format!("it got nowhere for {} s and was ended: {}", after.as_secs(), words.trim());
            Err(failed(&name, &words))
        }
    }
}

/// A line that is longer than this says nothing that anybody needs.
const MAX_LINE: u64 = 256 * 1024;

/// The most that is kept of what a program writes to its standard error while it is listened to, in bytes.
const MAX_WORDS: usize = 64 * 1024;

fn hand_on_lines(stream: Option<impl Read>, is_error: bool, send: &mpsc::Sender<(bool, String)>) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        match reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(1..) => {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if send.send((is_error, line)).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

/// How long a program may take to put its things away once it was asked to end.
const ENDING: Duration = Duration::from_secs(5);

/// Ends a program with all that it started.
pub(crate) fn end_group(child: &mut Child) {
    let Some(group) = pid(child) else { return };
    let _ = kill_process_group(group, Signal::TERM);
    let _ = wait_at_most(child, ENDING);
    let _ = kill_process_group(group, Signal::KILL);
}

/// Runs a command that must succeed and returns its standard output.
pub(crate) fn run_ok(command: Command, limit: Duration) -> Result<String> {
    let name = PathBuf::from(command.get_program());
    let output = run(command, limit)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let name = name.file_name().unwrap_or_default().to_string_lossy();
            Err(failed(&name, &format!("{} ({})", output.stderr.trim(), output.status)))
        }
    }
}

/// An exit code as a shell would tell it.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let ended = wait_at_most(child, limit);
    if matches!(ended, Ok(Some(_))) {
        return ended;
    }
    if let Some(group) = pid(child) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait()?;
    ended
}

/// Waits for a program until it ends, which is noticed at once; nothing where it has not by then.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let end = Instant::now() + limit;
    // A kernel, or a sandbox, may have none.
    let process = pid(child).and_then(|process| pidfd_open(process, PidfdFlags::empty()).ok());
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match &process {
            Some(process) => wait_for(process, left)?,
            None => thread::sleep(left.min(PAUSE)),
        }
        let ended = child.try_wait()?;
        if ended.is_some() || Instant::now() >= end {
            return Ok(ended);
        }
    }
}

fn wait_for(process: &OwnedFd, limit: Duration) -> std::io::Result<()> {
    let limit = Timespec::try_from(limit).map_err(std::io::Error::other)?;
    match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// What a program writes, up to a bound; what comes behind that is passed over.
pub(crate) fn collect(stream: Option<impl Read>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    // What cannot be read any more is as good as ended.
    let _ = stream.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_all_that_it_started() {
        let mut slow = command("sh").unwrap();
        slow.args(["-c", "sleep 60 & wait"]);
        let began = Instant::now();
        let failure = run(slow, Duration::from_millis(100)).unwrap_err();
        assert!(failure.message.contains("longer than"), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(5), "the grandchild kept the output open");
    }

    #[test]
    fn lines_are_handed_on_as_they_come_and_a_program_that_gets_nowhere_is_ended() {
        let mut script = command("sh").unwrap();
        script.args(["-c", "echo one; echo two; sleep 0.1; echo why >&2; exit 3"]);
        let mut lines = Vec::new();
        let mut keep = |line: &str| {
            lines.push(line.to_owned());
            Seen::Moved
        };
        let output = stream(script, Duration::from_secs(20), &mut keep).unwrap();
        assert_eq!((output.status.code(), output.stderr.trim()), (Some(3), "why"));
        assert_eq!(lines, ["one", "two", "why"]);

        for (seen, stall) in
            [(Seen::Nothing, Duration::from_millis(700)), (Seen::Hopeless, Duration::from_secs(60))]
        {
            let mut idle = command("sh").unwrap();
            idle.args(["-c", "while :; do echo same >&2; sleep 0.1; done"]);
            let began = Instant::now();
            let failure = stream(idle, stall, &mut |_| seen).unwrap_err();
            assert!(failure.message.contains("got nowhere") && failure.message.contains("same"), "{failure}");
            assert!(began.elapsed() < Duration::from_secs(10));
        }
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let mut failing = command("sh").unwrap();
        failing.args(["-c", "echo because >&2; exit 3"]);
        let failure = run_ok(failing, Duration::from_secs(5)).unwrap_err();
        assert_eq!(failure.message, "sh: because (exit status: 3)");
        assert_eq!(command("berth-no-such-program").unwrap_err().code, FailureCode::Program);
    }
}
