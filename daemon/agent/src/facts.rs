//! What is this machine?

use berth_domain::MachineFacts;
use chrono::Utc;
use std::collections::HashMap;
use std::path::Path;
use std::thread;

use crate::failure::{Result, io};
use crate::profile;
use crate::units;
use crate::versions;

/// Finds everything out. What a machine does not have is left out; what must be there and is not, is a failure.
pub(crate) fn gather() -> Result<MachineFacts> {
    // The folder tells whether systemd is what runs here, and not merely installed: sd_booted(3).
    let runs_systemd = Path::new("/run/systemd/system").is_dir();
    // Programs are asked at once, since each takes as long as all the rest.
    let (systemd_version, nix_version, failed_units) = thread::scope(|scope| {
        let systemd = scope.spawn(|| versions::of("systemctl", 1));
        let nix = scope.spawn(|| versions::of("nix", 2));
        let failed = if runs_systemd { units::all_failed() } else { Ok(Vec::new()) };
        (systemd.join().ok().flatten().filter(|_| runs_systemd), nix.join().ok().flatten(), failed)
    });
    let os_release = os_release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
    let memory = std::fs::read_to_string("/proc/meminfo").map_err(io("cannot read /proc/meminfo"))?;
    let store = if Path::new("/nix/store").is_dir() { "/nix/store" } else { "/" };
    let (disk, data_disk) = (space(store)?, space("/var/lib")?);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let (booted, committed) = (profile::resolved("/run/booted-system"), profile::committed());
    let needs_reboot = needs_reboot(booted.as_deref(), committed.as_deref());
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
        disk_bytes: disk.0,
        disk_available_bytes: disk.1,
        data_disk_bytes: data_disk.0,
        data_disk_available_bytes: data_disk.1,
        running_system: profile::resolved("/run/current-system"),
        booted_system: booted,
        committed_system: committed,
        needs_reboot,
        failed_units: failed_units?,
    })
}

/// Size of a folder's file system and what is left there, in bytes.
fn space(folder: &str) -> Result<(u64, u64)> {
    let disk =
        rustix::fs::statvfs(folder).map_err(|error| io(format!("cannot look at {folder}"))(error.into()))?;
    Ok((disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize)))
}

/// What of a system only a boot takes over (NixOS' own `nixos-needsreboot` compares much the same).
const TAKEN_OVER_BY_BOOT: [&str; 5] =
    ["kernel", "initrd", "kernel-modules", "kernel-params", "init-interface-version"];

/// Whether the system that was committed has parts that only a boot takes over, other than those that were booted. A
/// machine that was booted without a system has none of them.
fn needs_reboot(booted: Option<&str>, committed: Option<&str>) -> bool {
    let Some(committed) = committed else { return false };
    let booted = |part: &str| booted.and_then(|booted| content(booted, part));
    TAKEN_OVER_BY_BOOT.iter().any(|part| booted(part) != content(committed, part))
}

/// A part of a system: where a link leads, or what a file says.
fn content(system: &str, part: &str) -> Option<Vec<u8>> {
    let path = Path::new(system).join(part);
    let link = std::fs::canonicalize(&path).ok().filter(|target| *target != path);
    link.map(|target| target.into_os_string().into_encoded_bytes()).or_else(|| std::fs::read(&path).ok())
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
    fn os_release_is_read_with_quotes_comments_and_escapes() {
        let text = "# a comment\nPRETTY_NAME=\"Debian \\\"13\\\"\"\nID=nixos\nVERSION_ID='25.05'\n\nodd\n";
        let values = os_release(text);
        assert_eq!(values["PRETTY_NAME"], "Debian \"13\"");
        assert_eq!(nixos_version(&values).as_deref(), Some("25.05"));
        assert_eq!(nixos_version(&os_release("ID=debian\nVERSION_ID=13\n")), None);
    }

    #[test]
    fn a_reboot_is_needed_where_what_only_a_boot_takes_over_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let system = |name: &str, kernel: &str, interface: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(folder.path().join(kernel), "").unwrap();
            std::os::unix::fs::symlink(folder.path().join(kernel), path.join("kernel")).unwrap();
            std::fs::write(path.join("init-interface-version"), interface).unwrap();
            path.display().to_string()
        };
        let booted = system("booted", "linux-1", "2");
        let cases = [
            ("same", "linux-1", "2", false),
            ("kernel", "linux-2", "2", true),
            ("init", "linux-1", "3", true),
        ];
        for (name, kernel, interface, expected) in cases {
            let committed = system(name, kernel, interface);
            assert_eq!(needs_reboot(Some(&booted), Some(&committed)), expected, "{name}");
        }
        assert!(needs_reboot(None, Some(&booted)) && !needs_reboot(Some(&booted), None));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       24567 kB\nMemFree:  1 kB\nMemAvailable:   12 kB\n";
        assert_eq!((meminfo(text, "MemTotal"), meminfo(text, "MemAvailable")), (24567 * 1024, 12 * 1024));
        assert_eq!(meminfo(text, "Mem"), 0);
    }
}
