//! What this host lacks, and installing it.

use std::collections::BTreeSet;

use berth_testbed::prerequisites::{self, Missing, Need, Package};

use super::stages::{Said, Stages};
use crate::asking::ask;
use crate::failure::{Failure, Result};

impl Said for Vec<Missing> {
    fn said(&self) -> String {
        match self.len() {
            0 => "has everything that machines need".to_owned(),
            1 => "lacks something that machines need".to_owned(),
            count => format!("lacks {count} things that machines need"),
        }
    }

    fn is_good(&self) -> bool {
        self.is_empty()
    }
}

/// What this host lacks.
pub(super) async fn missing(stages: &Stages) -> Result<Vec<Missing>> {
    let looking = async { Ok(prerequisites::missing().await) };
    stages.stage("host", "looking at what this host has", looking).await
}

/// Installs what can be: by root, with `yes` or after asking. The result is what is still missing then.
pub(super) async fn install(missing: Vec<Missing>, yes: bool) -> Result<Vec<Missing>> {
    let packages = packages(&missing);
    let is_root = !missing.iter().any(|missing| missing.what == Need::Root);
    if packages.is_empty() || !is_root {
        return Ok(missing);
    }
    let question =
        format!("  Machines need packages that are not installed: {}. Install them?", list(&packages));
    if !(yes || ask(question).await == Some(true)) {
        return Ok(missing);
    }
    let stages = Stages::new();
    let packages: Vec<_> = packages.into_iter().collect();
    let mut say = |line: &str| stages.say("packages", line);
    let installing = async {
        let installed = prerequisites::install(&packages, &mut say).await;
        installed
            .map(|()| Installed)
            .map_err(|error| Failure::local(format!("the packages cannot be installed: {error}")))
    };
    stages.stage("packages", "installing", installing).await?;
    // What could not be tried for lack of a program can be now.
    self::missing(&stages).await
}

/// The packages are there.
struct Installed;

impl Said for Installed {
    fn said(&self) -> String {
        "installed".to_owned()
    }
}

/// What to do about it all.
pub(super) fn advice(missing: &[Missing]) -> String {
    let packages = packages(missing);
    let is_root = !missing.iter().any(|missing| missing.what == Need::Root);
    match (packages.is_empty(), is_root) {
        (false, true) => "install them, or let the demo do it: berth demo --yes".to_owned(),
        (false, false) => format!("as root: apt-get install {}; then run the demo as root", list_spaced(&packages)),
        (true, false) => "run the demo as root, for instance with sudo".to_owned(),
        (true, true) => {
            "this host’s kernel or container does not allow it; run the demo on another, for instance a virtual machine"
                .to_owned()
        }
    }
}

fn packages(missing: &[Missing]) -> BTreeSet<Package> {
    missing.iter().filter_map(|missing| missing.package).collect()
}

fn list(packages: &BTreeSet<Package>) -> String {
    packages.iter().map(|package| package.debian).collect::<Vec<_>>().join(", ")
}

fn list_spaced(packages: &BTreeSet<Package>) -> String {
    packages.iter().map(|package| package.debian).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(what: Need, debian: Option<&'static str>) -> Missing {
        let package = debian.map(|debian| Package { debian, nixpkgs: debian });
        Missing { what, package, why: String::new() }
    }

    #[test]
    fn the_advice_fits_what_is_missing() {
        let program = missing(Need::Program("ip"), Some("iproute2"));
        let root = missing(Need::Root, None);
        assert!(advice(std::slice::from_ref(&program)).contains("--yes"));
        assert!(advice(&[program, root.clone()]).starts_with("as root: apt-get install iproute2;"));
        assert!(advice(&[root]).contains("sudo"));
        assert!(advice(&[missing(Need::Namespaces, None)]).contains("another"));
    }
}
