//! What runs in the transient unit: secrets first, then the switcher.

use std::fs::{File, OpenOptions};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use berth_domain::Manifest;
use berth_protocol::FailureCode;
use uuid::Uuid;

use super::record::{Asked, Ended, Record};
use crate::failure::{Result, failure, io};
use crate::lock::Lock;
use crate::programs::{exit_code, prepare};
use crate::secrets;
use crate::system::System;

/// How often the switcher is looked at: often enough that a secret has its owner before the units start that the
/// switcher starts after it has made the users.
const PAUSE: Duration = Duration::from_millis(5);

/// Switches as recorded and writes down how it ended.
pub(crate) fn run(operation: Uuid) -> Result<()> {
    let record = Record::of(operation);
    let missing = || failure(FailureCode::BadCall, "nothing is recorded for this operation");
    let asked = record.asked()?.ok_or_else(missing)?;
    let ended = switch(&record, &asked).map_or_else(Ended::Failed, |exit_code| Ended::Switched { exit_code });
    record.end(&ended)
}

fn switch(record: &Record, asked: &Asked) -> Result<i32> {
    let _lock = Lock::machine(&format!("operation {}", record.operation()))?;
    let system = System::open(&asked.system)?;
    let manifest = system.manifest_if_any()?;
    let mut secrets = Secrets::ensure(manifest.as_ref())?;
    let log = || OpenOptions::new().append(true).create(true).open(record.log());
    let problem = || io(format!("cannot write {}", record.log().display()));
    let mut command = Command::new(system.switcher()?);
    prepare(&mut command);
    command.arg(asked.action.word());
    command.stdout(log().map_err(problem())?).stderr(log().map_err(problem())?).stdin(Stdio::null());
    let mut child = command.spawn().map_err(io("cannot start switch-to-configuration"))?;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(io("cannot wait for switch-to-configuration"))? {
            break status;
        }
        secrets.settle_ownerless();
        sleep(PAUSE);
    };
    secrets.settle_finally(&mut log().map_err(problem())?);
    Ok(exit_code(status))
}

/// The system's secrets, and who still waits for an owner.
struct Secrets<'a> {
    manifest: Option<&'a Manifest>,
    ownerless: Vec<String>,
}

impl<'a> Secrets<'a> {
    fn ensure(manifest: Option<&'a Manifest>) -> Result<Self> {
        let ownerless = manifest.map_or(Ok(Vec::new()), secrets::ensure)?;
        Ok(Self { manifest, ownerless })
    }

    fn settle_ownerless(&mut self) {
        if !self.ownerless.is_empty() {
            self.settle();
        }
    }

    /// The last try; what is left without an owner then is said in the log. The units that need it fail, and
    /// the outcome tells which.
    fn settle_finally(&mut self, log: &mut File) {
        use std::io::Write as _;
        self.settle();
        for sentence in &self.ownerless {
            let _ = writeln!(log, "warning: {sentence}");
        }
    }

    fn settle(&mut self) {
        if let Some(manifest) = self.manifest {
            self.ownerless = secrets::settle(manifest).unwrap_or_else(|failure| vec![failure.message]);
        }
    }
}
