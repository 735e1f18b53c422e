//! What of a machine's answers is not as it should be.

use berth_domain::condition::minute;
use berth_domain::{Finding, FindingKind, MachineFacts, Timestamp};
use berth_protocol::Health;
use chrono::TimeDelta;

/// Below this share of a file system, it is nearly full.
const LEAST_FREE_PERCENT: u64 = 10;

/// With this much left, no file system is nearly full, however large it is: 20 GiB.
const ENOUGH_FREE: u64 = 20 << 30;

/// How far a machine's clock may be off. Kerberos, TOTP and signed requests of the Fediverse bear minutes; clocks that are
/// kept by NTP differ by milliseconds.
const SKEW: TimeDelta = TimeDelta::seconds(30);

/// How long a certificate should still hold. Let's Encrypt's are renewed when 30 of their 90 days are left.
const CERTIFICATE: TimeDelta = TimeDelta::days(14);

/// What the machine runs and boots, compared with `system`, which was committed.
pub(super) fn systems(facts: &MachineFacts, system: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let words = |found: &Option<String>| found.clone().unwrap_or_else(|| "nothing".into());
    if facts.running_system.as_deref() != Some(system) {
        let message = format!("the machine runs {} instead of {system}", words(&facts.running_system));
        findings.push(Finding::new(FindingKind::RunsOther, message));
    }
    if facts.committed_system.as_deref() != Some(system) {
        let message = format!("the machine boots {} instead of {system}", words(&facts.committed_system));
        findings.push(Finding::new(FindingKind::BootsOther, message));
    }
    if facts.needs_reboot {
        let message = "the kernel or initrd of the running system is taken over by a reboot only";
        findings.push(Finding::new(FindingKind::RebootNeeded, message));
    }
    findings
}

/// File systems that are nearly full.
pub(super) fn disks(facts: &MachineFacts) -> Vec<Finding> {
    let disks = [
        ("/nix/store", facts.disk_bytes, facts.disk_available_bytes),
        ("/var/lib", facts.data_disk_bytes, facts.data_disk_available_bytes),
    ];
    let full = |(_, size, free): &(&str, u64, u64)| {
        *size > 0 && *free < ENOUGH_FREE && free.saturating_mul(100) < size.saturating_mul(LEAST_FREE_PERCENT)
    };
    let full = disks.into_iter().filter(full);
    full.map(|(folder, size, free)| {
        let message = format!("{folder} has {} MiB left of {} MiB", free / (1 << 20), size / (1 << 20));
        Finding::new(FindingKind::DiskNearlyFull, message)
    })
    .collect()
}

/// A clock that was read between `asked` and `answered`, by the daemon's clock.
pub(super) fn clock(read: Timestamp, asked: Timestamp, answered: Timestamp) -> Option<Finding> {
    let (ahead, behind) = (read - answered, asked - read);
    let (off, word) = if ahead > behind { (ahead, "ahead of") } else { (behind, "behind") };
    (off > SKEW).then(|| {
        let message = format!("the machine's clock is {} s {word} the daemon's", off.num_seconds());
        Finding::new(FindingKind::ClockSkew, message)
    })
}

/// Units and probes that are not as promised, in one finding for each side that looked.
pub(super) fn health(health: &Health, seen: &str) -> Option<Finding> {
    let units = health.units.iter().filter(|unit| !unit.healthy);
    let units = units.map(|unit| format!("{} is {}", unit.unit, unit.state));
    let probes = health.probes.iter().filter(|probe| !probe.healthy).map(|probe| {
        let problem = probe.problem.as_deref().unwrap_or("failed");
        format!("{} ({}{}): {problem}", probe.probe.name, probe.probe.host, probe.probe.path)
    });
    let sick: Vec<String> = units.chain(probes).collect();
    (!sick.is_empty()).then(|| Finding::new(FindingKind::Unhealthy, format!("{seen}: {}", sick.join("; "))))
}

/// Units that have failed and that no service is made of.
pub(super) fn failed_units(facts: &MachineFacts, inside: Option<&Health>) -> Option<Finding> {
    let ours = |unit: &str| inside.is_some_and(|health| health.units.iter().any(|own| own.unit == unit));
    let others: Vec<&str> =
        facts.failed_units.iter().map(String::as_str).filter(|unit| !ours(unit)).collect();
    (!others.is_empty())
        .then(|| Finding::new(FindingKind::UnitFailed, format!("units have failed: {}", others.join(", "))))
}

/// Certificates that have expired or are about to. One that is not shown is what a probe tells of.
pub(super) fn certificates(shown: &[(String, Result<Timestamp, String>)], now: Timestamp) -> Vec<Finding> {
    let known = shown.iter().filter_map(|(host, end)| Some((host, *end.as_ref().ok()?)));
    let ending = known.filter(|(_, end)| *end - now < CERTIFICATE);
    ending
        .map(|(host, end)| {
            let word = if end < now { "expired" } else { "expires" };
            let message = format!("the certificate of {host} {word} at {}", minute(end));
            Finding::new(FindingKind::CertificateExpires, message)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    #[test]
    fn a_clock_is_off_only_beyond_what_the_way_to_it_explains() {
        let now = Utc::now();
        let seconds = TimeDelta::seconds;
        assert_eq!(clock(now + seconds(5), now, now + seconds(10)), None);
        assert_eq!(clock(now - seconds(29), now, now), None);
        let ahead = clock(now + seconds(100), now, now + seconds(10)).unwrap();
        assert!(ahead.message.contains("90 s ahead"), "{}", ahead.message);
        let behind = clock(now - seconds(3600), now, now).unwrap();
        assert!(behind.message.contains("3600 s behind"), "{}", behind.message);
    }

    #[test]
    fn a_certificate_is_told_of_two_weeks_before_its_end() {
        let now = Utc::now();
        let shown = [
            ("good.example".to_owned(), Ok(now + TimeDelta::days(30))),
            ("soon.example".to_owned(), Ok(now + TimeDelta::days(13))),
            ("late.example".to_owned(), Ok(now - TimeDelta::days(1))),
            ("none.example".to_owned(), Err("connection refused".to_owned())),
        ];
        let messages: Vec<_> = certificates(&shown, now).into_iter().map(|finding| finding.message).collect();
        assert_eq!(messages.len(), 2, "{messages:?}");
        assert!(messages[0].contains("soon.example expires") && messages[1].contains("late.example expired"));
    }
}
