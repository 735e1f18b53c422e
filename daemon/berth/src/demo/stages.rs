//! What is shown while the demo comes up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use berth_client::Client;
use berth_domain::MachineName;
use berth_testbed::{Machine, Testbed, TestbedOptions};
use chrono::Utc;

use super::daemon::Daemon;
use super::folder::DemoFolder;
use super::stage::Stage;
use super::tenant;
use crate::failure::{Failure, Result};
use crate::progress::{Board, Mark};

/// The demo's stages, each a row. Cheap to clone: several can be under way at once.
#[derive(Debug, Clone)]
pub(super) struct Stages {
    board: Arc<Mutex<Board>>,
}

/// What a stage has to say when it is done.
pub(super) trait Said {
    fn said(&self) -> String;

    /// Whether it is what one hoped for.
    fn is_good(&self) -> bool {
        true
    }
}

impl Stages {
    pub(super) fn new() -> Self {
        Self { board: Arc::new(Mutex::new(Board::new())) }
    }

    /// Does the work of a stage and shows how it ends.
    pub(super) async fn stage<T: Said>(
        &self,
        row: &str,
        doing: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.board().start(row, Utc::now(), doing);
        let outcome = work.await;
        let (mark, text) = match &outcome {
            Ok(done) if done.is_good() => (Mark::Done, done.said()),
            Ok(done) => (Mark::Failed, done.said()),
            Err(_) => (Mark::Failed, String::new()),
        };
        self.board().finish(row, Utc::now(), mark, &text);
        outcome
    }

    /// What is being done in a stage.
    pub(super) fn say(&self, row: &str, text: &str) {
        self.board().say(row, Utc::now(), text);
    }

    /// Something that did not work as it should.
    pub(super) fn note(&self, text: &str) {
        self.board().note(Utc::now(), text);
    }

    /// Starts the daemon and boots the machine that it may log in to.
    pub(super) async fn set_up(self) -> Result<Stage> {
        let folder = DemoFolder::create()?;
        let (daemon, testbed) = tokio::try_join!(self.daemon(&folder), self.testbed())?;
        let client = daemon.client()?;
        let machine = self.machine("machine", &testbed, &client, tenant::machine_name()?).await?;
        let stage = Stage { client, daemon, machine, testbed, folder };
        self.stage("tenant", "registering the machine, creating the tenant", tenant::create(&stage)).await?;
        Ok(stage)
    }

    /// Boots a machine that a daemon may log in to.
    pub(super) async fn machine(
        &self,
        row: &str,
        testbed: &Testbed,
        client: &Client,
        name: MachineName,
    ) -> Result<Machine> {
        let key = client.provider().await?.ssh_public_key.parse().map_err(tenant::refused)?;
        let booting =
            async { testbed.boot(&name, &key).await.map_err(|error| Failure::local(error.to_string())) };
        self.stage(row, "booting", booting).await
    }

    pub(super) async fn daemon(&self, folder: &DemoFolder) -> Result<Daemon> {
        self.stage("daemon", "starting", Daemon::start(folder.path())).await
    }

    async fn testbed(&self) -> Result<Testbed> {
        let mut say = |line: &str| self.say("image", line);
        let work = async {
            let testbed = Testbed::new(TestbedOptions::default(), &mut say).await;
            testbed.map_err(|error| Failure::local(format!("the machine image cannot be had: {error}")))
        };
        self.stage("image", "looking for the machine image", work).await
    }

    /// A poisoned lock is as good as another: a row more or less does no harm.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said for Daemon {
    fn said(&self) -> String {
        format!("{}, on SQLite", self.url().unwrap_or_default())
    }
}

impl Said for Testbed {
    fn said(&self) -> String {
        "Debian with systemd, SSH and Nix".to_owned()
    }
}

impl Said for Machine {
    fn said(&self) -> String {
        format!("{} at {}, SSH answers", self.name(), self.address())
    }
}

impl Said for berth_contract::Tenant {
    fn said(&self) -> String {
        let services: Vec<_> = self.urls.keys().map(ToString::to_string).collect();
        format!("{} on {}: {}", self.spec.name, self.spec.machine, services.join(", "))
    }
}
