//! Vaults, and machines that bring state there, that exist only in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use std::sync::Arc;

use async_trait::async_trait;
use berth_domain::{CapturedService, ServiceName, VaultId};
use berth_engine::StepError;
use berth_engine::error::AGENT_FAILED;
use berth_engine::ports::{Admission, Bounds, FarVault, Sink, VaultAccess, Vaults, Way, Writing};
use berth_protocol::{
    Capture, Captured, Fingerprint, Pass, Repository, RestorePart, RestoredAhead, SecretsPart,
    ServiceCapture, TenantFile, tenant_file,
};
use berth_vault::object::Key;
use berth_vault::{Author, Title};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;
use serde_json::json;

/// What happens to vaults, and what machines did with them.
#[derive(Default)]
pub struct FakeState {
    /// The services that fail in each of the next passes.
    pub failing: Mutex<VecDeque<Vec<&'static str>>>,
    /// What was asked of machines: a pass or a restore, and where the repository was.
    pub done: Mutex<Vec<String>>,
    /// What has been restored ahead; nothing as by a machine whose restic is too old for it.
    pub ahead: Mutex<Option<RestoredAhead>>,
    /// How many admissions are open.
    pub admitted: AtomicUsize,
    /// The access that each admission was for.
    pub accesses: Mutex<Vec<VaultAccess>>,
    /// Where the dumps in every snapshot lead, as a machine could make them, in place of being dumps.
    pub dumps_lead_to: Mutex<Option<PathBuf>>,
    /// What was made.
    pub vaults_made: Mutex<Vec<VaultId>>,
    /// Whether restic snapshots have a number before their name.
    pub numbered: Mutex<bool>,
    /// A secret that machines made of chance, by its service and name, in place of the usual one; or why it cannot be read.
    pub made: Mutex<Option<Result<(&'static str, &'static str), &'static str>>>,
    /// The tenants' own parts of snapshots.
    pub files: Mutex<Vec<TenantFile>>,
    /// Whether restic itself has made every vault.
    pub foreign: AtomicBool,
    /// Whether the next own part finds no room.
    pub full: Mutex<bool>,
    /// The secrets that were asked for with each restore.
    pub secrets: Mutex<Vec<Option<SecretsPart>>>,
    /// What was forgotten, once for each time.
    pub pruned: Mutex<Vec<BTreeSet<String>>>,
    /// What forgetting does: nothing else, wait until it is interrupted, or fail.
    pub pruning: Mutex<Pruning>,
    /// What this host wrote into vaults itself.
    pub written: Mutex<Vec<Key>>,
    /// The secrets that machines were given of a tenant's former place: `SERVICE/NAME=VALUE`.
    pub adopted: Mutex<Vec<String>>,
    /// What machines say that is there; what the services have of themselves without it.
    pub fingerprint: Mutex<Option<Fingerprint>>,
    /// The services whose part of a snapshot cannot be read.
    pub damaged: Mutex<BTreeSet<&'static str>>,
    /// The names of each service's buckets, as machines tell them.
    pub buckets: Mutex<BTreeMap<&'static str, Vec<String>>>,
    /// What was needed by others, whenever something was forgotten.
    pub needed: Mutex<Vec<BTreeSet<String>>>,
    /// The restic snapshots that vaults hold, as far as a test says.
    pub held: Mutex<BTreeSet<String>>,
    /// What was destroyed.
    pub destroyed: Mutex<Vec<VaultId>>,
}

/// What forgetting does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pruning {
    #[default]
    Works,
    Waits,
    Fails,
}

/// Where every vault is.
pub const ADDRESS: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7));

impl FakeState {
    pub fn capture(&self, pass: Pass, repository: &Repository) -> Capture {
        assert!(self.admitted.load(Ordering::Relaxed) > 0, "nobody let the machine in");
        self.done.lock().unwrap().push(format!("{} {}", pass.word(), repository.url));
        let failing = self.failing.lock().unwrap().pop_front().unwrap_or_default();
        let of = |service: &str| match failing.contains(&service) {
            true => ServiceCapture::Failed { message: "it is sick".into() },
            false => ServiceCapture::Captured(Captured {
                snapshot: Some(self.name(pass, service)),
                bytes_added: 10,
                bytes_total: 100,
                files_total: 3,
                databases: vec![service.to_owned()],
                replicas: Vec::new(),
                data_version: Some("1.2".into()),
                quiet_ms: 5,
                left_out: Vec::new(),
                buckets: self.buckets.lock().unwrap().get(service).cloned().unwrap_or_default(),
                not_started: Vec::new(),
                fingerprint: None,
            }),
        };
        let services = ["gitea", "mastodon"].map(|service| (service.parse().unwrap(), of(service)));
        Capture { services: BTreeMap::from(services) }
    }

    /// What a restic snapshot is called: the same of every operation, unless a test tells them apart.
    fn name(&self, pass: Pass, service: &str) -> String {
        let made = self.done.lock().unwrap().iter().filter(|done| done.starts_with("quiesced")).count();
        match *self.numbered.lock().unwrap() {
            true => format!("{made}-{}-of-{service}", pass.word()),
            false => format!("{}-of-{service}", pass.word()),
        }
    }

    pub fn restore(&self, parts: &[RestorePart], secrets: Option<SecretsPart>) -> Result<(), StepError> {
        self.secrets.lock().unwrap().push(secrets);
        let damaged = self.damaged.lock().unwrap();
        if let Some(part) = parts.iter().find(|part| damaged.contains(part.service.as_str())) {
            return Err(StepError::failed(AGENT_FAILED, format!("a pack of {} is damaged", part.service)));
        }
        let parts: Vec<_> = parts.iter().map(|part| format!("{}={}", part.service, part.snapshot)).collect();
        self.done.lock().unwrap().push(format!("restore {}", parts.join(" ")));
        Ok(())
    }
}

pub struct FakeWay;

impl Way for FakeWay {
    fn port(&self) -> u16 {
        4242
    }
}

pub struct FakeVaults(pub Arc<FakeState>);

#[async_trait]
impl Vaults for FakeVaults {
    async fn make(&self, vault: VaultId, _: &SecretString) -> Result<(), StepError> {
        self.0.vaults_made.lock().unwrap().push(vault);
        Ok(())
    }

    async fn admit(&self, vault: VaultId, access: VaultAccess) -> Result<Admission, StepError> {
        self.0.admitted.fetch_add(1, Ordering::Relaxed);
        self.0.accesses.lock().unwrap().push(access);
        let end = Box::new(Leaves(Arc::clone(&self.0)));
        Ok(Admission { address: ADDRESS, path: format!("/vault/{vault}/"), token: "token".into(), end })
    }

    async fn admit_far(&self, _: &FarVault) -> Result<Admission, StepError> {
        Err(StepError::failed("absent", "there is no other provider here"))
    }

    async fn snapshots(&self, _: VaultId) -> Result<BTreeSet<String>, StepError> {
        Ok(self.0.held.lock().unwrap().clone())
    }

    async fn tags(
        &self,
        _: VaultId,
        _: &SecretString,
        _: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Vec<String>>, StepError> {
        Ok(BTreeMap::new())
    }

    async fn merge(&self, _: VaultId, _: &SecretString) -> Result<(), StepError> {
        Ok(())
    }

    async fn complete(&self, _: VaultId, _: &SecretString, id: &str) -> Result<String, StepError> {
        Ok(id.to_owned())
    }

    async fn read_out(
        &self,
        _: VaultId,
        _: &SecretString,
        snapshot: &str,
        into: &Path,
        _: &Bounds,
    ) -> Result<(), StepError> {
        let service = snapshot.rsplit('-').next().unwrap();
        let staging = into.join("var/lib/berth/capture/01a2159e-6c1d-7c51-8e29-35d3f5c1e0aa").join(service);
        std::fs::create_dir_all(staging.join("databases")).unwrap();
        let dump = staging.join(format!("databases/{service}.dump"));
        match &*self.0.dumps_lead_to.lock().unwrap() {
            Some(target) => std::os::unix::fs::symlink(target, dump).unwrap(),
            None => std::fs::write(dump, format!("{service} dumped")).unwrap(),
        }
        let told = json!({
            "format": 1,
            "service": service,
            "databases": { service: {} },
            "directories": [
                { "path": format!("/var/lib/{service}"), "present": true },
                { "path": "/var/lib/absent", "present": false },
            ],
            "owners": { "users": { "4711": service }, "groups": {} },
        });
        std::fs::write(staging.join("snapshot.json"), told.to_string()).unwrap();
        std::fs::create_dir_all(into.join("var/lib").join(service)).unwrap();
        std::fs::write(into.join("var/lib").join(service).join("a file"), snapshot).unwrap();
        Ok(())
    }

    async fn write(
        &self,
        _: VaultId,
        key: &SecretString,
        work: Writing,
    ) -> Result<BTreeMap<ServiceName, CapturedService>, StepError> {
        let state = Arc::clone(&self.0);
        let emit = Box::new(move |key, _| {
            state.written.lock().unwrap().push(key);
            Ok(())
        });
        let mut author = Author::of(key, emit);
        tokio::task::spawn_blocking(move || work(&mut author)).await.unwrap()
    }

    async fn keep_file(
        &self,
        _: VaultId,
        _: &SecretString,
        title: Title,
        path: &str,
        content: Zeroizing<Vec<u8>>,
    ) -> Result<Option<String>, StepError> {
        let restic = format!("own-part-of-{}", title.tags[0]);
        if self.0.foreign.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if std::mem::take(&mut *self.0.full.lock().unwrap()) {
            return Err(StepError::failed("vault-failed", "the disk is full"));
        }
        assert_eq!((path, title.tags[1].as_str()), (tenant_file::PATH, tenant_file::TAG));
        let file = TenantFile::parse(std::str::from_utf8(&content).unwrap()).unwrap();
        self.0.files.lock().unwrap().push(file);
        Ok(Some(restic))
    }

    async fn prune(
        &self,
        _: VaultId,
        _: &SecretString,
        snapshots: &BTreeSet<String>,
        needed: &BTreeSet<String>,
        bounds: &Bounds,
        _: &Sink,
    ) -> Result<u64, StepError> {
        self.0.needed.lock().unwrap().push(needed.clone());
        self.0.pruned.lock().unwrap().push(snapshots.clone());
        let pruning = || *self.0.pruning.lock().unwrap();
        while pruning() == Pruning::Waits {
            if bounds.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        match pruning() {
            Pruning::Fails => Err(StepError::failed("prune-failed", "restic prune: the disk is full")),
            _ => Ok(snapshots.len() as u64 * 10),
        }
    }

    async fn destroy(&self, vault: VaultId) -> Result<(), StepError> {
        self.0.destroyed.lock().unwrap().push(vault);
        self.0.held.lock().unwrap().clear();
        Ok(())
    }
}

struct Leaves(Arc<FakeState>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}
