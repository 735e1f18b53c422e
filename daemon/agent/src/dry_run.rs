//! What a switch would do: `switch-to-configuration dry-activate`, read as values.
//!
//! The lines are those of nixpkgs' `switch-to-configuration-ng`, which the older script in Perl and the rehearsal
//! platform write alike: `would restart the following units: a.service, b.service`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_domain::preview::{MachineChange, RebootReason};
use berth_protocol::{ActivationOutcome, SwitchAction};

use crate::failure::{Result, program};
use crate::profile::resolved;
use crate::programs::{exit_code, prepare, run};
use crate::system::System;

/// Nothing is changed, so this is quick; activation scripts may look at many files.
const LIMIT: Duration = Duration::from_secs(120);

/// The links of a system that only a boot takes over.
const BOOTED: [(&str, RebootReason); 3] = [
    ("kernel", RebootReason::Kernel),
    ("kernel-modules", RebootReason::Modules),
    ("initrd", RebootReason::Initrd),
];

/// Asks a system's switcher what it would do, and looks whether a reboot would be needed.
pub(crate) fn dry_activate(path: &str) -> Result<MachineChange> {
    let system = System::open(path)?;
    let mut command = Command::new(system.switcher()?);
    prepare(&mut command);
    command.arg(SwitchAction::DryActivate.word());
    let output = run(command, LIMIT)?;
    let mut change = read(&output.stderr);
    match ActivationOutcome::of(exit_code(output.status)) {
        ActivationOutcome::Done => {}
        // It refuses before it looks at any unit.
        ActivationOutcome::NeedsReboot => change.reboot.push(RebootReason::Init),
        _ => return Err(program("switch-to-configuration dry-activate", &output.stderr)),
    }
    change.reboot.extend(reboot_reasons(Path::new("/run/booted-system"), system.path()));
    Ok(change)
}

/// Reads what `dry-activate` writes. Other lines, such as those of activation scripts, say nothing of units.
fn read(text: &str) -> MachineChange {
    let mut change = MachineChange::default();
    for line in text.lines() {
        let Some((would, units)) = line.strip_prefix("would ").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let list = match would {
            "stop the following units" => &mut change.stop,
            "start the following units" => &mut change.start,
            "restart the following units" => &mut change.restart,
            "reload the following units" => &mut change.reload,
            "NOT stop the following changed units" | "NOT restart the following changed units" => {
                &mut change.left
            }
            _ => continue,
        };
        list.extend(units.split(", ").map(|unit| unit.trim().to_owned()).filter(|unit| !unit.is_empty()));
    }
    join_restarts(&mut change);
    for list in
        [&mut change.stop, &mut change.start, &mut change.restart, &mut change.reload, &mut change.left]
    {
        list.sort();
        list.dedup();
    }
    change
}

/// NixOS stops most changed units before activation and starts them after it, and tells both: that is a restart.
fn join_restarts(change: &mut MachineChange) {
    let (both, stop) =
        std::mem::take(&mut change.stop).into_iter().partition(|unit| change.start.contains(unit));
    change.stop = stop;
    change.start.retain(|unit| !both.contains(unit));
    change.restart.extend::<Vec<String>>(both);
}

/// What of a system only a boot takes over, where both the booted system and this one have it.
fn reboot_reasons(booted: &Path, system: &Path) -> Vec<RebootReason> {
    let differs = |name: &str| {
        let of = |system: &Path| system.join(name).to_str().and_then(resolved);
        of(booted).zip(of(system)).is_some_and(|(booted, new)| booted != new)
    };
    let links = BOOTED.iter().filter(|(name, _)| differs(name)).map(|(_, reason)| *reason);
    let mut reasons: Vec<_> = links.collect();
    let parameters = |system: &Path| std::fs::read_to_string(system.join("kernel-params")).ok();
    // The path of the system itself is among them.
    let own = |system: &Path, text: String| match std::fs::canonicalize(system) {
        Ok(path) => text.replace(&*path.to_string_lossy(), ""),
        Err(_) => text,
    };
    let (old, new) = (parameters(booted), parameters(system));
    if old.zip(new).is_some_and(|(old, new)| own(booted, old).trim() != own(system, new).trim()) {
        reasons.push(RebootReason::Parameters);
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_nixos_are_read_as_what_they_mean() {
        let text = "stopping nothing\n\
            would stop the following units: gitea.service, old.service\n\
            would NOT stop the following changed units: getty@tty1.service\n\
            would activate the configuration...\n\
            would create group: x\n\
            would restart systemd\n\
            would reload the following units: nginx.service\n\
            would restart the following units: b.service, a.service\n\
            would start the following units: gitea.service, new.service\n\
            would stop swap device: /dev/sda2\n";
        let change = read(text);
        assert_eq!(change.stop, ["old.service"]);
        assert_eq!(change.start, ["new.service"]);
        assert_eq!(change.restart, ["a.service", "b.service", "gitea.service"]);
        assert_eq!(change.reload, ["nginx.service"]);
        assert_eq!(change.left, ["getty@tty1.service"]);
        assert!(read("would activate the configuration...\n").is_empty());
    }

    #[test]
    fn only_what_a_boot_takes_over_and_differs_asks_for_a_reboot() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["old", "new", "k1", "k2", "i"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        symlink(at("k1"), at("old/kernel")).unwrap();
        symlink(at("k2"), at("new/kernel")).unwrap();
        symlink(at("i"), at("old/initrd")).unwrap();
        symlink(at("i"), at("new/initrd")).unwrap();
        let params = |name: &str, more: &str| {
            std::fs::write(
                at(name).join("kernel-params"),
                format!("init={}/init {more}", at(name).display()),
            )
            .unwrap();
        };
        params("old", "quiet");
        params("new", "quiet");
        assert_eq!(reboot_reasons(&at("old"), &at("new")), [RebootReason::Kernel]);
        params("new", "loud");
        assert_eq!(reboot_reasons(&at("old"), &at("new")), [RebootReason::Kernel, RebootReason::Parameters]);
        assert!(reboot_reasons(&at("nowhere"), &at("new")).is_empty());
    }
}
