//! A process and everything that descends from it.
//!
//! Nix gives every builder a session of its own, so signalling the process group of `nix` does not reach builders.
//! They are found through `/proc` (proc(5)): as descendants, and as members of the sessions that those lead, which
//! remain theirs when a parent is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A process that leads its own group, and its descendants as far as they were seen.
#[derive(Debug)]
pub(crate) struct Family {
    root: i32,
    /// Process to start time; a number that was given anew has another start time.
    members: BTreeMap<i32, u64>,
    sessions: BTreeSet<i32>,
}

/// The part of `/proc/PID/stat` that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    pid: i32,
    ended: bool,
    parent: i32,
    session: i32,
    started: u64,
}

impl Family {
    /// The family of a child that was started as the leader of its own process group and is not yet reaped.
    pub(crate) fn of(root: i32) -> Self {
        Self { root, members: BTreeMap::new(), sessions: BTreeSet::new() }
    }

    /// Asks the child to end.
    pub(crate) fn terminate(&self) {
        signal_group(self.root, Signal::TERM);
    }

    /// Looks for members.
    pub(crate) fn look(&mut self) {
        let all = processes();
        if let Some(root) = all.iter().find(|process| process.pid == self.root) {
            self.members.insert(root.pid, root.started);
        }
        // Children may be listed before their parents: repeat until nobody is new.
        loop {
            let known = self.members.len();
            for process in &all {
                self.take_in(process);
            }
            if self.members.len() == known {
                return;
            }
        }
    }

    /// Ends every member at once. The child is stopped first, so that it cannot start anything meanwhile.
    pub(crate) fn kill(&mut self) {
        signal_group(self.root, Signal::STOP);
        self.look();
        signal_group(self.root, Signal::KILL);
        self.kill_rest();
    }

    /// Ends the members that are left once the child itself is gone and reaped.
    pub(crate) fn kill_rest(&mut self) {
        // A member may fork while it is being killed; its children stay in the session and are met in the next round.
        for _ in 0..5 {
            let all = processes();
            for process in &all {
                self.take_in(process);
            }
            let alive = |process: &&Stat| !process.ended && self.is_member(process);
            let mut found = false;
            for process in all.iter().filter(alive) {
                found = true;
                signal(process.pid, Signal::KILL);
            }
            if !found {
                return;
            }
        }
    }

    fn take_in(&mut self, process: &Stat) {
        let child = self.members.contains_key(&process.parent) && process.pid != self.root;
        let fellow = self.sessions.contains(&process.session);
        if child || fellow {
            self.members.entry(process.pid).or_insert(process.started);
        }
        if self.is_member(process) && process.session == process.pid {
            self.sessions.insert(process.pid);
        }
    }

    fn is_member(&self, process: &Stat) -> bool {
        self.members.get(&process.pid) == Some(&process.started)
    }
}

/// How often it is looked whether a sweep's processes are gone, and the pause between.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Ends every process whose environment was given the variable `NAME=value`, and waits until they are gone, 2 s at most.
/// An environment is handed on from parent to child, so these are all that descend from the one that was given it,
/// even if its parent is long gone.
pub(crate) fn sweep(variable: &str) {
    for _ in 0..LOOKS {
        let left: Vec<Stat> =
            processes().into_iter().filter(|it| !it.ended && has(it.pid, variable)).collect();
        if left.is_empty() {
            return;
        }
        for process in left {
            signal(process.pid, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The environment of another user's process cannot be read; such a one is none of ours.
fn has(pid: i32, variable: &str) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Every process that can be seen; none where there is no `/proc`.
fn processes() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| parse(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

fn parse(stat: &str) -> Option<Stat> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    // The program's name stands in parentheses and may hold spaces and parentheses itself.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        pid,
        ended: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

// A process that is gone already needs no signal, so the outcome does not matter.
fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn signal_group(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process_group(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let line = "42 (a) b (c) S 7 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1 1 1";
        let expected = Stat { pid: 42, ended: false, parent: 7, session: 40, started: 12345 };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("42 (x"), None);
    }
}
