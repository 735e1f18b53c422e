//! Making a system the one that boots.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use berth_protocol::{Answer, FailureCode};

use crate::client::Client;
use crate::facts::{PROFILE, resolved};
use crate::failure::{Result, failure, io, program};
use crate::files::write_whole;
use crate::lock::Lock;
use crate::programs::{command, prepare, run, run_ok};
use crate::system::System;

const PROFILE_LIMIT: Duration = Duration::from_secs(60);

/// Boot loaders write to slow places.
const BOOT_LIMIT: Duration = Duration::from_secs(600);

/// Stands while the profile may name a system whose boot entry was not made yet; holds the system's path.
const UNFINISHED: &str = "/var/lib/berth/commit-unfinished";

/// Sets the profile and makes the boot entry; nothing is written where both are so already.
pub(crate) fn commit(path: &str, client: &mut impl Client) -> Result<Answer> {
    let system = System::open(path)?;
    let switcher = system.switcher()?;
    let _lock = Lock::machine(&format!("the commit of {path}"))?;
    let set = resolved(PROFILE).as_deref() == Some(path);
    if set && !Path::new(UNFINISHED).exists() {
        return Ok(Answer::Committed { generation: generation()?, changed: false });
    }
    write_whole(Path::new(UNFINISHED), path.as_bytes()).map_err(io(format!("cannot write {UNFINISHED}")))?;
    if !set {
        let mut set = command("nix-env")?;
        set.args(["--profile", PROFILE, "--set"]).arg(system.path());
        run_ok(set, PROFILE_LIMIT)?;
    }
    make_boot_entry(Command::new(switcher), client)?;
    std::fs::remove_file(UNFINISHED).map_err(io(format!("cannot remove {UNFINISHED}")))?;
    Ok(Answer::Committed { generation: generation()?, changed: true })
}

fn make_boot_entry(mut switcher: Command, client: &mut impl Client) -> Result<()> {
    prepare(&mut switcher);
    switcher.arg("boot");
    let output = run(switcher, BOOT_LIMIT)?;
    for line in output.stdout.lines().chain(output.stderr.lines()) {
        client.line(line);
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(program(
            "switch-to-configuration boot",
            &format!("{} ({})", output.stderr.trim(), output.status),
        )),
    }
}

/// The profile's generation: the number in `system-42-link`, which the profile links to.
fn generation() -> Result<u64> {
    let link = std::fs::read_link(PROFILE).map_err(io(format!("cannot read {PROFILE}")))?;
    let name = link.file_name().unwrap_or_default().to_string_lossy().into_owned();
    number(&name)
        .ok_or_else(|| failure(FailureCode::Io, format!("{PROFILE} leads to {name}, which has no number")))
}

fn number(link: &str) -> Option<u64> {
    link.strip_prefix("system-")?.strip_suffix("-link")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_the_number_in_the_links_name() {
        assert_eq!(number("system-42-link"), Some(42));
        assert_eq!(number("system-link"), None);
        assert_eq!(number("other-1-link"), None);
    }
}
