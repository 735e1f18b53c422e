//! The folder's files, read by the real Nix as data.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use berth_domain::revision::Files;
use berth_nix::data::{Data, MAX_TEXT};
use berth_nix::{Nix, NixError, Run};
use serde_json::Value;

use super::{Obstacle, place};
use crate::failure::{Failure, Result};

pub(super) const FLAKE: &str = "flake.nix";
pub(super) const TENANT: &str = "tenant.nix";
pub(super) const MACHINE: &str = "machine.nix";

/// How long reading a file may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How many obstacles of one file are listed.
const LISTED: usize = 50;

/// The three files that matter, and the names of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    flake: Option<String>,
    tenant: String,
    machine: String,
    pub(super) others: Vec<String>,
}

/// What the files hold: `berth.tenant` and `berth.machine`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    pub(super) tenant: Value,
    pub(super) machine: Value,
}

impl Folder {
    /// Reads a folder.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let unreadable =
            |error: std::io::Error| Failure::local(format!("{} cannot be read: {error}", folder.display()));
        let mut others: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
            let ours = [FLAKE, TENANT, MACHINE, "flake.lock"].contains(&name.as_str());
            if !ours && !name.starts_with('.') {
                others.push(name);
            }
        }
        others.sort();
        let flake = folder.join(FLAKE);
        let flake = if flake.exists() { Some(text(&flake)?) } else { None };
        Ok(Self { flake, tenant: text(&folder.join(TENANT))?, machine: text(&folder.join(MACHINE))?, others })
    }

    /// A configuration as the daemon renders it.
    pub(super) fn of(files: &Files) -> Self {
        let text = |name| files.get(name).cloned().unwrap_or_default();
        Self {
            flake: files.get(FLAKE).cloned(),
            tenant: text(TENANT),
            machine: text(MACHINE),
            others: Vec::new(),
        }
    }

    /// What it holds, as far as that is data.
    pub(super) async fn data(&self, nix: &Nix, obstacles: &mut Vec<Obstacle>) -> Result<Held> {
        Ok(Held {
            tenant: held(nix, TENANT, &self.tenant, "tenant", obstacles).await?,
            machine: held(nix, MACHINE, &self.machine, "machine", obstacles).await?,
        })
    }

    /// A flake that was edited holds what no specification could. Another platform's reference is the provider's to choose, and
    /// differs for every older revision.
    pub(super) fn check_flake(&self, current: &Self, obstacles: &mut Vec<Obstacle>) {
        let without_platform = |flake: &String| {
            let lines = flake.lines().filter(|line| !line.trim_start().starts_with("inputs.berth.url"));
            lines.map(str::trim_end).collect::<Vec<_>>().join("\n")
        };
        let (own, theirs) =
            (self.flake.as_ref().map(without_platform), current.flake.as_ref().map(without_platform));
        if own.is_some() && own != theirs {
            obstacles.push(Obstacle {
                file: FLAKE.into(),
                attribute: String::new(),
                message: "it was edited; what a flake adds has no place in a tenant’s specification".into(),
            });
        }
    }
}

/// The text of a file; not of a pipe or a device, which may have no end.
fn text(path: &Path) -> Result<String> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::local(format!("{} cannot be read: {error}", path.display()));
    if !std::fs::metadata(path).map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&"it is no file"));
    }
    let file = File::open(path).map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    file.take(MAX_TEXT as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() > MAX_TEXT {
        return Err(failed(&format_args!("it is longer than {} KiB", MAX_TEXT / 1024)));
    }
    String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))
}

/// What a file holds below `berth.ATTRIBUTE`. Everything else in it is an obstacle.
async fn held(
    nix: &Nix,
    file: &str,
    text: &str,
    attribute: &str,
    obstacles: &mut Vec<Obstacle>,
) -> Result<Value> {
    let obstacle = |attribute, message| Obstacle { file: file.into(), attribute, message };
    let data = match nix.read_data(text, &Run::within(LIMIT)).await {
        Ok(data) => data,
        Err(
            error @ (NixError::EvaluationFailed { .. }
            | NixError::Timeout { .. }
            | NixError::BadArgument { .. }),
        ) => {
            obstacles.push(obstacle(String::new(), error.to_string()));
            return Ok(Value::Null);
        }
        Err(error) => return Err(Failure::local(format!("{file} cannot be evaluated: {error}"))),
    };
    let (value, mut found) = sorted(data, attribute);
    let more = found.len().saturating_sub(LISTED);
    found.truncate(LISTED);
    obstacles.extend(found.into_iter().map(|(attribute, message)| obstacle(attribute, message)));
    if more > 0 {
        obstacles.push(obstacle(String::new(), format!("and {more} more")));
    }
    Ok(value)
}

/// The value below `berth.ATTRIBUTE`, and what is in its way.
fn sorted(data: Data, attribute: &str) -> (Value, Vec<(String, String)>) {
    let (value, others) = data.below(&["berth", attribute]);
    (value, others.into_iter().map(|(at, why)| (place::written(&at), why)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_nix::data::Step;
    use serde_json::json;

    #[test]
    fn leaves_become_the_value_that_they_were() {
        let name = |text: &str| Step::Name(text.to_owned());
        let at = |rest: &[Step]| [&[name("berth"), name("tenant")], rest].concat();
        let data = Data {
            leaves: vec![
                (at(&[name("name")]), json!("acme")),
                (at(&[name("keys"), Step::Item(0), name("a")]), json!(1)),
                (at(&[name("keys"), Step::Item(0), name("b")]), json!(2)),
                (at(&[name("keys"), Step::Item(1)]), json!([])),
                (vec![name("services"), name("x")], json!(true)),
            ],
            rest: vec![(at(&[name("f")]), "it is a function".into())],
        };
        let (value, found) = sorted(data, "tenant");
        assert_eq!(value, json!({"name": "acme", "keys": [{"a": 1, "b": 2}, []]}));
        assert_eq!(found[0], ("berth.tenant.f".into(), "it is a function".into()));
        assert_eq!(found[1].0, "services.x");
    }

    #[test]
    fn a_pipe_a_folder_and_a_huge_file_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MACHINE), "{ }").unwrap();
        let tenant = folder.path().join(TENANT);
        let refused = |what: &str| {
            let error = Folder::read(folder.path()).unwrap_err().to_string();
            assert!(error.contains("tenant.nix cannot be read") && error.contains(what), "{error}");
        };
        refused("No such file");
        std::fs::create_dir(&tenant).unwrap();
        refused("no file");
        std::fs::remove_dir(&tenant).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &tenant).unwrap();
        refused("no file");
        std::fs::remove_file(&tenant).unwrap();
        std::fs::write(&tenant, vec![b' '; MAX_TEXT + 1]).unwrap();
        refused("longer than 256 KiB");
        std::fs::write(&tenant, [0xff]).unwrap();
        refused("not UTF-8");
    }
}
