//! A preview for people.

use berth_domain::Preview;
use berth_domain::preview::{
    ClosureChange, FileChange, MachineChange, PackageChange, PreviewPart, RebootReason,
};
use console::{Style, style};

use crate::table::pairs;
use crate::words;

/// How many packages are listed; a first deployment has hundreds.
const LISTED: usize = 40;

/// All of it: files, packages, units, and what is missing.
pub(super) fn preview(preview: &Preview) -> String {
    if preview.is_empty() {
        return format!("a deployment would change nothing (revision {})", preview.revision.short());
    }
    let missing = |part| preview.missing.iter().find(|missing| missing.part == part);
    let unknown = |part| {
        missing(part).map(|missing| style(format!("unknown: {}", missing.message)).yellow().to_string())
    };
    let parts = [
        ("Files", files(&preview.files)),
        (
            "Packages",
            preview.closure.as_ref().map(packages).or(unknown(PreviewPart::Closure)).unwrap_or_default(),
        ),
        ("Units", preview.machine.as_ref().map(units).or(unknown(PreviewPart::Machine)).unwrap_or_default()),
    ];
    let parts = parts.map(|(heading, text)| format!("{}\n{text}", style(heading).bold()));
    parts.join("\n\n")
}

fn files(files: &[FileChange]) -> String {
    if files.is_empty() {
        return "no file would change".into();
    }
    files.iter().map(|file| diff(&file.diff)).collect::<Vec<_>>().join("\n")
}

/// A unified diff as `git` colours it.
fn diff(text: &str) -> String {
    let colour = |line: &str| match line.as_bytes() {
        [b'-', b'-', b'-', ..] | [b'+', b'+', b'+', ..] => Style::new().bold(),
        [b'@', ..] => Style::new().cyan(),
        [b'-', ..] => Style::new().red(),
        [b'+', ..] => Style::new().green(),
        _ => Style::new(),
    };
    text.lines().map(|line| colour(line).apply_to(line).to_string()).collect::<Vec<_>>().join("\n")
}

fn packages(closure: &ClosureChange) -> String {
    let ClosureChange { bytes_before, bytes_after, packages } = closure;
    let total = match bytes_before {
        0 => words::bytes(*bytes_after),
        before if before == bytes_after => words::bytes(*bytes_after),
        _ => format!("{} → {}", words::bytes(*bytes_before), words::bytes(*bytes_after)),
    };
    if packages.is_empty() {
        return format!("no package would change ({total})");
    }
    let mut largest: Vec<_> = packages.iter().collect();
    largest.sort_by_key(|package| (std::cmp::Reverse(package.bytes.unsigned_abs()), &package.name));
    let rows: Vec<_> = largest.iter().take(LISTED).map(|package| package_row(package)).collect();
    let mut text = crate::table::columns(&["package", "before", "after", "size"], &rows);
    if packages.len() > LISTED {
        text.push_str(&format!("\nand {} more, each smaller", packages.len() - LISTED));
    }
    format!("{text}\nin all {total}")
}

fn package_row(package: &PackageChange) -> Vec<String> {
    vec![
        package.name.clone(),
        versions(&package.before),
        versions(&package.after),
        signed_bytes(package.bytes),
    ]
}

/// Versions; a package without one is there or is not.
fn versions(versions: &[String]) -> String {
    let shown = |version: &String| if version.is_empty() { "there".to_owned() } else { version.clone() };
    match versions {
        [] => "–".into(),
        versions => versions.iter().map(shown).collect::<Vec<_>>().join(", "),
    }
}

fn signed_bytes(bytes: i64) -> String {
    match bytes {
        0 => String::new(),
        bytes if bytes < 0 => style(format!("−{}", words::bytes(bytes.unsigned_abs()))).green().to_string(),
        bytes => style(format!("+{}", words::bytes(bytes.unsigned_abs()))).red().to_string(),
    }
}

fn units(machine: &MachineChange) -> String {
    if machine.is_empty() {
        return "no unit would stop, start, restart or reload".into();
    }
    let list = |units: &[String]| (!units.is_empty()).then(|| units.join("\n"));
    let reasons: Vec<_> = machine.reboot.iter().map(|reason| because(*reason)).collect();
    pairs(&[
        ("stop", list(&machine.stop)),
        ("start", list(&machine.start)),
        ("restart", list(&machine.restart)),
        ("reload", list(&machine.reload)),
        ("left as is", list(&machine.left)),
        ("reboot", (!reasons.is_empty()).then(|| style(reasons.join("\n")).yellow().to_string())),
    ])
}

fn because(reason: RebootReason) -> &'static str {
    match reason {
        RebootReason::Init => "needed before it can be switched to at all",
        RebootReason::Kernel => "needed for another kernel",
        RebootReason::Modules => "needed for other kernel modules",
        RebootReason::Initrd => "needed for another initial ramdisk",
        RebootReason::Parameters => "needed for other kernel parameters",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_domain::preview::MissingPart;

    fn example() -> Preview {
        let (revision, system) = ("ab".repeat(32).parse().unwrap(), "/nix/store/new".to_owned());
        Preview {
            revision,
            deployed_revision: None,
            system,
            deployed_system: Some("/nix/store/old".into()),
            files: vec![FileChange {
                path: "tenant.nix".into(),
                diff: "--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n".into(),
            }],
            closure: Some(ClosureChange {
                bytes_before: 2048,
                bytes_after: 1024,
                packages: vec![
                    PackageChange {
                        name: "etc".into(),
                        before: vec!["".into()],
                        after: vec!["".into()],
                        bytes: -1024,
                    },
                    PackageChange {
                        name: "nginx".into(),
                        before: vec!["1.0".into()],
                        after: vec![],
                        bytes: 0,
                    },
                ],
            }),
            machine: Some(MachineChange {
                restart: vec!["gitea.service".into()],
                ..MachineChange::default()
            }),
            missing: Vec::new(),
        }
    }

    fn shown(of: &Preview) -> String {
        console::strip_ansi_codes(&preview(of)).into_owned()
    }

    #[test]
    fn a_preview_says_what_would_differ() {
        let expected = "Files\n--- a\n+++ b\n@@ -1 +1 @@\n-x\n+y\n\n\
            Packages\nPACKAGE  BEFORE  AFTER  SIZE\netc      there   there  −1.00 KiB\nnginx    1.0     –\n\
            in all 2.00 KiB → 1.00 KiB\n\nUnits\nrestart     gitea.service";
        assert_eq!(shown(&example()), expected);
    }

    #[test]
    fn what_is_unknown_is_not_taken_for_nothing() {
        let message = "vm1 cannot be reached".to_owned();
        let missing = MissingPart { part: PreviewPart::Machine, code: "machine-unreachable".into(), message };
        let away = Preview { machine: None, missing: vec![missing], ..example() };
        assert!(shown(&away).ends_with("Units\nunknown: vm1 cannot be reached"), "{}", shown(&away));
        let nothing = Preview {
            files: Vec::new(),
            closure: Some(ClosureChange { bytes_before: 1, bytes_after: 1, packages: Vec::new() }),
            deployed_system: Some("/nix/store/new".into()),
            ..away
        };
        assert!(!shown(&nothing).contains("would change nothing"), "{}", shown(&nothing));
        let known = Preview { machine: Some(MachineChange::default()), missing: Vec::new(), ..nothing };
        assert!(shown(&known).contains("would change nothing"));
    }
}
