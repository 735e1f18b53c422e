//! The process that a run belongs to, told apart from a later one with the same number.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// A process: its number alone may be given to another one later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    pid: u32,
    /// In clock ticks since the host booted.
    started: u64,
    /// Which boot of the host that was.
    boot: String,
}

impl Owner {
    /// This process.
    pub(crate) fn current() -> Result<Self> {
        let pid = std::process::id();
        let started = started(pid).ok_or(std::io::ErrorKind::NotFound);
        Ok(Self {
            pid,
            started: started.context(|| "cannot read this process' start time".to_owned())?,
            boot: host_boot()?,
        })
    }

    /// The process' number.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether that very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.is_of_this_boot() && started(self.pid) == Some(self.started)
    }

    /// Whether the host has not been restarted since.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        host_boot().is_ok_and(|boot| boot == self.boot)
    }
}

fn host_boot() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = std::fs::read_to_string(path).context(|| format!("cannot read {path}"))?;
    Ok(id.trim().to_owned())
}

/// When a process started, unless it has ended: fields 3 (state) and 22 of proc(5)'s stat, counted behind the
/// name, which may contain anything.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat"))).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_that_started_at_another_time_is_not() {
        let this = Owner::current().unwrap();
        assert!(this.is_alive());
        assert!(!Owner { started: this.started + 1, ..this.clone() }.is_alive());
        assert!(!Owner { boot: "another".to_owned(), ..this }.is_alive());
    }

    #[test]
    fn a_process_that_ended_but_was_not_waited_for_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert_eq!(started(child.id()), None);
        child.wait().unwrap();
    }
}
