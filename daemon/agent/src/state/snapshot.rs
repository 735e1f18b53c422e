//! `snapshot.json`: what a service's snapshot says of itself, beside the dumps of its databases.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use berth_domain::manifest::{DataVersion, Directory, ServiceManifest};
use berth_domain::{ServiceName, Timestamp};
use berth_protocol::{Failure, FailureCode, Pass};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::replica::Last;
use crate::failure::{Result, failure, io};
use crate::places::CAPTURE;
use crate::postgres::copy::Properties;

/// The format that this agent writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 2;

/// The format of one that has a dump of each database.
pub(super) const WITH_DUMPS: u32 = 1;

/// The file's name.
const FILE: &str = "snapshot.json";

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// The format of this file and of the files beside it.
    pub(super) format: u32,
    pub(super) tenant: Option<String>,
    pub(super) service: ServiceName,
    /// The pass in which it was made, in one word. One of a live pass cannot be brought back.
    pub(super) pass: String,
    /// When.
    pub(super) at: Timestamp,
    pub(super) agent_version: String,
    pub(super) data_version: Option<DataVersion>,
    /// By name; each is in `databases/NAME.dump`, unless it is among the next.
    pub(super) databases: BTreeMap<String, Properties>,
    /// Those of which it has no dump: what changed last is in `databases/NAME.changes`, and large objects in `databases/NAME.objects`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) replicas: BTreeMap<String, Last>,
    pub(super) directories: Vec<Captured>,
    pub(super) owners: Owners,
}

/// A directory that was captured, as the contract declared it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Captured {
    #[serde(flatten)]
    pub(super) declared: Directory,
    /// Whether it existed.
    pub(super) present: bool,
}

/// Whose numbers the files' owners and groups were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owners {
    pub(super) users: BTreeMap<u32, String>,
    pub(super) groups: BTreeMap<u32, String>,
}

/// The folder in which all this is written down for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Staging {
    folder: PathBuf,
}

impl Staging {
    pub(super) fn of(operation: Uuid, service: &ServiceName) -> Self {
        Self { folder: Path::new(CAPTURE).join(operation.to_string()).join(service.as_str()) }
    }

    /// That of another machine's operation, among the paths of a snapshot.
    pub(super) fn among(paths: &[String], service: &ServiceName) -> Option<Self> {
        let is_one = |path: &&String| {
            let inside = Path::new(path.as_str()).strip_prefix(CAPTURE).ok();
            let mut parts =
                inside.into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str());
            let operation = parts.next().and_then(|operation| operation.parse::<Uuid>().ok());
            operation.is_some() && parts.next() == Some(service.as_str()) && parts.next().is_none()
        };
        paths.iter().find(is_one).map(|path| Self { folder: path.into() })
    }

    /// The same, as it stands below a folder that it was restored into.
    pub(super) fn below(&self, root: &Path) -> Self {
        Self { folder: root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder)) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    pub(super) fn dump(&self, database: &str) -> PathBuf {
        self.of_database(database, "dump")
    }

    /// What has changed in a database.
    pub(super) fn changes(&self, database: &str) -> PathBuf {
        self.of_database(database, "changes")
    }

    /// The large objects of a database of which only that is told.
    pub(super) fn objects(&self, database: &str) -> PathBuf {
        self.of_database(database, "objects")
    }

    fn of_database(&self, database: &str, kind: &str) -> PathBuf {
        self.folder.join("databases").join(format!("{database}.{kind}"))
    }

    /// Removes what was written of a database that is begun anew, or dumped after all.
    pub(super) fn forget(&self, database: &str) {
        for path in [self.dump(database), self.changes(database), self.objects(database)] {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Makes the folder, which nobody but root can enter, unless it is there.
    pub(super) fn make_room(&self) -> Result<()> {
        let databases = self.folder.join("databases");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&databases);
        made.map_err(io(format!("cannot make {}", databases.display())))
    }
}

impl Snapshot {
    /// Reads the file's text.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let format = serde_json::from_str::<serde_json::Value>(text).ok();
        let format = format.and_then(|value| value.get("format")?.as_u64());
        match format {
            Some(format) if format <= u64::from(FORMAT) => {}
            Some(format) => {
                return Err(mismatch(format!("it is of format {format}, and this agent knows {FORMAT}")));
            }
            None => return Err(mismatch("it does not say of which format it is")),
        }
        serde_json::from_str(text).map_err(|error| mismatch(error.to_string()))
    }

    /// Refuses what the target cannot take as it is: newer data, another service's, more or less than it knows.
    pub(super) fn check(&self, service: &ServiceName, target: &ServiceManifest) -> Result<()> {
        if self.service != *service {
            return Err(mismatch(format!("it is of {} and not of {service}", self.service)));
        }
        if self.pass == Pass::Live.word() {
            return Err(mismatch(format!("{service} was not quiet while it was made")));
        }
        if let (Some(found), Some(version)) = (&self.data_version, &target.data_version)
            && found > version
        {
            let message = format!(
                "the snapshot's data of {service} is of version {found}, and this system's {service} only reads it up to {version}"
            );
            return Err(failure(FailureCode::DataNewer, message));
        }
        let has = self.databases.keys().map(String::as_str);
        same("database", has, target.state.databases.iter().map(String::as_str))?;
        let has = self.directories.iter().map(|directory| directory.declared.path.as_str());
        same("directory", has, target.state.directories.iter().map(|directory| directory.path.as_str()))
    }
}

fn same<'a>(
    what: &str,
    has: impl Iterator<Item = &'a str> + Clone,
    wanted: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    if let Some(name) = has.clone().find(|name| !wanted.clone().any(|known| known == *name)) {
        return Err(mismatch(format!("it holds the {what} {name}, which this system does not know")));
    }
    if let Some(name) = wanted.clone().find(|name| !has.clone().any(|known| known == *name)) {
        return Err(mismatch(format!("it lacks the {what} {name}")));
    }
    Ok(())
}

/// A snapshot that cannot be brought back here.
pub(super) fn mismatch(message: impl Into<String>) -> Failure {
    failure(FailureCode::StateMismatch, format!("the snapshot does not fit: {}", message.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn target(version: &str) -> ServiceManifest {
        let directory = json!({ "path": "/var/lib/web", "owner": "web", "group": "web", "mode": "0750" });
        serde_json::from_value(
            json!({ "title": "Web", "url": "http://web.acme.example", "units": [], "probes": [],
            "data_version": version, "state": { "databases": ["web"], "directories": [directory] } }),
        )
        .unwrap()
    }

    fn snapshot() -> Snapshot {
        let properties = json!({ "owner": "web", "encoding": "UTF8", "collate": "C", "ctype": "C", "provider": "c", "bytes": 1 });
        let directory = json!({ "path": "/var/lib/web", "owner": "www", "group": "www", "mode": "0700", "present": true });
        let text = json!({ "format": 1, "tenant": "acme", "service": "web", "pass": "quiesced",
            "at": "2026-01-01T00:00:00Z", "agent_version": "0.1.0", "data_version": "4.3",
            "databases": { "web": properties }, "directories": [directory],
            "owners": { "users": { "990": "www" }, "groups": {} } });
        Snapshot::parse(&text.to_string()).unwrap()
    }

    #[test]
    fn newer_data_and_what_the_target_does_not_know_or_misses_is_refused() {
        let web: ServiceName = "web".parse().unwrap();
        let code = |snapshot: &Snapshot, version| {
            snapshot.check(&web, &target(version)).err().map(|failure| failure.code)
        };
        assert_eq!(code(&snapshot(), "4.3"), None);
        assert_eq!(code(&snapshot(), "4.2"), Some(FailureCode::DataNewer));
        let changes: [fn(&mut Snapshot); 5] = [
            |snapshot| snapshot.service = "other".parse().unwrap(),
            |snapshot| snapshot.pass = "live".into(),
            |snapshot| snapshot.databases.clear(),
            |snapshot| snapshot.directories.clear(),
            |snapshot| {
                let more = snapshot.databases["web"].clone();
                snapshot.databases.insert("more".into(), more);
            },
        ];
        for change in changes {
            let mut snapshot = snapshot();
            change(&mut snapshot);
            assert_eq!(code(&snapshot, "4.3"), Some(FailureCode::StateMismatch), "{snapshot:?}");
        }
        assert_eq!(snapshot().owners.users[&990], "www");
    }

    #[test]
    fn a_newer_format_is_refused_and_said_to_be_one() {
        let failure = Snapshot::parse(r#"{"format":3,"what":"ever"}"#).unwrap_err();
        assert!(failure.message.contains("format 3"), "{failure}");
        assert!(Snapshot::parse("{}").is_err() && Snapshot::parse("x").is_err());
    }

    #[test]
    fn the_staging_folder_of_another_operation_is_known_among_a_snapshots_paths() {
        let web: ServiceName = "web".parse().unwrap();
        let operation = Uuid::now_v7();
        let own = Staging::of(operation, &web).folder().display().to_string();
        let found = Staging::among(&["/var/lib/web".into(), own.clone()], &web).unwrap();
        assert_eq!(found.folder(), Path::new(&own));
        assert_eq!(
            found.below(Path::new("/x")).dump("web"),
            PathBuf::from(format!("/x{own}/databases/web.dump"))
        );
        let others = [
            format!("{own}/deeper"),
            format!("{CAPTURE}/x/web"),
            own.replace("/web", "/other"),
            "/etc".into(),
        ];
        assert_eq!(Staging::among(&others, &web), None);
    }
}
