//! What the tests share: the real Nix, derivations that differ in every run, and a look at the processes.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth_nix::{Nix, NixOptions, Run, StorePath, Update};

/// The real Nix; nothing when it is absent and the environment says that this is meant.
pub fn nix() -> Option<Nix> {
    let present = Command::new("nix").arg("--version").output().is_ok();
    if !present && std::env::var_os("BERTH_TEST_WITHOUT_NIX").is_some_and(|value| value == "1") {
        return None;
    }
    assert!(present, "these tests need `nix` (Debian: nix-bin); BERTH_TEST_WITHOUT_NIX=1 leaves them out");
    // No substituters: a build must not wait for a cache that cannot be reached.
    let settings = [("substituters".to_owned(), String::new())].into();
    Some(Nix::new(NixOptions { settings, ..NixOptions::default() }))
}

/// A name that no other test and no earlier run has.
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("t{}x{nanos}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A Nix expression: a derivation that runs `script` in `/bin/sh`. The script must end with a builtin such as `exit 0`:
/// a last program would be `exec`ed, and Nix 2.8 kills it when it closes its output before it exits.
pub fn derivation(name: &str, script: &str, input: &str) -> String {
    let script = script.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "\\${");
    format!(
        r#"(derivation {{ name = "{name}"; system = builtins.currentSystem; builder = "/bin/sh"; PATH = "/usr/bin:/bin";
            unique = "{}"; input = {input}; args = [ "-c" "{script}" ]; }})"#,
        unique()
    )
}

/// Puts an expression's derivation into the store.
pub fn instantiate(expression: &str) -> StorePath {
    let output = Command::new("nix-instantiate").args(["--expr", expression]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// A bound that no healthy call reaches.
pub fn ample() -> Run {
    Run::within(Duration::from_secs(60))
}

/// Updates as they came.
#[derive(Clone, Default)]
pub struct Seen(Arc<Mutex<Vec<Update>>>);

impl Seen {
    pub fn sink(&self) -> impl FnMut(Update) + Send + use<> {
        let seen = self.0.clone();
        move |update| seen.lock().unwrap().push(update)
    }

    pub fn all(&self) -> Vec<Update> {
        self.0.lock().unwrap().clone()
    }

    pub fn has_line(&self, wanted: &str) -> bool {
        self.all().iter().any(|update| matches!(update, Update::Line { line, .. } if line == wanted))
    }
}

/// The command lines of live processes that hold `token`.
pub fn processes_with(token: &str) -> Vec<String> {
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let command = |folder: std::path::PathBuf| std::fs::read(folder.join("cmdline")).ok();
    pids.filter_map(|entry| command(entry.path()))
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(token))
        .collect()
}
