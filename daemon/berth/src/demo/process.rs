//! Processes, found by what they are and held while they are ended: a number that was written down could be another's by
//! now.

use std::fs;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The processes that have this variable in the environment that they were started with.
pub(super) fn with_environment(variable: &str) -> Vec<OwnedFd> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let held = pids.filter(|pid| pid.cast_unsigned() != std::process::id()).filter_map(|pid| {
        let process = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        // Held first and looked at then: it cannot become another in between.
        (has(pid, variable) && !has_ended(&process, Duration::ZERO)).then_some(process)
    });
    held.collect()
}

fn has(pid: i32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Asks processes to end, and kills those that have not within `patience`.
pub(super) fn end(processes: &[OwnedFd], patience: Duration) {
    for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, Duration::from_secs(5))] {
        let running: Vec<_> =
            processes.iter().filter(|process| !has_ended(process, Duration::ZERO)).collect();
        for process in &running {
            let _ = pidfd_send_signal(process, signal);
        }
        let deadline = Instant::now() + patience;
        for process in running {
            has_ended(process, deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// Whether a process ends within the time; its descriptor is readable from then on (pidfd_open(2)).
fn has_ended(process: &OwnedFd, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    loop {
        let mut descriptors = [PollFd::new(process, PollFlags::IN)];
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        match poll(&mut descriptors, left.as_ref()) {
            // A signal; poll(2) is never resumed by itself.
            Err(rustix::io::Errno::INTR) => {}
            done => return done.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_its_environment_and_ended() {
        let value = format!("{}-{}", std::process::id(), line!());
        let mut child =
            std::process::Command::new("sleep").arg("600").env("BERTH_TRIAL", &value).spawn().unwrap();
        let variable = format!("BERTH_TRIAL={value}");
        let mut found = with_environment(&variable);
        for _ in 0..100 {
            // Until the child has become `sleep` it has our environment.
            if !found.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            found = with_environment(&variable);
        }
        assert_eq!(found.len(), 1);
        end(&found, Duration::from_secs(5));
        assert!(!child.wait().unwrap().success());
        assert!(with_environment(&variable).is_empty());
    }
}
