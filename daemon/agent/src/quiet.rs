//! Waiting until nothing switches the machine: for a daemon that had it switched by others than this agent, such as
//! `nixos-rebuild`, and lost sight of that.
//!
//! Whoever switches a machine runs `switch-to-configuration`, be it in a unit (systemd-run(1), as `nixos-rebuild` calls
//! it) or straight from an SSH session. So the machine is quiet when no process of it is that program or is about to
//! become it, systemd has forgotten the unit, which cannot be made anew before, and nobody holds the agent's own lock.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use berth_protocol::FailureCode;

use crate::client::Client;
use crate::failure::{Result, failure, io};
use crate::lock::Lock;
use crate::units;

/// How often it is looked.
const PAUSE: Duration = Duration::from_millis(100);

/// How long it must have been quiet: a command that comes over SSH is a shell before it is anything else.
const LONG_ENOUGH: Duration = Duration::from_millis(300);

/// The unit in which `nixos-rebuild` switches (nixpkgs, both of its kinds), and how long systemd may take to forget it once
/// its processes are gone. One that stays, as a failed one may, is not waited for: who wants it is told so by systemd.
const UNIT: &str = "nixos-rebuild-switch-to-configuration.service";
const FORGETTING: Duration = Duration::from_secs(10);

/// The program, and the actions by which it changes what runs or what boots.
const PROGRAM: &str = "/bin/switch-to-configuration ";
const ACTIONS: [&str; 3] = ["switch", "test", "boot"];

/// Waits until the machine is quiet; [`FailureCode::Busy`] where that takes too long.
pub(crate) fn wait(timeout_seconds: u64, client: &mut impl Client) -> Result<()> {
    wait_in(Path::new("/proc"), Duration::from_secs(timeout_seconds), client)?;
    until_forgotten()?;
    // It is not kept: others may switch the machine again.
    Lock::machine("a look at the machine").map(drop)
}

fn until_forgotten() -> Result<()> {
    let begun = Instant::now();
    while units::states(&[UNIT.to_owned()])?.iter().any(|unit| unit.load != "not-found") {
        if begun.elapsed() >= FORGETTING {
            break;
        }
        sleep(PAUSE);
    }
    Ok(())
}

fn wait_in(processes: &Path, limit: Duration, client: &mut impl Client) -> Result<()> {
    let begun = Instant::now();
    let (mut quiet_since, mut said) = (begun, false);
    loop {
        let busy = switching(processes)?;
        if busy.is_some() {
            quiet_since = Instant::now();
        }
        match busy {
            None if quiet_since.elapsed() >= LONG_ENOUGH => return Ok(()),
            Some(command) if begun.elapsed() >= limit => {
                return Err(failure(
                    FailureCode::Busy,
                    format!("this machine is being changed by {command}"),
                ));
            }
            Some(_) if !said => {
                said = true;
                client.line("a switch of this machine is still going on; waiting for its end");
            }
            _ if client.is_gone() => return Err(failure(FailureCode::Io, "nobody waits any more")),
            _ => {}
        }
        sleep(PAUSE);
    }
}

/// The command line of a process that switches the machine.
fn switching(processes: &Path) -> Result<Option<String>> {
    let own = namespace(&processes.join("self"));
    let entries = fs::read_dir(processes).map_err(io(format!("cannot read {}", processes.display())))?;
    let folders = entries.flatten().map(|entry| entry.path());
    let mut commands = folders.filter_map(|folder| {
        let command = command_line(&folder)?;
        // A container on this machine that is switched is another machine's business.
        (switches(&command) && namespace(&folder) == own).then_some(command)
    });
    Ok(commands.next().map(|command| command.chars().take(200).collect()))
}

/// The arguments with spaces between them; nothing for what is no process, or one that has just ended.
fn command_line(folder: &Path) -> Option<String> {
    let number = folder.file_name()?.to_str()?;
    let bytes =
        number.bytes().all(|byte| byte.is_ascii_digit()).then(|| fs::read(folder.join("cmdline")))?.ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
}

/// Also true for the shell or the `systemd-run` that is about to start it.
fn switches(command: &str) -> bool {
    let mut after = command.match_indices(PROGRAM).map(|(at, found)| &command[at + found.len()..]);
    after.any(|rest| {
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
        word.is_some_and(|word| ACTIONS.contains(&word))
    })
}

fn namespace(folder: &Path) -> Option<std::path::PathBuf> {
    fs::read_link(folder.join("ns/pid")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::Recorder;

    fn process(folder: &Path, number: &str, command: &[&str]) -> std::path::PathBuf {
        let process = folder.join(number);
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("cmdline"), command.join("\0") + "\0").unwrap();
        process
    }

    #[test]
    fn a_switch_is_known_however_it_was_started() {
        let system = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nixos-system-vm1";
        for command in [
            format!("/nix/store/x-perl/bin/perl -w {system}/bin/switch-to-configuration test "),
            format!(
                "sh -c exec env -i PATH=\"$PATH\" systemd-run --pipe {system}/bin/switch-to-configuration test"
            ),
            format!("sudo {system}/bin/switch-to-configuration boot "),
        ] {
            assert!(switches(&command), "{command}");
        }
        for command in [
            format!("{system}/bin/switch-to-configuration dry-activate "),
            format!("less {system}/bin/switch-to-configuration "),
            "sshd: root@notty ".to_owned(),
        ] {
            assert!(!switches(&command), "{command}");
        }
    }

    #[test]
    fn the_end_of_a_switch_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        process(folder.path(), "17", &["/bin/sshd", "-D"]);
        let switching = process(folder.path(), "42", &["/s/bin/switch-to-configuration", "test"]);
        let mut client = Recorder::default();
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_in(folder.path(), Duration::from_secs(20), &mut client));
            sleep(Duration::from_millis(400));
            fs::remove_dir_all(switching).unwrap();
            waiting.join().unwrap().unwrap();
        });
        assert!(begun.elapsed() >= Duration::from_millis(400), "{:?}", begun.elapsed());
        assert_eq!(client.notes.len(), 1, "that it waits is said once");
    }

    #[test]
    fn a_switch_that_does_not_end_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        process(folder.path(), "42", &["/s/bin/switch-to-configuration", "switch"]);
        let failure = wait_in(folder.path(), Duration::ZERO, &mut Recorder::default()).unwrap_err();
        assert_eq!(failure.code, FailureCode::Busy);
        assert!(failure.message.contains("/s/bin/switch-to-configuration switch"), "{failure}");
    }
}
