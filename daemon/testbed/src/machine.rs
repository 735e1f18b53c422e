//! A machine: what can be done to it and in it.

mod furnish;
pub(crate) mod process;
mod ready;
pub(crate) mod record;
mod supervisor;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use berth_domain::MachineName;
use berth_domain::ssh::SshPublicKey;
use tokio::sync::Mutex;

use crate::command::Call;
use crate::error::{Context, Result, TestbedError};
use crate::image::Image;
use crate::teardown;
use crate::testbed::Run;
use record::MachineRecord;
use supervisor::Supervisor;

/// What programs inside find as their search path, with that of a deployed system first.
const PATH_INSIDE: &str =
    "/nix/var/nix/profiles/system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a machine may take to shut down before it is ended the hard way.
const POWER_OFF: Duration = Duration::from_secs(30);

/// Where a machine keeps what it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disk {
    /// In a folder of the host, as much as that holds.
    #[default]
    Unlimited,
    /// In the host's memory, at most so many bytes: for machines whose disk is to run full.
    Limited {
        /// The size.
        bytes: u64,
    },
}

/// A machine. Dropped, it is put away with all that it wrote, unless its testbed is kept.
#[derive(Debug)]
pub struct Machine {
    run: Arc<Run>,
    record: MachineRecord,
    host_key: SshPublicKey,
    supervisor: Supervisor,
    /// One at a time starts or ends it.
    changing: Mutex<()>,
}

impl Machine {
    /// Its name, inside also its host name.
    pub fn name(&self) -> &MachineName {
        &self.record.name
    }

    /// Its address. SSH listens on port 22.
    pub fn address(&self) -> Ipv4Addr {
        self.record.address()
    }

    /// The only SSH host key that it has.
    pub fn host_key(&self) -> &SshPublicKey {
        &self.host_key
    }

    /// The line of a `known_hosts` file that pins its key.
    pub fn known_hosts_line(&self) -> String {
        format!("{} {}", self.address(), self.host_key.without_comment())
    }

    /// Its tree as the host sees it, also while it is stopped.
    pub fn root_path(&self) -> &Path {
        &self.record.root
    }

    /// A file of its own, as the host sees it.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root_path().join(path.trim_start_matches('/'))
    }

    /// The file that its console is written to, by all its boots.
    pub fn console_path(&self) -> PathBuf {
        console_path(&self.run, &self.record)
    }

    /// Boots a new one.
    pub(crate) async fn boot(
        run: &Arc<Run>,
        image: &Image,
        name: &MachineName,
        authorized_key: &SshPublicKey,
        disk: Disk,
    ) -> Result<Self> {
        let record = furnish::write_down(run, name).await?;
        let unfinished = Unfinished { run: Arc::clone(run), record, finished: false };
        let host_key = furnish::furnish(&unfinished.record, image, authorized_key, disk).await?;
        let machine = unfinished.finish(host_key);
        machine.start().await?;
        Ok(machine)
    }

    /// Boots it, and waits until SSH answers. Nothing happens if it runs. A machine whose network is cut
    /// cannot be waited for.
    ///
    /// # Errors
    /// [`TestbedError::NotUp`] with the end of its console.
    pub async fn start(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        if self.supervisor.is_running() {
            return Ok(());
        }
        self.supervisor.start()?;
        ready::wait(&self.record, &self.supervisor, &self.console_path(), self.run.boot_timeout).await
    }

    /// Shuts it down in order. Its disk stays.
    ///
    /// # Errors
    /// If its processes do not go away even when killed.
    pub async fn stop(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.supervisor.ask_to_power_off()?;
        if tokio::time::timeout(POWER_OFF, self.supervisor.ended()).await.is_err() {
            tracing::warn!("machine “{}” does not shut down; it is killed", self.name());
        }
        self.kill().await
    }

    /// Ends it as a power cut would: nothing inside is asked. Its disk stays, as far as it was written.
    ///
    /// # Errors
    /// If its processes do not go away.
    pub async fn crash(&self) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.kill().await
    }

    /// Shuts it down in order and boots it again on the same disk.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start`].
    pub async fn reboot(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// Cuts its network: packets to and from it vanish, and open connections hang. Safe to repeat.
    ///
    /// # Errors
    /// If the host's `ip` fails.
    pub async fn cut_network(&self) -> Result<()> {
        self.record.network.unplug().await
    }

    /// Undoes [`Self::cut_network`]. Safe to repeat.
    ///
    /// # Errors
    /// If the host's `ip` fails.
    pub async fn heal_network(&self) -> Result<()> {
        self.record.network.plug_in().await
    }

    /// Runs a program inside as root, past SSH and the network. Whatever its exit status, its output is the
    /// result.
    ///
    /// # Errors
    /// If the machine is not running, or the program does not end within the testbed's command timeout.
    pub async fn exec(&self, argv: &[&str]) -> Result<Output> {
        let leader = self
            .supervisor
            .leader()
            .ok_or_else(|| TestbedError::NotRunning { name: self.name().to_string() })?;
        let target = format!("--target={leader}");
        let enter = [target.as_str(), "--all", "--root", "--wd", "--"];
        Call::new("nsenter", enter.iter().chain(argv))?
            .without_own_environment()
            .env("PATH", PATH_INSIDE)
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .output(self.run.command_timeout)
            .await
    }

    /// Waits until systemd has nothing more to start, and returns its word for the outcome: `running` or
    /// `degraded`, for instance.
    ///
    /// # Errors
    /// As [`Self::exec`].
    pub async fn settled(&self) -> Result<String> {
        let output = self.exec(&["systemctl", "is-system-running", "--wait"]).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Puts it away: processes, mounts, network, disk.
    ///
    /// # Errors
    /// What would not go away. The testbed tries once more when it is stopped.
    pub async fn remove(self) -> Result<()> {
        let (run, record) = (Arc::clone(&self.run), self.record.clone());
        blocking(move || teardown::machine(&run.folder, &record)).await
    }

    async fn kill(&self) -> Result<()> {
        let (record, ended) = (self.record.clone(), self.supervisor.release());
        blocking(move || process::kill_all(&record)).await?;
        drop(ended);
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !self.run.is_kept() {
            let ended = self.supervisor.release();
            put_away(&self.run, &self.record);
            drop(ended);
        }
    }
}

fn console_path(run: &Run, record: &MachineRecord) -> PathBuf {
    run.folder.machine(record.name.as_str()).join("console.log")
}

fn put_away(run: &Run, record: &MachineRecord) {
    if !run.is_kept()
        && let Err(error) = teardown::machine(&run.folder, record)
    {
        tracing::warn!("machine “{}”: {error}", record.name);
    }
}

/// A machine that is written down, but not furnished; dropped, what there is of it is put away.
struct Unfinished {
    run: Arc<Run>,
    record: MachineRecord,
    finished: bool,
}

impl Unfinished {
    fn finish(mut self, host_key: SshPublicKey) -> Machine {
        self.finished = true;
        let console = console_path(&self.run, &self.record);
        Machine {
            run: Arc::clone(&self.run),
            record: self.record.clone(),
            host_key,
            supervisor: Supervisor::new(self.record.clone(), console),
            changing: Mutex::new(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            put_away(&self.run, &self.record);
        }
    }
}

/// Does what blocks without holding up other tasks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(std::io::Error::other(error)).context(|| "cannot finish".to_owned()),
    }
}
