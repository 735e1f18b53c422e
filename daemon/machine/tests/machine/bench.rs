//! A machine with the agent on it, and the way to ask it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use berth_domain::ssh::SshPublicKey;
use berth_domain::{MachineFacts, MachineSpec};
use berth_machine::{Agent, Connector, ConnectorOptions, MachineError, Session, StorePath};
use berth_protocol::{
    Activation, Answer, Claim, Deadline, Failure, Note, Outcome, Request, SwitchAction, Transfer,
};
use berth_testbed::{Machine, Testbed, TestbedOptions, prerequisites};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::systems::add_to_store;

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The units of agents that switch.
const SWITCHES: &str = "berth-activate-*";

/// The units of agents that put a machine back, and their timers.
const GUARDS: &str = "berth-guard-*";

/// One machine. (The order matters: connections end before the machine.)
pub struct Bench {
    pub connector: Connector,
    pub session: Session,
    pub agent_path: StorePath,
    pub machine: Machine,
    _testbed: Testbed,
    _folder: tempfile::TempDir,
}

/// What a call came to: its answer, and the lines and counts that came before it.
pub struct Told {
    pub answer: Result<Answer, MachineError>,
    pub lines: Vec<String>,
    pub counts: Vec<(u64, u64)>,
    pub transfers: Vec<Transfer>,
}

impl Bench {
    /// Boots a machine and copies the agent to it; nothing where machines cannot be had.
    pub async fn set_up(name: &str) -> Option<Self> {
        let missing = prerequisites::missing().await;
        let required = std::env::var_os("BERTH_REQUIRE_MACHINES").is_some_and(|value| value == "1");
        assert!(missing.is_empty() || !required, "machines cannot be booted here: {missing:?}");
        if !missing.is_empty() {
            eprintln!("SKIPPED: machines cannot be booted here: {missing:?}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let identity = folder.path().join("id_ed25519");
        let key = generate_key(&identity);
        let options = TestbedOptions { networks: 230..=239, ..TestbedOptions::default() };
        let testbed = Testbed::new(options, &mut |line| println!("{line}")).await.unwrap();
        let machine = testbed.boot(&name.parse().unwrap(), &key).await.unwrap();
        let connector = Connector::new(ConnectorOptions::with_identity(&identity)).unwrap();
        let session = connector.connect(&spec(&machine), &never()).await.unwrap();
        let agent_path = agent_in_store();
        let bench = Self { connector, session, agent_path, machine, _testbed: testbed, _folder: folder };
        bench.copy(&bench.agent_path);
        Some(bench)
    }

    pub fn spec(&self) -> MachineSpec {
        spec(&self.machine)
    }

    /// Copies a path from this host's store to the machine.
    pub fn copy(&self, path: &StorePath) {
        let mut nix = Command::new("nix");
        nix.args(["--extra-experimental-features", "nix-command", "copy", "--no-check-sigs", "--to"]);
        nix.arg(self.session.store_url()).arg(path.as_str());
        let output = nix.env("NIX_SSHOPTS", self.session.nix_ssh_opts()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// A new agent over the connection that is open, or a new one.
    pub async fn agent(&self) -> Agent {
        let session = self.connector.connect(&self.spec(), &never()).await.unwrap();
        session.agent(&self.agent_path, &never()).await.unwrap()
    }

    /// Lets go of a connection to a machine that was started anew.
    pub async fn reconnect(&self) {
        self.connector.close(&self.spec()).await.unwrap();
    }

    /// Asks a new agent.
    pub async fn ask(&self, request: Request) -> Told {
        ask(&mut self.agent().await, request).await
    }

    pub async fn facts(&self) -> MachineFacts {
        match self.ask(Request::Facts).await.answer.unwrap() {
            Answer::Facts(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }

    /// Runs a program on the machine, past SSH, and returns its output.
    pub async fn run(&self, argv: &[&str]) -> String {
        let output = self.machine.exec(argv).await.unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{argv:?}: {stdout}{stderr}");
        stdout.trim().to_owned()
    }

    /// What the machine says became of an operation.
    pub async fn outcome(&self, operation: Uuid) -> Outcome {
        self.ask(Request::Outcome { operation }).await.outcome()
    }

    /// Waits until the machine says of an operation what is wanted of it.
    pub async fn until(&self, operation: Uuid, wanted: impl Fn(&Outcome) -> bool) -> Outcome {
        let end = Instant::now() + LIMIT;
        loop {
            let outcome = self.outcome(operation).await;
            if wanted(&outcome) {
                return outcome;
            }
            assert!(Instant::now() < end, "{outcome:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The units that agents have started and that are there.
    pub async fn own_units(&self) -> String {
        self.units(&[SWITCHES, GUARDS]).await
    }

    /// Waits until nothing is left of the units that agents have started.
    pub async fn until_no_own_units(&self) {
        self.until_gone(&[SWITCHES, GUARDS]).await;
    }

    /// Waits until none of the units that switch is left.
    pub async fn until_no_switches(&self) {
        self.until_gone(&[SWITCHES]).await;
    }

    /// Waits until no such unit is left: one that has said how its operation ended is there for a moment longer.
    async fn until_gone(&self, patterns: &[&str]) {
        let end = Instant::now() + LIMIT;
        loop {
            let units = self.units(patterns).await;
            if units.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "{units}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn units(&self, patterns: &[&str]) -> String {
        self.run(&[&["systemctl", "list-units", "--all", "--plain", "--no-legend"], patterns].concat()).await
    }

    /// A file of the machine.
    pub fn file(&self, path: &str) -> PathBuf {
        self.machine.file(path)
    }
}

impl Told {
    pub fn activation(self) -> Activation {
        match self.answer.unwrap() {
            Answer::Activation(activation) => activation,
            other => panic!("{other:?}"),
        }
    }

    pub fn outcome(self) -> Outcome {
        match self.answer.unwrap() {
            Answer::Outcome(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    pub fn failure(self) -> Failure {
        match self.answer {
            Err(MachineError::Failed { failure, .. }) => failure,
            other => panic!("{other:?}"),
        }
    }
}

pub async fn ask(agent: &mut Agent, request: Request) -> Told {
    let (mut lines, mut counts, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
    let on_note = |note| match note {
        Note::Line(line) => lines.push(line),
        Note::Progress { done, expected } => counts.push((done, expected)),
        Note::Transfer(moved) => transfers.push(moved),
    };
    let answer = agent.call(request, LIMIT, &never(), on_note).await;
    Told { answer, lines, counts, transfers }
}

/// A request to switch, with time enough for everything.
pub fn activate(operation: Uuid, system: &StorePath) -> Request {
    activate_within(operation, system, 60)
}

/// A request to switch; the machine waits so long for the commit.
pub fn activate_within(operation: Uuid, system: &StorePath, commit_seconds: u64) -> Request {
    activate_until(operation, system, Deadline { switch_seconds: 60, commit_seconds })
}

/// A request to switch within a deadline.
pub fn activate_until(operation: Uuid, system: &StorePath, deadline: Deadline) -> Request {
    Request::Activate {
        claim: claim(operation),
        system: system.to_string(),
        action: SwitchAction::Test,
        deadline,
    }
}

/// A request to commit.
pub fn commit(operation: Uuid, system: &StorePath) -> Request {
    Request::Commit { claim: claim(operation), system: system.to_string(), keep_generations: 10 }
}

/// Who asks.
pub fn claim(operation: Uuid) -> Claim {
    Claim { operation, fence: 1 }
}

/// A token that is never cancelled.
pub fn never() -> CancellationToken {
    CancellationToken::new()
}

fn spec(machine: &Machine) -> MachineSpec {
    let draft = serde_json::json!({ "name": machine.name(), "address": machine.address().to_string(),
        "host_key": machine.host_key() });
    serde_json::from_value(draft).unwrap()
}

fn generate_key(path: &Path) -> SshPublicKey {
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"];
    assert!(Command::new("ssh-keygen").args(arguments).arg(path).status().unwrap().success());
    std::fs::read_to_string(path.with_extension("pub")).unwrap().parse().unwrap()
}

fn agent_in_store() -> StorePath {
    let program = crate::programs::agent();
    add_to_store("berth-agent", |folder| {
        std::fs::create_dir(folder.join("bin")).unwrap();
        std::fs::copy(program, folder.join("bin/berth-agent")).unwrap();
    })
}
