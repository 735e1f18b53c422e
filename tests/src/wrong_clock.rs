//! Clocks that are wrong, and jump: a daemon's, and that of what Berth runs on a machine.
//!
//! Machines share their host's kernel and its clock, so that it cannot be set for one of them. A library that is preloaded
//! stands in between instead (`stand-ins/wrong_clock.c`) and changes the time of day, and nothing else, by what a file says.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Result, ensure};
use berth_testbed::Machine;
use tempfile::TempDir;

/// Where the library and its file are on a machine.
const LIBRARY: &str = "/usr/local/lib/wrong_clock.so";
const BY: &str = "/usr/local/lib/wrong_clock.by";

/// A clock; it is right until it is told otherwise.
#[derive(Debug, Clone)]
pub struct WrongClock {
    folder: Arc<TempDir>,
    by: PathBuf,
}

impl WrongClock {
    /// A clock for programs of this host.
    ///
    /// # Errors
    /// If its library cannot be compiled.
    pub fn here() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("berth-clock-").tempdir()?;
        let by = folder.path().join("by");
        compile(&folder.path().join("wrong_clock.so"))?;
        let clock = Self { folder: Arc::new(folder), by };
        clock.is_off_by(0)?;
        Ok(clock)
    }

    /// A clock for the agent of a machine, for whatever else comes in by SSH, and for the units that the agent starts. To be
    /// called before the daemon logs in.
    ///
    /// # Errors
    /// If the machine cannot be changed.
    pub async fn of(machine: &Machine) -> Result<Self> {
        let clock = Self { by: machine.file(BY), ..Self::here()? };
        clock.is_off_by(0)?;
        fs::copy(clock.library(), machine.file(LIBRARY))?;
        let sshd = format!("SetEnv LD_PRELOAD={LIBRARY} WRONG_CLOCK={BY}\n");
        fs::write(machine.file("/etc/ssh/sshd_config.d/wrong_clock.conf"), sshd)?;
        // For each unit whose name begins so (systemd.unit(5)).
        let drop_in = machine.file("/etc/systemd/system/berth-.service.d");
        fs::create_dir_all(&drop_in)?;
        let unit = format!("[Service]\nEnvironment=LD_PRELOAD={LIBRARY} WRONG_CLOCK={BY}\n");
        fs::write(drop_in.join("wrong_clock.conf"), unit)?;
        let done = machine.exec(&["systemctl", "reload", "ssh.service"]).await?;
        ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Ok(clock)
    }

    /// From now on it is so many seconds ahead, or behind, also for programs that run already.
    ///
    /// # Errors
    /// If that cannot be written.
    pub fn is_off_by(&self, seconds: i64) -> Result<()> {
        let file = File::options().create(true).truncate(false).write(true).open(&self.by)?;
        // At once, so that nobody ever reads a half.
        file.write_all_at(&seconds.to_ne_bytes(), 0)?;
        Ok(())
    }

    /// What a program's environment must hold.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.library().into()), ("WRONG_CLOCK", self.by.clone().into())]
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("wrong_clock.so")
    }
}

fn compile(library: &Path) -> Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-ins/wrong_clock.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(library).arg(source);
    let output = compiler.output()?;
    ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
