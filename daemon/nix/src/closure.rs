//! How two systems differ, package by package.
//!
//! The same question as `nix store diff-closures` answers, but as values, and of every version of Nix.

use std::collections::{BTreeMap, BTreeSet};

use berth_domain::preview::{ClosureChange, PackageChange};

use crate::error::NixError;
use crate::nix::{Nix, Run};
use crate::store_path::StorePath;

/// What one system has of a package.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Held {
    versions: BTreeSet<String>,
    bytes: u64,
}

type Packages = BTreeMap<String, Held>;

impl Nix {
    /// How what `after` refers to differs from what `before` refers to; without `before`, everything is new.
    ///
    /// # Errors
    /// [`NixError::CommandFailed`] when the store does not hold both.
    pub async fn compare_closures(
        &self,
        before: Option<&StorePath>,
        after: &StorePath,
        run: &Run,
    ) -> Result<ClosureChange, NixError> {
        let before = match before {
            Some(before) => self.packages(before, run).await?,
            None => Packages::new(),
        };
        Ok(compare(&before, &self.packages(after, run).await?))
    }

    async fn packages(&self, system: &StorePath, run: &Run) -> Result<Packages, NixError> {
        let closure = self.closure(std::slice::from_ref(system), run).await?;
        Ok(packages(closure.iter().map(|info| (info.path.as_str(), info.nar_bytes))))
    }
}

fn packages<'a>(paths: impl Iterator<Item = (&'a str, u64)>) -> Packages {
    let mut packages = Packages::new();
    for (path, bytes) in paths {
        let file = path.rsplit('/').next().unwrap_or(path);
        let name = file.split_once('-').map_or(file, |(_, name)| name);
        let (package, version) = parse(name);
        let held = packages.entry(package.to_owned()).or_default();
        held.versions.insert(version.to_owned());
        held.bytes += bytes;
    }
    packages
}

/// A store path's name as package and version. A version begins at the first dash that no letter follows (Nix manual,
/// `builtins.parseDrvName`). Behind it may stand the name of an output (`glibc-2.38-bin`), which belongs to neither.
fn parse(name: &str) -> (&str, &str) {
    let (package, version) = split(name);
    let is_output = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()) || word == "lib32" || word == "lib64"
    };
    match version.rsplit_once('-') {
        Some((version, output)) if is_output(output) => (package, version),
        _ => (package, version),
    }
}

fn split(name: &str) -> (&str, &str) {
    let begins = |at: &usize| name.as_bytes().get(at + 1).is_some_and(|next| !next.is_ascii_alphabetic());
    match name.match_indices('-').map(|(at, _)| at).find(begins) {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, ""),
    }
}

fn compare(before: &Packages, after: &Packages) -> ClosureChange {
    let none = Held::default();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (old, new) = (before.get(name).unwrap_or(&none), after.get(name).unwrap_or(&none));
        (old != new).then(|| PackageChange {
            name: name.clone(),
            before: old.versions.iter().cloned().collect(),
            after: new.versions.iter().cloned().collect(),
            bytes: difference(old.bytes, new.bytes),
        })
    });
    let total = |packages: &Packages| packages.values().map(|held| held.bytes).sum();
    ClosureChange { packages: changed.collect(), bytes_before: total(before), bytes_after: total(after) }
}

fn difference(before: u64, after: u64) -> i64 {
    let size = i64::try_from(before.abs_diff(after)).unwrap_or(i64::MAX);
    if after < before { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_store_paths_are_packages_versions_and_outputs() {
        for (name, package, version) in [
            ("nginx-1.26.3", "nginx", "1.26.3"),
            ("glibc-2.38-44-bin", "glibc", "2.38-44"),
            ("gcc-13.2.0-lib64", "gcc", "13.2.0"),
            ("unit-gitea.service", "unit-gitea.service", ""),
            ("nginx-config", "nginx-config", ""),
            ("source", "source", ""),
            ("python3.12-pip-24.0", "python3.12-pip", "24.0"),
            ("linux-6.6.30-modules-shrunk", "linux", "6.6.30-modules"),
            ("x-", "x-", ""),
            ("7zip", "7zip", ""),
        ] {
            assert_eq!(parse(name), (package, version), "{name}");
        }
    }

    #[test]
    fn packages_come_go_change_and_stay() {
        let path = |name: &str| format!("/nix/store/{}-{name}", "0".repeat(32));
        let held = |paths: &[(&str, u64)]| {
            let paths: Vec<_> = paths.iter().map(|(name, bytes)| (path(name), *bytes)).collect();
            packages(paths.iter().map(|(path, bytes)| (path.as_str(), *bytes)))
        };
        let before = held(&[("same-1.0", 5), ("old-1.0", 7), ("both-1.0", 10), ("grown", 1)]);
        let after =
            held(&[("same-1.0", 5), ("new-2.0", 3), ("both-1.1", 8), ("both-1.1-bin", 1), ("grown", 4)]);
        let change = compare(&before, &after);
        assert_eq!((change.bytes_before, change.bytes_after), (23, 21));
        let told: Vec<_> = change
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.before.join(" "), p.after.join(" "), p.bytes))
            .collect();
        let expected =
            [("both", "1.0", "1.1", -1), ("grown", "", "", 3), ("new", "", "2.0", 3), ("old", "1.0", "", -7)];
        assert_eq!(
            told,
            expected.map(|(name, old, new, bytes)| (name, old.to_owned(), new.to_owned(), bytes))
        );
        assert!(compare(&before, &before).packages.is_empty());
    }
}
