//! The processes of a machine: systemd-nspawn on the host, and all that runs inside.
//!
//! They are found by what they are (the folder that nspawn was given, the network namespace of what is
//! inside), not by numbers written down, which could be another's by now. Each is held by a pidfd before it
//! is looked at and signalled through it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::record::MachineRecord;
use crate::cgroups;
use crate::command::{self, Call};
use crate::error::{Context, Result, TestbedError};

/// The program that runs a machine.
const NSPAWN: &str = "systemd-nspawn";

/// How long killed processes may take to be gone.
const DEATH: Duration = Duration::from_secs(10);

/// nspawn's exit status for a reboot: `EXIT_FORCE_RESTART` of systemd's source.
const FORCE_RESTART: i32 = 133;

/// The systemd-nspawn that runs a machine.
#[derive(Debug)]
pub(super) struct Nspawn {
    process: OwnedFd,
    pid: u32,
    /// To be waited for, or it would remain as a zombie.
    child: Child,
}

impl Nspawn {
    /// Starts it. Its output goes to the end of `console`.
    pub(super) fn spawn(record: &MachineRecord, console: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(console);
        let file = file.context(|| format!("cannot open {}", console.display()))?;
        let copy = file.try_clone().context(|| format!("cannot open {}", console.display()))?;
        // What an earlier boot has left is empty, and may be set up so that no program can be started in it.
        cgroups::remove(&record.cgroups)?;
        cgroups::make(&record.cgroups)?;
        let mut command = Call::new("sh", arguments(record)?)?.command();
        let spawned = command.stdout(Stdio::from(file)).stderr(Stdio::from(copy)).spawn();
        let child = spawned.context(|| "cannot start systemd-nspawn".to_owned())?;
        let pid = child.id();
        // Our own child keeps its number until it is waited for, so this is the right one even if it has
        // ended.
        let process = open(pid).context(|| format!("cannot hold process {pid}"))?;
        Ok(Self { process, pid, child })
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        !has_ended(&self.process, Duration::ZERO)
    }

    /// The number of the machine's PID 1 on the host, once there is one.
    pub(super) fn leader(&self) -> Option<u32> {
        let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).ok()?;
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| is_first_inside(*pid))
    }

    /// Asks the machine to shut down; nspawn passes it on to the PID 1 inside.
    pub(super) fn ask_to_power_off(&self) -> Result<()> {
        signal(&self.process, Signal::TERM)
    }

    /// Whether it has ended because the machine reboots. With `--keep-unit` nspawn leaves starting again to
    /// its caller.
    pub(super) fn wants_restart(&mut self) -> bool {
        let ended = self.child.try_wait();
        ended.is_ok_and(|status| status.and_then(|status| status.code()) == Some(FORCE_RESTART))
    }
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        if !self.is_running() {
            let _ = self.child.wait();
        }
    }
}

/// Enters the control groups named before `--` and becomes the program after it.
const ENTER: &str =
    "set -e; while [ \"$1\" != -- ]; do echo $$ > \"$1/cgroup.procs\"; shift; done; shift; exec \"$@\"";

fn arguments(record: &MachineRecord) -> Result<Vec<OsString>> {
    let mut words: Vec<OsString> = vec!["-c".into(), ENTER.into(), "enter".into()];
    words.extend(record.cgroups.iter().map(|group| group.clone().into_os_string()));
    words.extend(["--".into(), command::find(NSPAWN)?.into_os_string()]);
    words.extend(nspawn_arguments(record).into_iter().map(OsString::from));
    Ok(words)
}

fn nspawn_arguments(record: &MachineRecord) -> Vec<String> {
    vec![
        "--quiet".to_owned(),
        format!("--machine={}", record.nspawn_name()),
        format!("--hostname={}", record.name),
        // Neither a registry of machines nor a service manager on the host is needed.
        "--register=no".to_owned(),
        "--keep-unit".to_owned(),
        format!("--network-namespace-path={}", record.network.namespace_path().display()),
        // As on a machine of its own, root has a say about the network: about that of its namespace.
        "--capability=CAP_NET_ADMIN".to_owned(),
        "--link-journal=no".to_owned(),
        "--resolv-conf=off".to_owned(),
        "--timezone=off".to_owned(),
        "--console=read-only".to_owned(),
        "--boot".to_owned(),
        directory_argument(record),
    ]
}

fn directory_argument(record: &MachineRecord) -> String {
    format!("--directory={}", record.root.display())
}

/// Kills every process of a machine and waits until they are gone.
pub(crate) fn kill_all(record: &MachineRecord) -> Result<()> {
    let deadline = Instant::now() + DEATH;
    loop {
        // Once more after each round: what was just being started is seen in the next.
        let processes = find(record)?;
        if processes.is_empty() {
            return Ok(());
        }
        for process in &processes {
            signal(process, Signal::KILL)?;
        }
        let ended = processes
            .iter()
            .all(|process| has_ended(process, deadline.saturating_duration_since(Instant::now())));
        if !ended {
            return Err(TestbedError::LeftBehind {
                what: format!("a process of machine “{}”", record.name)
            });
        }
    }
}

/// The processes that run a machine, and those inside it.
fn find(record: &MachineRecord) -> Result<Vec<OwnedFd>> {
    let argument = directory_argument(record);
    let network = fs::metadata(record.network.namespace_path()).ok().map(|found| (found.dev(), found.ino()));
    let belongs = |pid: u32| runs_with(pid, &argument) || is_in(pid, network);
    let entries = fs::read_dir("/proc").context(|| "cannot list /proc".to_owned())?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let held = pids.filter_map(|pid| {
        let process = open(pid).ok()?;
        (belongs(pid) && !has_ended(&process, Duration::ZERO)).then_some(process)
    });
    Ok(held.collect())
}

/// Whether a process is systemd-nspawn with an argument, or the shell that is about to become it.
fn runs_with(pid: u32, argument: &str) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|byte| *byte == 0);
    words.any(|program| program.ends_with(NSPAWN.as_bytes())) && words.any(|word| word == argument.as_bytes())
}

fn is_in(pid: u32, network: Option<(u64, u64)>) -> bool {
    let its = fs::metadata(format!("/proc/{pid}/ns/net")).ok().map(|found| (found.dev(), found.ino()));
    its.is_some() && its == network
}

/// Whether a process is PID 1 of a namespace below ours: the last number of `NSpid`, proc(5).
fn is_first_inside(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    line.is_some_and(|numbers| {
        let numbers: Vec<&str> = numbers.split_whitespace().collect();
        numbers.len() > 1 && numbers.last() == Some(&"1")
    })
}

fn open(pid: u32) -> rustix::io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(rustix::io::Errno::INVAL)?;
    pidfd_open(pid, PidfdFlags::empty())
}

fn signal(process: &OwnedFd, signal: Signal) -> Result<()> {
    match pidfd_send_signal(process, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context(|| "cannot signal a process".to_owned()),
    }
}

/// Whether a process ends within the time; a pidfd is readable from then on (pidfd_open(2)).
fn has_ended(process: &OwnedFd, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    let mut descriptors = [PollFd::new(process, PollFlags::IN)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        match poll(&mut descriptors, timeout.as_ref()) {
            // A signal, such as that another child has ended; poll(2) is never resumed by itself.
            Err(rustix::io::Errno::INTR) => {}
            done => return done.is_ok_and(|ready| ready > 0),
        }
    }
}
