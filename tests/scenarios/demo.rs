//! The demo, and what README.md shows with it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use berth_tests::{programs, stage};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn the_demo_shows_everything_and_what_the_readme_does_with_it_works() -> Result<()> {
    if !stage::can_boot().await? {
        return Ok(());
    }
    // Of its own, so that a demo that somebody keeps on this host is left alone; the image is shared.
    let folder = Folder::new()?;
    let shown = folder.demo(&["--exit", "--yes", "--json"]).await?;
    all_answer(&shown)?;
    let kept = folder.demo(&["--keep", "--yes", "--json"]).await?;
    all_answer(&kept)?;
    let curl = readme(&kept).await;
    let stopped = folder.command(&["demo", "--stop"])?.output().await?;
    curl?;
    ensure!(stopped.status.success(), "{}", String::from_utf8_lossy(&stopped.stderr));
    let url = kept["url"].as_str().context("url")?;
    ensure!(reqwest::get(format!("{url}/healthz")).await.is_err(), "the daemon still answers");
    Ok(())
}

#[tokio::test]
async fn the_demo_moves_a_tenant_to_a_second_provider_and_all_of_it_arrives() -> Result<()> {
    if !stage::can_boot().await? {
        return Ok(());
    }
    let folder = Folder::new()?;
    let told = folder.demo(&["--migrate", "--exit", "--yes", "--json"]).await?;
    assert_eq!(told["everything_arrived"], true, "{told}");
    let services = told["services"].as_array().context("services")?;
    assert_eq!(services.len(), 3, "{told}");
    assert!(services.iter().all(|service| service["before"] == 20 && service["after"] == 20), "{told}");
    assert_eq!(told["migration"]["phase"], "live");
    assert_ne!(told["source_key"], told["target_key"]);
    // Whoever asks all the time sees that it is away, and for about as long as the source says.
    let (seen, said) = (&told["visitor"]["longest_gap_ms"], &told["downtime_ms"]);
    let (seen, said) = (seen.as_u64().context("a gap")?, said.as_u64().context("a downtime")?);
    assert!(
        said > 0 && seen > 0 && seen < said + 15_000,
        "a visitor saw {seen} ms, the source says {said} ms"
    );
    Ok(())
}

fn all_answer(shown: &Value) -> Result<()> {
    let services = shown["services"].as_array().context("services")?;
    let names: Vec<_> = services.iter().filter_map(|service| service["name"].as_str()).collect();
    assert_eq!(names, ["gitea", "mastodon", "peertube"]);
    assert!(services.iter().all(|service| service["status"] == 200), "{shown}");
    assert_eq!((&shown["machine"], &shown["tenant"]), (&Value::from("vm1"), &Value::from("acme")));
    Ok(())
}

/// Runs the commands that README.md shows with a kept demo.
async fn readme(kept: &Value) -> Result<()> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(readme)?;
    let (_, after) = text.split_once("<!-- tested with a kept demo -->\n```sh\n").context("no commands")?;
    let (commands, _) = after.split_once("```").context("no end")?;
    let scratch = tempfile::tempdir()?;
    let token = std::fs::read_to_string(kept["token_file"].as_str().context("token_file")?)?;
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", commands]).current_dir(scratch.path());
    bash.env("BERTH_URL", kept["url"].as_str().context("url")?).env("BERTH_TOKEN", token.trim());
    let output = bash.output().await?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("event: end") && told.contains("\"status\":\"succeeded\""), "{told}");
    assert!(
        told.contains("gitea.service") && !told.contains("mastodon-web.service"),
        "only Gitea restarts: {told}"
    );
    assert!(told.contains("/watch/"), "{told}");
    Ok(())
}

/// A home for the demo's state.
struct Folder {
    home: tempfile::TempDir,
}

impl Folder {
    fn new() -> Result<Self> {
        Ok(Self { home: tempfile::Builder::new().prefix("berth-demo-").tempdir()? })
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(programs::find("berth")?);
        command.args(arguments).env("XDG_CACHE_HOME", cache(self.home.path())?).stdin(Stdio::null());
        command.env("BERTH_AGENT", programs::find("berth-agent")?);
        Ok(command)
    }

    async fn demo(&self, options: &[&str]) -> Result<Value> {
        let output = self.command(&[&["demo"], options].concat())?.output().await?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "berth demo {options:?}: {told}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// A cache folder of the demo's own, in which the machine image is the usual one.
fn cache(home: &Path) -> Result<PathBuf> {
    let cache = home.join("cache");
    let usual = berth_testbed::image::default_cache()?;
    if !cache.exists() {
        std::fs::create_dir_all(cache.join("berth"))?;
        for entry in std::fs::read_dir(&usual).into_iter().flatten() {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("image-") {
                std::os::unix::fs::symlink(entry.path(), cache.join("berth").join(entry.file_name()))?;
            }
        }
    }
    Ok(cache)
}
