//! Installs what is missing, where the host has apt.

use std::time::Duration;

use super::Package;
use crate::command::{self, Call};
use crate::error::{Result, TestbedError};

const TIMEOUT: Duration = Duration::from_mins(15);

/// Installs packages by apt-get without asking. `on_line` gets the progress.
///
/// # Errors
/// Where there is no apt-get: [`TestbedError::CannotInstall`] with what to install by hand. Otherwise what
/// apt-get wrote when it failed.
pub async fn install(packages: &[Package], on_line: &mut (dyn FnMut(&str) + Send)) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    if command::find("apt-get").is_err() {
        return Err(TestbedError::CannotInstall { advice: advice(packages) });
    }
    let names = names(packages, |package| package.debian);
    if !can_be_had(&names).await? {
        apt_get(&["update".to_owned()])?.stream(TIMEOUT, on_line).await?;
    }
    apt_get(&install_arguments(&[], &names))?.stream(TIMEOUT, on_line).await
}

/// Whether apt's lists know the packages; a fresh host has no lists at all.
async fn can_be_had(names: &[&str]) -> Result<bool> {
    let output = apt_get(&install_arguments(&["--simulate"], names))?.output(TIMEOUT).await?;
    Ok(output.status.success())
}

fn install_arguments(options: &[&str], names: &[&str]) -> Vec<String> {
    let fixed = ["install", "--yes", "--no-install-recommends", "--no-upgrade"];
    fixed.iter().chain(options).chain(names).map(|argument| (*argument).to_owned()).collect()
}

fn apt_get(arguments: &[String]) -> Result<Call> {
    let options = ["--quiet=1", "-o=Dpkg::Use-Pty=0", "-o=DPkg::Lock::Timeout=120"].map(str::to_owned);
    Ok(Call::new("apt-get", options.iter().chain(arguments))?
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8"))
}

fn names(packages: &[Package], name: fn(&Package) -> &'static str) -> Vec<&'static str> {
    let mut names: Vec<_> = packages.iter().map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn advice(packages: &[Package]) -> String {
    let nixpkgs = names(packages, |package| package.nixpkgs).join(" ");
    let debian = names(packages, |package| package.debian).join(" ");
    if std::path::Path::new("/etc/NIXOS").exists() {
        return format!("add these to environment.systemPackages: {nixpkgs}");
    }
    format!("there is no apt-get here; install what brings these packages of Debian: {debian}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_brings_several_programs_is_named_once() {
        let ssh = Package { debian: "openssh-client", nixpkgs: "openssh" };
        assert_eq!(names(&[ssh, ssh], |package| package.debian), ["openssh-client"]);
    }

    #[tokio::test]
    async fn installing_nothing_is_done_at_once() {
        install(&[], &mut |line| panic!("{line}")).await.unwrap();
    }
}
