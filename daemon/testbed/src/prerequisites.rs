//! What a host must have so that machines can be booted on it, and how to get what it lacks.
//!
//! What can be tried is tried: containers and virtual machines often refuse namespaces and mounts to a root
//! who, by the numbers, could have them.

mod install;
mod trial;

use std::fmt;

pub use install::install;

use crate::command;

/// A package that brings a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    /// Its name in Debian.
    pub debian: &'static str,
    /// Its name in nixpkgs.
    pub nixpkgs: &'static str,
}

/// Something that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// To be root.
    Root,
    /// A program.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// To make namespaces for processes, mounts and networks.
    Namespaces,
    /// To connect a network namespace.
    VirtualEthernet,
    /// To mount a writable view of a read-only tree.
    OverlayMounts,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root privileges"),
            Self::Program(name) => write!(f, "the program “{name}”"),
            Self::File(path) => write!(f, "the file {path}"),
            Self::Namespaces => f.write_str("namespaces"),
            Self::VirtualEthernet => f.write_str("virtual network interfaces"),
            Self::OverlayMounts => f.write_str("overlay mounts"),
        }
    }
}

/// Something that is needed and not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What.
    pub what: Need,
    /// The package that brings it, if one does.
    pub package: Option<Package>,
    /// What it is for, or how trying it failed.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)?;
        match self.package {
            Some(Package { debian, nixpkgs }) if debian == nixpkgs => write!(f, " (package {debian})"),
            Some(Package { debian, nixpkgs }) => write!(f, " (package {debian}, in nixpkgs {nixpkgs})"),
            None => Ok(()),
        }
    }
}

const PROGRAMS: &[(&str, Package, &str)] = &[
    ("debootstrap", package("debootstrap", "debootstrap"), "builds the machines' image"),
    ("systemd-nspawn", package("systemd-container", "systemd"), "runs the machines"),
    ("ip", package("iproute2", "iproute2"), "connects the machines"),
    ("unshare", package("util-linux", "util-linux"), "tries what the host allows"),
    ("nsenter", package("util-linux", "util-linux"), "runs programs inside machines"),
    ("ssh", package("openssh-client", "openssh"), "reaches the machines"),
    ("ssh-keygen", package("openssh-client", "openssh"), "makes the machines' keys"),
    ("nix", package("nix-bin", "nix"), "builds what is deployed"),
];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

const fn package(debian: &'static str, nixpkgs: &'static str) -> Package {
    Package { debian, nixpkgs }
}

/// What this host lacks; empty when machines can be booted.
///
/// Takes well under a second, and leaves nothing behind.
pub async fn missing() -> Vec<Missing> {
    let mut missing = missing_programs();
    if is_debian() && !std::path::Path::new(KEYRING).exists() {
        missing.push(Missing {
            what: Need::File(KEYRING),
            package: Some(package("debian-archive-keyring", "debian-archive-keyring")),
            why: "proves that what is downloaded is Debian's".to_owned(),
        });
    }
    if !rustix::process::geteuid().is_root() {
        let why = "machines need mounts and network interfaces, which only root may make".to_owned();
        missing.push(Missing { what: Need::Root, package: None, why });
        return missing;
    }
    missing.extend(trial::refused().await);
    missing
}

fn missing_programs() -> Vec<Missing> {
    PROGRAMS
        .iter()
        .filter(|(program, ..)| command::find(program).is_err())
        .map(|(program, package, why)| Missing {
            what: Need::Program(program),
            package: Some(*package),
            why: (*why).to_owned(),
        })
        .collect()
}

fn is_debian() -> bool {
    std::path::Path::new("/etc/debian_version").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_its_package_and_its_purpose() {
        let missing = Missing {
            what: Need::Program("ip"),
            package: Some(package("iproute2", "iproute2")),
            why: "connects the machines".to_owned(),
        };
        assert_eq!(missing.to_string(), "the program “ip”: connects the machines (package iproute2)");
    }
}
