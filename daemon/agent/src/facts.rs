//! What is this machine?

use std::collections::HashMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use berth_domain::MachineFacts;
use chrono::Utc;

use crate::failure::{Result, io};
use crate::programs::{command, run_ok};
use crate::units;

const LIMIT: Duration = Duration::from_secs(20);

/// The profile that the next boot follows.
pub(crate) const PROFILE: &str = "/nix/var/nix/profiles/system";

/// Finds everything out. What a machine does not have is left out; what must be there and is not, is a failure.
pub(crate) fn gather() -> Result<MachineFacts> {
    // The folder tells whether systemd is what runs here, and not merely installed: sd_booted(3).
    let runs_systemd = Path::new("/run/systemd/system").is_dir();
    // Three programs are asked; at once, since each takes as long as all the rest.
    let (systemd_version, nix_version, failed_units) = thread::scope(|scope| {
        let systemd = scope.spawn(|| first_line("systemctl").and_then(|line| version(&line, 1)));
        let nix = scope.spawn(|| first_line("nix").and_then(|line| version(&line, 2)));
        let failed = if runs_systemd { units::all_failed() } else { Ok(Vec::new()) };
        (systemd.join().ok().flatten().filter(|_| runs_systemd), nix.join().ok().flatten(), failed)
    });
    let os_release = os_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    let memory = std::fs::read_to_string("/proc/meminfo").map_err(io("cannot read /proc/meminfo"))?;
    let store = if Path::new("/nix/store").is_dir() { "/nix/store" } else { "/" };
    let disk =
        rustix::fs::statvfs(store).map_err(|error| io(format!("cannot look at {store}"))(error.into()))?;
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Ok(MachineFacts {
        at: Utc::now(),
        os: os_release.get("PRETTY_NAME").cloned().unwrap_or_else(|| "Linux".into()),
        nixos_version: nixos_version(&os_release),
        system: format!("{}-linux", std::env::consts::ARCH),
        kernel: kernel.trim().to_owned(),
        systemd_version,
        nix_version,
        agent_version: env!("CARGO_PKG_VERSION").into(),
        processors: thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(1)),
        memory_bytes: meminfo(&memory, "MemTotal"),
        memory_available_bytes: meminfo(&memory, "MemAvailable"),
        disk_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
        disk_available_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        running_system: resolved("/run/current-system"),
        booted_system: resolved("/run/booted-system"),
        committed_system: resolved(PROFILE),
        failed_units: failed_units?,
    })
}

/// What a link leads to in the end; nothing where there is no link or it leads nowhere.
pub(crate) fn resolved(link: &str) -> Option<String> {
    std::fs::canonicalize(link).ok()?.to_str().map(str::to_owned)
}

fn first_line(program: &str) -> Option<String> {
    let mut ask = command(program).ok()?;
    ask.arg("--version");
    run_ok(ask, LIMIT).ok()?.lines().next().map(str::to_owned)
}

/// The word of a version line that holds the version: `systemd 257 (257.6-1)`, `nix (Nix) 2.26.3`.
fn version(line: &str, word: usize) -> Option<String> {
    line.split_whitespace().nth(word).map(str::to_owned)
}

/// The assignments of os-release(5).
fn os_release(text: &str) -> HashMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

/// A value without its quotes, and without the backslashes that os-release(5) asks for inside them.
fn unquoted(value: &str) -> String {
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    let mut text = String::new();
    let mut characters = quoted.unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

fn nixos_version(os_release: &HashMap<String, String>) -> Option<String> {
    let is_nixos = os_release.get("ID").is_some_and(|id| id == "nixos");
    let whole = || std::fs::read_to_string("/run/current-system/nixos-version").ok();
    let version = is_nixos.then(|| whole().or_else(|| os_release.get("VERSION_ID").cloned())).flatten();
    version.map(|version| version.trim().to_owned())
}

/// A line of `/proc/meminfo`, in bytes.
fn meminfo(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_lines_are_read_as_the_programs_print_them() {
        assert_eq!(version("systemd 257 (257.6-1)", 1).as_deref(), Some("257"));
        assert_eq!(version("nix (Nix) 2.26.3", 2).as_deref(), Some("2.26.3"));
        assert_eq!(version("nix", 2), None);
    }

    #[test]
    fn os_release_is_read_with_quotes_comments_and_escapes() {
        let text = "# a comment\nPRETTY_NAME=\"Debian \\\"13\\\"\"\nID=nixos\nVERSION_ID='25.05'\n\nodd\n";
        let values = os_release(text);
        assert_eq!(values["PRETTY_NAME"], "Debian \"13\"");
        assert_eq!(nixos_version(&values).as_deref(), Some("25.05"));
        assert_eq!(nixos_version(&os_release("ID=debian\nVERSION_ID=13\n")), None);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       24567 kB\nMemFree:  1 kB\nMemAvailable:   12 kB\n";
        assert_eq!((meminfo(text, "MemTotal"), meminfo(text, "MemAvailable")), (24567 * 1024, 12 * 1024));
        assert_eq!(meminfo(text, "Mem"), 0);
    }
}
