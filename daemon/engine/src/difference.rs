//! How the files of two configurations differ, as unified diffs.

use std::collections::BTreeSet;

use berth_domain::preview::FileChange;
use berth_domain::revision::Files;
use similar::TextDiff;

/// How many unchanged lines are shown around a change.
const CONTEXT: usize = 3;

/// What stands in place of a file that is not there, as `diff -u` and `git` have it.
const NOWHERE: &str = "/dev/null";

/// The files that differ, by path.
pub(crate) fn changed_files(before: &Files, after: &Files) -> Vec<FileChange> {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    changed.map(|path| FileChange { path: path.clone(), diff: unified(path, before, after) }).collect()
}

fn unified(path: &str, before: &Files, after: &Files) -> String {
    let side = |files: &Files, name: &str| match files.get(path) {
        Some(text) => (text.clone(), format!("{name}/{path}")),
        None => (String::new(), NOWHERE.to_owned()),
    };
    let ((old, old_name), (new, new_name)) = (side(before, "deployed"), side(after, "preview"));
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&old_name, &new_name)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> Files {
        files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn only_what_differs_is_shown_with_a_few_lines_around_it() {
        let lines = |changed: &str| format!("1\n2\n3\n4\n5\n{changed}\n7\n8\n9\n10\n11\n");
        let before = files(&[("same.nix", "x\n"), ("tenant.nix", &lines("6")), ("gone.nix", "y\n")]);
        let after = files(&[("same.nix", "x\n"), ("tenant.nix", &lines("six")), ("new.nix", "z\n")]);
        let changes = changed_files(&before, &after);
        let paths: Vec<_> = changes.iter().map(|change| change.path.as_str()).collect();
        assert_eq!(paths, ["gone.nix", "new.nix", "tenant.nix"]);
        assert_eq!(changes[0].diff, "--- deployed/gone.nix\n+++ /dev/null\n@@ -1 +0,0 @@\n-y\n");
        assert_eq!(changes[1].diff, "--- /dev/null\n+++ preview/new.nix\n@@ -0,0 +1 @@\n+z\n");
        assert_eq!(
            changes[2].diff,
            "--- deployed/tenant.nix\n+++ preview/tenant.nix\n@@ -3,7 +3,7 @@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n 9\n"
        );
        assert!(changed_files(&before, &before).is_empty());
    }
}
