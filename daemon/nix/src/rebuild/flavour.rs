//! Which `nixos-rebuild` it is, and what flags it takes.

/// A flag that no `nixos-rebuild` has.
const NO_FLAG: &str = "--berth-asks-which-flags-there-are";

/// What the command is called with to learn its flavour. Neither kind gets further than reading its arguments: the script
/// names the first flag that it does not know, and Python's argparse lists all that it does know.
///
/// `--help` would not do: both hand it to `man`, which need not be there.
pub(super) const QUESTION: [&str; 4] = ["--log-format", "raw", "--no-ssh-tty", NO_FLAG];

/// Which `nixos-rebuild` it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// The shell script.
    Script {
        /// Whether it takes `--log-format`; those of 20.09 to 22.05 do not.
        log_format: bool,
        /// Whether it takes `--no-ssh-tty`; that of 20.09 does not.
        no_ssh_tty: bool,
    },
    /// nixos-rebuild-ng.
    Ng {
        /// Whether it takes `--no-reexec`; older ones call that `--fast`.
        no_reexec: bool,
        /// Whether it takes `--store-path`: a system that is built already, in place of a configuration.
        store_path: bool,
    },
}

impl Flavour {
    /// Reads what the command said to [`QUESTION`].
    pub(super) fn told_by(answer: &str) -> Option<Self> {
        if answer.contains("usage: nixos-rebuild") {
            let takes = |flag: &str| words(answer).any(|word| word == flag);
            // Without these there is nothing to deploy, or nowhere to deploy it to.
            let usable = takes("--flake") && takes("--target-host");
            return usable
                .then(|| Self::Ng { no_reexec: takes("--no-reexec"), store_path: takes("--store-path") });
        }
        // `nixos-rebuild: unknown option `--no-ssh-tty'`
        let unknown =
            answer.lines().find_map(|line| line.split_once(": unknown option ").map(|(_, it)| it))?;
        let script = |log_format, no_ssh_tty| Some(Self::Script { log_format, no_ssh_tty });
        match unknown.trim_matches(['`', '\'', ' ']) {
            NO_FLAG => script(true, true),
            "--no-ssh-tty" => script(true, false),
            "--log-format" => script(false, false),
            _ => None,
        }
    }

    /// Whether it can be given a system that is built already.
    pub fn takes_store_paths(self) -> bool {
        matches!(self, Self::Ng { store_path: true, .. })
    }

    /// Whether it hands `--log-format` on to Nix.
    pub(super) fn has_log_format(self) -> bool {
        matches!(self, Self::Ng { .. } | Self::Script { log_format: true, .. })
    }

    /// Whether its exit code is that of the program which failed. The script's is 1 whatever failed.
    pub(super) fn passes_codes_on(self) -> bool {
        matches!(self, Self::Ng { .. })
    }
}

/// The words of a usage message: `[--store-path PATH] [--no-reexec]`.
fn words(usage: &str) -> impl Iterator<Item = &str> {
    usage.split(|c: char| c.is_whitespace() || "[]|,".contains(c)).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_names_the_first_flag_that_it_does_not_know() {
        let said = |flag: &str| format!("/run/current-system/sw/bin/nixos-rebuild: unknown option `{flag}'");
        let script = |log_format, no_ssh_tty| Some(Flavour::Script { log_format, no_ssh_tty });
        assert_eq!(Flavour::told_by(&said(NO_FLAG)), script(true, true));
        assert_eq!(Flavour::told_by(&said("--no-ssh-tty")), script(true, false));
        assert_eq!(Flavour::told_by(&said("--log-format")), script(false, false));
        assert_eq!(Flavour::told_by(&said("--other")), None);
    }

    #[test]
    fn argparse_lists_every_flag_that_there_is() {
        let said = |more: &str| {
            format!(
                "usage: nixos-rebuild [--verbose] [--log-format LOG_FORMAT] [--option OPTION\n                     OPTION] [--help] \
                 [--flake [FLAKE]] [--fast] {more}\n                     [--target-host TARGET_HOST]\n                     \
                 [{{switch,boot,test}}]\nnixos-rebuild: error: unrecognized arguments: {NO_FLAG}"
            )
        };
        let ng = |no_reexec, store_path| Some(Flavour::Ng { no_reexec, store_path });
        assert_eq!(Flavour::told_by(&said("")), ng(false, false));
        assert_eq!(Flavour::told_by(&said("[--no-reexec]")), ng(true, false));
        assert_eq!(Flavour::told_by(&said("[--store-path PATH] [--no-reexec]")), ng(true, true));
    }

    #[test]
    fn whatever_else_answers_is_no_nixos_rebuild() {
        for answer in ["", "bash: man: command not found", "usage: nixos-rebuild [--flake]", "usage: other"] {
            assert_eq!(Flavour::told_by(answer), None, "{answer}");
        }
    }
}
