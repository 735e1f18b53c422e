//! A testbed: the machines that one process boots.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use berth_domain::MachineName;
use berth_domain::ssh::SshPublicKey;

use crate::error::Result;
use crate::image::{Image, default_cache};
use crate::machine::record::MachineRecord;
use crate::machine::{Disk, Machine, blocking};
use crate::run::{self, RunFolder};

/// Below which machines' disks are kept. Only root may write there, unlike in /tmp.
pub(crate) const DISKS_PARENT: &str = "/var/lib";

/// How a testbed is set up. The defaults fit a demo as well as tests.
#[derive(Debug, Clone)]
pub struct TestbedOptions {
    /// Where images are kept; `None` for [`default_cache`].
    pub cache: Option<PathBuf>,
    /// Where runs are written down.
    pub state: PathBuf,
    /// Where the machines' disks are; the file system must be fit for the upper side of an overlay.
    pub disks: PathBuf,
    /// The networks 10.77.N.0/24 to choose from.
    pub networks: RangeInclusive<u8>,
    /// How long a machine may take until SSH answers.
    pub boot_timeout: Duration,
    /// How long a program may run inside a machine by [`Machine::exec`].
    pub command_timeout: Duration,
}

impl Default for TestbedOptions {
    fn default() -> Self {
        Self {
            cache: None,
            state: "/run/berth-testbed".into(),
            disks: Path::new(DISKS_PARENT).join("berth-testbed"),
            networks: 1..=254,
            boot_timeout: Duration::from_secs(60),
            command_timeout: Duration::from_secs(120),
        }
    }
}

/// The machines of one run share its folder; whoever holds it last removes it.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) folder: RunFolder,
    pub(crate) networks: RangeInclusive<u8>,
    pub(crate) boot_timeout: Duration,
    pub(crate) command_timeout: Duration,
    kept: AtomicBool,
}

impl Run {
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.is_kept()
            && let Err(error) = self.folder.remove()
        {
            tracing::warn!("{}: {error}", self.folder.path.display());
        }
    }
}

/// Boots machines. When it and its machines are dropped, all of them are put away.
#[derive(Debug)]
pub struct Testbed {
    run: Arc<Run>,
    image: Image,
}

impl Testbed {
    /// Sets a testbed up: puts away what ended processes left behind, and builds the image if there is none.
    /// `on_line` gets the progress.
    ///
    /// # Errors
    /// If the image cannot be built or the run cannot be written down. Ask
    /// [`missing`](crate::prerequisites::missing) first: it says more clearly what a host lacks.
    pub async fn new(options: TestbedOptions, on_line: &mut (dyn FnMut(&str) + Send)) -> Result<Self> {
        if let Err(error) = Self::sweep(&options.state).await {
            tracing::warn!("what an earlier run left behind could not be put away: {error}");
        }
        let cache = options.cache.map_or_else(default_cache, Ok)?;
        let image = Image::ensure(&cache, on_line).await?;
        let run = Run {
            folder: RunFolder::create(&options.state, &options.disks).await?,
            networks: options.networks,
            boot_timeout: options.boot_timeout,
            command_timeout: options.command_timeout,
            kept: AtomicBool::new(false),
        };
        Ok(Self { run: Arc::new(run), image })
    }

    /// The run's folder, by which a later process finds a kept testbed.
    pub fn folder(&self) -> &Path {
        &self.run.folder.path
    }

    /// The image that machines are made of.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Boots a machine whose root may log in with a key, and waits until SSH answers. Several can be booted
    /// at once.
    ///
    /// # Errors
    /// If its name is taken, no network is free, or it does not come up; nothing of it is left then.
    pub async fn boot(&self, name: &MachineName, authorized_key: &SshPublicKey) -> Result<Machine> {
        self.boot_with(name, authorized_key, Disk::default()).await
    }

    /// Boots a machine with a disk of a certain size.
    ///
    /// # Errors
    /// As [`Self::boot`].
    pub async fn boot_with(
        &self,
        name: &MachineName,
        authorized_key: &SshPublicKey,
        disk: Disk,
    ) -> Result<Machine> {
        Machine::boot(&self.run, &self.image, name, authorized_key, disk).await
    }

    /// Lets the machines outlive this process: nothing is put away any more when dropped. [`Kept::attach`] to
    /// the folder stops them later. Once this process has ended, a machine that reboots by itself stays off.
    ///
    /// # Errors
    /// If it cannot be written down; then nothing has changed.
    pub fn keep(&self) -> Result<()> {
        self.run.folder.keep()?;
        self.run.kept.store(true, Ordering::Release);
        Ok(())
    }

    /// Puts all machines of the run away, also those that are still held.
    ///
    /// # Errors
    /// What would not go away; the next [`Self::sweep`] tries again.
    pub async fn stop(self) -> Result<()> {
        let folder = self.run.folder.clone();
        blocking(move || folder.remove()).await
    }

    /// Puts away what processes left behind that have ended without doing so. Kept testbeds stay. The result
    /// is how many were put away.
    ///
    /// # Errors
    /// What would not go away.
    pub async fn sweep(state: &Path) -> Result<usize> {
        run::sweep(state).await
    }
}

/// A testbed that outlives the process that made it.
#[derive(Debug)]
pub struct Kept {
    folder: RunFolder,
}

impl Kept {
    /// The kept testbeds of a host.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn list(state: &Path) -> Result<Vec<PathBuf>> {
        run::kept(state)
    }

    /// Finds one by its folder.
    ///
    /// # Errors
    /// If there is none.
    pub fn attach(folder: &Path) -> Result<Self> {
        Ok(Self { folder: RunFolder::open(folder)? })
    }

    /// Its machines.
    ///
    /// # Errors
    /// If a record cannot be read.
    pub fn machines(&self) -> Result<Vec<MachineRecord>> {
        self.folder.machines()
    }

    /// Puts it away with all its machines.
    ///
    /// # Errors
    /// What would not go away; it can be tried again.
    pub async fn stop(self) -> Result<()> {
        blocking(move || self.folder.remove()).await
    }
}
