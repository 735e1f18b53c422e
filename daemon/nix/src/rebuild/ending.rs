//! How `nixos-rebuild` ended.
//!
//! Its own exit codes say nothing more than that it failed; what it passes on are those of the program that failed: of
//! switch-to-configuration (nixpkgs, `pkgs/by-name/sw/switch-to-configuration-ng`) through `ssh`, or of `ssh` itself,
//! which has 255 for a lost connection (ssh(1)). The script passes nothing on, so what switch-to-configuration wrote is
//! looked at as well.

use super::flavour::Flavour;

/// How `nixos-rebuild` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It did what was asked.
    Done,
    /// The machine was switched, but units failed: switch-to-configuration's 4.
    UnitsFailed {
        /// Those that it named.
        units: Vec<String>,
    },
    /// The activation script failed: switch-to-configuration's 2.
    ScriptFailed,
    /// Only a reboot takes the system over: switch-to-configuration's 100.
    NeedsReboot,
    /// The connection was lost, or nothing that was seen says how the switch went, or another switch was in the way.
    /// Whether one goes on, only the machine knows.
    Open {
        /// The last words.
        message: String,
    },
    /// It failed otherwise, and nothing of it goes on.
    Failed {
        /// Its exit code.
        exit_code: i32,
        /// Why: Nix's errors, else the last lines that were written.
        message: String,
    },
}

/// What was read in the lines that came by.
#[derive(Debug, Default)]
pub(super) struct Clues {
    failed_units: Option<Vec<String>>,
    script_failed: bool,
    needs_reboot: bool,
    /// The script says so when `ssh … switch-to-configuration` ended with anything but 0.
    switch_failed: bool,
    /// Its unit was there already: another switch has it, or systemd did not forget the last one yet.
    unit_taken: bool,
    /// It was another program than `ssh` that failed, or nixos-rebuild itself.
    failed_here: bool,
}

impl Clues {
    /// Looks at a message, which may have many lines.
    pub(super) fn look_at(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line.trim()));
    }

    fn line(&mut self, line: &str) {
        if let Some(units) = line.strip_prefix("warning: the following units failed: ") {
            let units = units.split(',').map(|unit| unit.trim().to_owned());
            self.failed_units = Some(units.filter(|unit| !unit.is_empty()).collect());
        }
        self.script_failed |= line.starts_with("Activation script snippet") && line.contains("failed");
        self.needs_reboot |= line.contains("won't take effect until you reboot the system");
        self.switch_failed |=
            line.starts_with("warning: error(s) occurred while switching to the new configuration");
        self.unit_taken |=
            line.contains("Unit nixos-rebuild-switch-to-configuration.service was already loaded");
        // `Command 'nix build …' returned non-zero exit status 1.`
        let other = line.strip_prefix("Command '").is_some_and(|command| !command.starts_with("ssh "));
        self.failed_here |= other || line.starts_with("nixos-rebuild: error: ");
    }
}

impl Ending {
    pub(super) fn of(flavour: Flavour, exit_code: i32, clues: Clues, message: String) -> Self {
        match exit_code {
            0 => Self::Done,
            _ if flavour.passes_codes_on() => Self::of_ng(exit_code, clues, message),
            _ => Self::of_script(exit_code, clues, message),
        }
    }

    fn of_ng(exit_code: i32, clues: Clues, message: String) -> Self {
        match exit_code {
            _ if clues.failed_here => Self::Failed { exit_code, message },
            1 if clues.unit_taken => Self::Open { message },
            2 => Self::ScriptFailed,
            4 => Self::UnitsFailed { units: clues.failed_units.unwrap_or_default() },
            100 => Self::NeedsReboot,
            // 255 is a lost connection; the others are those of programs that were ended by a signal.
            128.. => Self::Open { message },
            _ => Self::Failed { exit_code, message },
        }
    }

    fn of_script(exit_code: i32, clues: Clues, message: String) -> Self {
        match clues.failed_units {
            // The script itself was ended by a signal.
            _ if exit_code >= 128 => Self::Open { message },
            // It failed before anything was switched, or on the way to it.
            _ if !clues.switch_failed => Self::Failed { exit_code, message },
            Some(units) => Self::UnitsFailed { units },
            None if clues.needs_reboot => Self::NeedsReboot,
            None if clues.script_failed => Self::ScriptFailed,
            None => Self::Open { message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NG: Flavour = Flavour::Ng { no_reexec: true, store_path: true };
    const SCRIPT: Flavour = Flavour::Script { log_format: true, no_ssh_tty: true };
    const SWITCHING: &str = "warning: error(s) occurred while switching to the new configuration";

    fn of(flavour: Flavour, exit_code: i32, lines: &[&str]) -> Ending {
        let mut clues = Clues::default();
        lines.iter().for_each(|line| clues.look_at(line));
        Ending::of(flavour, exit_code, clues, lines.join("\n"))
    }

    fn units(names: &[&str]) -> Ending {
        Ending::UnitsFailed { units: names.iter().map(|&name| name.to_owned()).collect() }
    }

    #[test]
    fn ng_ends_as_the_program_that_failed() {
        assert_eq!(of(NG, 0, &[]), Ending::Done);
        assert_eq!(
            of(NG, 4, &["warning: the following units failed: a.service, b.socket"]),
            units(&["a.service", "b.socket"])
        );
        assert_eq!(of(NG, 4, &[]), units(&[]));
        assert_eq!(of(NG, 2, &["Activation script snippet 'users' failed (1)"]), Ending::ScriptFailed);
        assert_eq!(of(NG, 100, &[]), Ending::NeedsReboot);
        let lost = "Command 'ssh -F x vm1 -- /bin/sh …' returned non-zero exit status 255.";
        assert_eq!(of(NG, 255, &[lost]), Ending::Open { message: lost.to_owned() });
        assert!(matches!(of(NG, 1, &["error: x"]), Ending::Failed { exit_code: 1, .. }));
    }

    #[test]
    fn an_exit_code_of_another_program_is_not_taken_for_the_switchers() {
        // `nix build` has 100 for a failed build, and argparse 2 for arguments that it does not know.
        for (exit_code, line) in [
            (100, "Command 'nix --extra-experimental-features … build …' returned non-zero exit status 100."),
            (2, "nixos-rebuild: error: unrecognized arguments: --x"),
            (255, "Command 'nix-copy-closure --to root@vm1 …' returned non-zero exit status 255."),
        ] {
            assert!(matches!(of(NG, exit_code, &[line]), Ending::Failed { .. }), "{line}");
        }
    }

    #[test]
    fn the_script_always_ends_with_1_and_what_was_written_tells_why() {
        let failed = "warning: the following units failed: a.service";
        assert_eq!(of(SCRIPT, 1, &[failed, SWITCHING]), units(&["a.service"]));
        assert_eq!(
            of(SCRIPT, 1, &["Activation script snippet 'etc' failed (1)", SWITCHING]),
            Ending::ScriptFailed
        );
        let reboot = "configuration won't take effect until you reboot the system.";
        assert_eq!(of(SCRIPT, 1, &[reboot, SWITCHING]), Ending::NeedsReboot);
        assert!(matches!(of(SCRIPT, 1, &["client_loop: send disconnect", SWITCHING]), Ending::Open { .. }));
        assert!(matches!(of(SCRIPT, 1, &["error: cannot build"]), Ending::Failed { exit_code: 1, .. }));
    }

    #[test]
    fn another_switch_in_the_way_is_no_failure_of_this_one() {
        let taken = "Failed to start transient service unit: Unit nixos-rebuild-switch-to-configuration.service was already loaded \
                     or has a fragment file.";
        assert!(matches!(of(NG, 1, &[taken]), Ending::Open { .. }));
        assert!(matches!(of(SCRIPT, 1, &[taken, SWITCHING]), Ending::Open { .. }));
        // The script tries first whether there can be such a unit, and does without where not.
        assert_eq!(of(SCRIPT, 0, &[taken]), Ending::Done);
        let failed = "warning: the following units failed: a.service";
        assert_eq!(of(SCRIPT, 1, &[taken, failed, SWITCHING]), units(&["a.service"]));
        assert_eq!(of(NG, 4, &[taken]), units(&[]));
    }

    #[test]
    fn garbage_says_nothing() {
        assert!(matches!(of(SCRIPT, 3, &["\u{fffd}\u{fffd}", ""]), Ending::Failed { exit_code: 3, .. }));
        assert!(matches!(of(NG, 77, &["\u{fffd}"]), Ending::Failed { exit_code: 77, .. }));
        // As Python says that a program was killed, and as a shell does.
        assert!(matches!(of(NG, 247, &["\u{fffd}"]), Ending::Open { .. }));
        assert!(matches!(of(SCRIPT, 137, &[SWITCHING]), Ending::Open { .. }));
    }
}
