//! How `nixos-rebuild` is called, and what is made of what it does: against a recorder, a program that answers as the real
//! ones do and writes down its arguments and its environment. `tests/scenarios/rebuilding.rs` uses the real ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use berth_nix::rebuild::{Action, Ending, Flavour, Job, Source, Target};
use berth_nix::{Level, Nix, NixError, NixOptions, RebuildError, Run, StorePath, Update};
use tempfile::TempDir;

use crate::real::script;
use crate::support::{Seen, ample, processes_with, unique};

const SYSTEM: &str = "/nix/store/n3vvpagg98dz0yissby9d2qf2n01d5m0-nixos-system-vm1";

/// What the kinds of `nixos-rebuild` say to flags that they do not know, as shell.
const SCRIPT: &str = "echo \"$0: unknown option \\`--berth-asks-which-flags-there-are'\" >&2; exit 1";
const SCRIPT_OF_20_09: &str = "echo \"$0: unknown option \\`--log-format'\"; exit 1";
const NG: &str =
    "echo 'usage: nixos-rebuild [--log-format LOG_FORMAT] [--flake [FLAKE]] [--store-path PATH] [--no-reexec]
                     [--target-host TARGET_HOST]
nixos-rebuild: error: unrecognized arguments: --berth-asks-which-flags-there-are' >&2; exit 2";
const NG_OF_24_11: &str =
    "echo 'usage: nixos-rebuild [--flake [FLAKE]] [--fast] [--target-host TARGET_HOST]' >&2; exit 2";

/// A `nixos-rebuild` that writes down how it was called, and then does `body`.
struct Recorder {
    folder: TempDir,
    /// Where it runs.
    work: PathBuf,
    /// A mark that no other test has.
    mark: String,
}

impl Recorder {
    fn new(answer: &str, body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display();
        let recorder = format!(
            "case \"$*\" in *--berth-asks-*) {answer};; esac\n\
             for word; do printf '%s\\n' \"$word\"; done > {place}/arguments\nenv > {place}/environment\npwd > {place}/folder\n\
             {body}\n"
        );
        script(&folder.path().join("nixos-rebuild"), &recorder);
        let work = folder.path().join("work");
        fs::create_dir(&work).unwrap();
        Self { folder, work, mark: unique() }
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("nixos-rebuild")
    }

    fn nix(&self) -> Nix {
        let settings = [("substituters".to_owned(), String::new())].into();
        Nix::new(NixOptions { nixos_rebuild: self.program(), settings, ..NixOptions::default() })
    }

    async fn flavour(&self) -> Flavour {
        self.nix().nixos_rebuild(&ample()).await.unwrap().flavour()
    }

    /// Runs `nixos-rebuild test` with a system that is built already, or from a flake.
    async fn test(&self, bounds: &Run, seen: &Seen) -> Result<Ending, NixError> {
        let system: StorePath = SYSTEM.parse().unwrap();
        let machine = "vm1".parse().unwrap();
        let program = self.nix().nixos_rebuild(&ample()).await.unwrap();
        let source = match program.flavour().takes_store_paths() {
            true => Source::System(&system),
            false => Source::flake(Path::new("/var/lib/berth/nix/flakes/1"), &machine).unwrap(),
        };
        program.run(&self.job(source, Action::Test, false), bounds, seen.sink()).await
    }

    fn job<'a>(&'a self, source: Source<'a>, action: Action, sudo: bool) -> Job<'a> {
        let ssh_options = "-F /run/berth/vm1.conf -o ControlMaster=no -o ControlPath=/run/berth/vm1.sock";
        let target = Target { destination: "root@vm1", ssh_options, sudo };
        Job { action, source, target: Some(target), folder: &self.work, mark: &self.mark }
    }

    fn recorded(&self, what: &str) -> String {
        fs::read_to_string(self.folder.path().join(what)).unwrap()
    }

    fn arguments(&self) -> String {
        self.recorded("arguments").lines().collect::<Vec<_>>().join(" ")
    }
}

#[tokio::test]
async fn what_the_command_takes_is_asked_and_not_guessed() {
    for (answer, flavour) in [
        (SCRIPT, Flavour::Script { log_format: true, no_ssh_tty: true }),
        (SCRIPT_OF_20_09, Flavour::Script { log_format: false, no_ssh_tty: false }),
        (NG, Flavour::Ng { no_reexec: true, store_path: true }),
        (NG_OF_24_11, Flavour::Ng { no_reexec: false, store_path: false }),
    ] {
        let recorder = Recorder::new(answer, "exit 0");
        assert_eq!(recorder.flavour().await, flavour);
        assert!(!recorder.folder.path().join("arguments").exists(), "nothing was done");
    }
}

#[tokio::test]
async fn the_arguments_are_those_that_each_kind_takes() {
    const FLAKE: &str = "test --flake path:/var/lib/berth/nix/flakes/1#vm1 --no-write-lock-file";
    for (answer, expected) in [
        (SCRIPT, format!("{FLAKE} --fast --target-host root@vm1 --no-ssh-tty --log-format internal-json")),
        (SCRIPT_OF_20_09, format!("{FLAKE} --fast --target-host root@vm1 --build-host localhost")),
        (
            NG,
            format!(
                "test --store-path {SYSTEM} --no-reexec --target-host root@vm1 --log-format internal-json"
            ),
        ),
        (NG_OF_24_11, format!("{FLAKE} --fast --target-host root@vm1 --log-format internal-json")),
    ] {
        let recorder = Recorder::new(answer, "exit 0");
        assert_eq!(recorder.test(&ample(), &Seen::default()).await.unwrap(), Ending::Done);
        assert_eq!(recorder.arguments(), expected);
    }
}

#[tokio::test]
async fn every_action_and_who_needs_sudo_is_said_in_each_kinds_words() {
    let machine = "vm1".parse().unwrap();
    for (answer, sudo) in [(SCRIPT, "--use-remote-sudo"), (NG, "--sudo")] {
        let recorder = Recorder::new(answer, "exit 0");
        let program = recorder.nix().nixos_rebuild(&ample()).await.unwrap();
        for action in [Action::Build, Action::DryActivate, Action::Test, Action::Boot] {
            let flake = Source::flake(Path::new("/f"), &machine).unwrap();
            program.run(&recorder.job(flake, action, true), &ample(), |_| {}).await.unwrap();
            let arguments = recorder.arguments();
            assert!(arguments.starts_with(&format!("{} --flake path:/f#vm1 ", action.word())), "{arguments}");
            assert!(arguments.split(' ').any(|word| word == sudo), "{arguments}");
        }
        let local = Job {
            target: None,
            ..recorder.job(Source::flake(Path::new("/f"), &machine).unwrap(), Action::Build, true)
        };
        program.run(&local, &ample(), |_| {}).await.unwrap();
        let arguments = recorder.arguments();
        assert!(!arguments.contains("--target-host") && !arguments.contains("sudo"), "{arguments}");
        assert!(!recorder.recorded("environment").contains("NIX_SSHOPTS="));
    }
}

#[tokio::test]
async fn the_environment_says_how_to_get_there_and_nothing_of_the_daemon() {
    // Cargo sets CARGO_* for tests; none of it is on the list of what Nix may see.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let recorder = Recorder::new(SCRIPT, "exit 0");
    recorder.test(&ample(), &Seen::default()).await.unwrap();
    let environment = recorder.recorded("environment");
    let lines: Vec<&str> = environment.lines().collect();
    for expected in [
        "NIX_SSHOPTS=-F /run/berth/vm1.conf -o ControlMaster=no -o ControlPath=/run/berth/vm1.sock",
        "extra-experimental-features = nix-command flakes",
        "accept-flake-config = false",
        "substituters = ",
        &format!("BERTH_OPERATION={}", recorder.mark),
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {environment}");
    }
    assert!(!environment.contains("CARGO_"), "{environment}");
    assert_eq!(recorder.recorded("folder").trim(), recorder.work.to_str().unwrap());
}

#[tokio::test]
async fn what_it_writes_on_either_stream_is_told_and_nixs_log_is_read_as_progress() {
    let body = r#"echo 'building the system configuration...' >&2
echo 'setting up /etc...'
echo '@nix {"action":"start","id":1,"level":5,"type":103,"text":"copying 2 paths"}' >&2
echo '@nix {"action":"result","id":1,"type":105,"fields":[1,2,1,0]}' >&2
echo '@nix {"action":"msg","level":1,"msg":"a warning"}' >&2
printf 'no line feed' >&2"#;
    let recorder = Recorder::new(NG, body);
    let seen = Seen::default();
    assert_eq!(recorder.test(&ample(), &seen).await.unwrap(), Ending::Done);
    let told = seen.all();
    for expected in ["building the system configuration...", "setting up /etc...", "no line feed"] {
        let expected = Update::Message { level: Level::Info, text: expected.to_owned() };
        assert!(told.contains(&expected), "{told:?}");
    }
    assert!(
        told.contains(&Update::Message { level: Level::Warning, text: "a warning".to_owned() }),
        "{told:?}"
    );
    assert!(told.iter().any(|update| matches!(update, Update::Progress(_))), "{told:?}");
}

#[tokio::test]
async fn how_it_ends_is_known_by_its_code_or_else_by_its_words() {
    let failed_units =
        Ending::UnitsFailed { units: vec!["gitea.service".to_owned(), "nginx.service".to_owned()] };
    let say = "echo 'warning: the following units failed: gitea.service, nginx.service' >&2";
    let switching = "echo 'warning: error(s) occurred while switching to the new configuration' >&2; exit 1";
    for (answer, body, expected) in [
        (NG, format!("{say}; exit 4"), failed_units.clone()),
        (SCRIPT, format!("{say}; {switching}"), failed_units),
        (NG, "exit 2".to_owned(), Ending::ScriptFailed),
        (NG, "exit 100".to_owned(), Ending::NeedsReboot),
        (NG, "echo lost >&2; exit 255".to_owned(), Ending::Open { message: "lost".to_owned() }),
        (
            SCRIPT,
            format!("echo lost >&2; {switching}"),
            Ending::Open {
                message: "lost\nwarning: error(s) occurred while switching to the new configuration"
                    .to_owned(),
            },
        ),
        (NG, "echo nonsense; kill -KILL $$".to_owned(), Ending::Open { message: "nonsense".to_owned() }),
        (
            SCRIPT,
            "echo 'error: no' >&2; exit 1".to_owned(),
            Ending::Failed { exit_code: 1, message: "error: no".to_owned() },
        ),
        (
            NG,
            "head -c 3000000 /dev/zero; exit 1".to_owned(),
            Ending::Failed { exit_code: 1, message: "exit status: 1".to_owned() },
        ),
    ] {
        let ending = Recorder::new(answer, &body).test(&ample(), &Seen::default()).await.unwrap();
        assert_eq!(ending, expected, "{body}");
    }
}

#[tokio::test]
async fn a_command_that_is_not_there_or_is_another_one_is_said_to_be() {
    let options = |program: &Path| NixOptions { nixos_rebuild: program.to_owned(), ..NixOptions::default() };
    let nowhere = Nix::new(options(Path::new("berth-no-such-program"))).nixos_rebuild(&ample()).await;
    assert!(
        matches!(&nowhere, Err(RebuildError::Missing { program }) if program == "berth-no-such-program"),
        "{nowhere:?}"
    );
    for answer in ["echo 'all is well'; exit 0", "exit 0", "head -c 3000000 /dev/urandom; exit 1"] {
        let other = Recorder::new(answer, "exit 0").nix().nixos_rebuild(&ample()).await;
        assert!(matches!(&other, Err(RebuildError::Unknown { .. })), "{other:?}");
    }
}

#[tokio::test]
async fn one_that_hangs_is_ended_with_all_that_it_started_when_its_time_is_over_or_somebody_says_so() {
    for cancelled in [true, false] {
        let token = unique();
        let endless = format!("while :; do sleep 0.1; done # {token}");
        let body = format!("trap '' TERM\nsetsid sh -c '{endless}' &\nsh -c '{endless}'\n");
        let recorder = Recorder::new(SCRIPT, &body);
        let seen = Seen::default();
        let bounds = if cancelled { ample() } else { Run::within(Duration::from_secs(2)) };
        let cancel = async {
            while processes_with(&token).len() < 2 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if cancelled {
                bounds.cancel.cancel();
            }
        };
        let begun = Instant::now();
        let (ending, ()) = tokio::join!(recorder.test(&bounds, &seen), cancel);
        match cancelled {
            true => assert!(matches!(ending, Err(NixError::Cancelled)), "{ending:?}"),
            false => assert!(matches!(ending, Err(NixError::Timeout { .. })), "{ending:?}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        assert!(processes_with(&token).is_empty());
    }
}

#[tokio::test]
async fn what_a_killed_daemon_left_running_is_found_by_its_mark_and_ended() {
    let token = unique();
    let mut leader = std::process::Command::new("setsid")
        .args(["sh", "-c", &format!("sh -c 'while :; do sleep 0.1; done # {token}' & wait")])
        .env("BERTH_OPERATION", &token)
        .spawn()
        .unwrap();
    let mut other =
        std::process::Command::new("sleep").arg("60").env("BERTH_OPERATION", "another").spawn().unwrap();
    while processes_with(&token).len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Nix::sweep_rebuild(&token).await;
    leader.wait().unwrap();
    assert!(processes_with(&token).is_empty());
    assert!(other.try_wait().unwrap().is_none(), "another operation's are left alone");
    other.kill().unwrap();
    other.wait().unwrap();
}
