//! The real Gitea instead of its stand-in: what its users have made is all there after a move to another provider.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use berth_domain::{MovePhase, TenantDraft};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::{settings, tenant};
use berth_tests::flake::rehearsal;
use berth_tests::gitea::site::Site;
use berth_tests::gitea::writer::{Writer, Written};
use berth_tests::gitea::{call, find, platform, printed};
use berth_tests::moving;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const HOST: &str = "git.acme.example";
const REPOSITORY: &str = "/repos/ann/garden";

/// Nothing that anybody would guess, and nothing that a form would have to escape.
const PASSWORD: &str = "correct-horse-battery-9";

/// How long either side of a move may take.
const PATIENCE: Duration = Duration::from_secs(400);

/// How long what Gitea does by and by may take.
const BY_AND_BY: Duration = Duration::from_secs(60);

/// A provider whose platform has a Gitea.
struct Provider {
    stage: Stage,
    _platform: TempDir,
}

impl Provider {
    async fn set_up(rehearsal: &Path, gitea: &Path, note: &str) -> Result<Option<Self>> {
        let folder = platform(rehearsal, gitea, note)?;
        let reference = Some(format!("path:{}", folder.path().display()));
        let options = DaemonOptions { platform: reference, ..DaemonOptions::default() };
        let stage = Stage::set_up_with(options).await?;
        Ok(stage.map(|stage| Self { stage, _platform: folder }))
    }
}

/// What somebody made at a Gitea, and by what they are known there.
struct Made {
    token: String,
    cookie: String,
    attachment: String,
    /// Of the clone: a file of text and a large one.
    head: String,
}

const PICTURE: &[u8] = b"\x89PNG\r\n\x1a\nnot really a picture\0\xff";

/// A large file, as bytes that do not compress into nothing.
fn large() -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| dice.u8(..)).take(300_000).collect()
}

#[tokio::test]
async fn a_real_gitea_moves_with_repositories_issues_files_webhooks_and_everybody_stays_signed_in()
-> Result<()> {
    let Some(gitea) = find() else { return Ok(()) };
    let rehearsal = rehearsal().await?;
    // The two packages are not at the same place, so that whatever names the old one breaks.
    let Some(source) = Provider::set_up(&rehearsal, &gitea, "the source's").await? else { return Ok(()) };
    let Some(target) = Provider::set_up(&rehearsal, &gitea, "the target's").await? else { return Ok(()) };
    let (old, new) = (source.stage.machine("old").await?, target.stage.machine("new").await?);
    let services = BTreeMap::from([("gitea".to_owned(), settings(json!({ "app_name": "Acme Git" })))]);
    source.stage.deployed(&TenantDraft { services, ..tenant("acme", "old") }).await?;

    let scratch = tempfile::tempdir()?;
    let made = make(&old, scratch.path()).await?;
    let before = Site::new(old.address(), HOST, &made.token)?;
    let version = before.get("/version").await?;
    assert_eq!(version["version"], "1.26.0");
    let secrets = secrets(&old).await?;
    let package = package(&old).await?;

    let writer = Writer::begin(before.clone(), "ann/garden");
    move_it(&source.stage, &target.stage, &new).await?;
    // The old machine passes on, so that whoever writes need not know.
    sleep(Duration::from_secs(2)).await;
    let written = writer.end().await?;
    println!("{} commits meanwhile; nobody was served for {:?}", written.commits.len(), written.longest_gap);

    let after = Site::new(new.address(), HOST, &made.token)?;
    assert_eq!(after.get("/version").await?, version);
    assert_ne!(self::package(&new).await?, package, "the test needs two packages");
    assert_eq!(self::secrets(&new).await?, secrets, "no secret was made anew");
    find_all(&after, &made).await?;
    find_commits(&after, scratch.path(), &made, &written).await?;
    hooks_name_what_is_there(&new).await?;
    push_once_more(&after, scratch.path()).await?;
    Ok(())
}

/// Accounts, a repository with a large file, an issue with a comment and an attachment, a webhook, a key, a session.
async fn make(machine: &Machine, scratch: &Path) -> Result<Made> {
    for (user, more) in [("ann", Some("--admin")), ("bob", None)] {
        let email = format!("{user}@acme.example");
        let mut words = vec!["admin", "user", "create", "--must-change-password=false", "--username", user];
        words.extend(["--email", &email, "--password", PASSWORD]);
        words.extend(more);
        call(machine, &words).await?;
    }
    let token = token(machine, "ann").await?;
    let site = Site::new(machine.address(), HOST, &token)?;
    site.post("/user/repos", json!({ "name": "garden", "default_branch": "main" })).await?;
    let head = push(&site, &scratch.join("first"))?;

    let issue = format!("{REPOSITORY}/issues");
    site.post(&issue, json!({ "title": "Slugs", "body": "They eat the lettuce." })).await?;
    let attachment = site.attach(&format!("{issue}/1"), "slug.png", PICTURE).await?;
    let bob = Site::new(machine.address(), HOST, &self::token(machine, "bob").await?)?;
    bob.post(&format!("{issue}/1/comments"), json!({ "body": "Beer traps help." })).await?;

    // The header is kept encrypted with SECRET_KEY.
    let hook = json!({
        "type": "gitea", "events": ["push"], "active": false, "authorization_header": "Bearer of news",
        "config": { "url": "http://ci.acme.example/hook", "content_type": "json", "secret": "between us" },
    });
    site.post(&format!("{REPOSITORY}/hooks"), hook).await?;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGWdXrNuQQ2w8V5CIfnUhFmpRTmhOXFE+G3wXWm0YWnj";
    site.post("/user/keys", json!({ "title": "laptop", "key": key })).await?;

    let cookie = site.sign_in("ann", PASSWORD).await?;
    ensure!(site.is_signed_in(&cookie).await?, "not signed in with {cookie}");
    let made = Made { token, cookie, attachment, head };
    find_all(&site, &made).await?;
    Ok(made)
}

async fn token(machine: &Machine, user: &str) -> Result<String> {
    let words = ["admin", "user", "generate-access-token", "--username", user, "--scopes", "all", "--raw"];
    call(machine, &words).await
}

/// Pushes a text and a large file; the commit.
fn push(site: &Site, folder: &Path) -> Result<String> {
    fs::create_dir(folder)?;
    site.git(folder, &["init", "--quiet", "--initial-branch", "main"])?;
    site.git(folder, &["lfs", "install", "--local"])?;
    site.git(folder, &["lfs", "track", "*.bin"])?;
    fs::write(folder.join("README.md"), "# Garden\n")?;
    fs::write(folder.join("map.bin"), large())?;
    site.git(folder, &["add", "."])?;
    site.git(folder, &["commit", "--quiet", "--message", "Plant"])?;
    site.git(folder, &["remote", "add", "origin", &site.repository("ann/garden")])?;
    site.git(folder, &["push", "--quiet", "origin", "main"])?;
    site.git(folder, &["rev-parse", "HEAD"])
}

/// A clone with its large files.
fn clone(site: &Site, scratch: &Path) -> Result<TempDir> {
    let folder = tempfile::tempdir_in(scratch)?;
    site.git(folder.path(), &["clone", "--quiet", &site.repository("ann/garden"), "."])?;
    site.git(folder.path(), &["lfs", "install", "--local"])?;
    site.git(folder.path(), &["lfs", "pull"])?;
    Ok(folder)
}

/// Everything that was made is there, and whoever made it is still known.
async fn find_all(site: &Site, made: &Made) -> Result<()> {
    let users = site.get("/admin/users").await?;
    assert_eq!(texts(&users, "/login"), ["ann", "bob"]);
    let issue = site.get(&format!("{REPOSITORY}/issues/1")).await?;
    assert_eq!((&issue["title"], &issue["user"]["login"]), (&json!("Slugs"), &json!("ann")));
    let comments = site.get(&format!("{REPOSITORY}/issues/1/comments")).await?;
    assert_eq!(texts(&comments, "/body"), ["Beer traps help."]);
    assert_eq!(texts(&comments, "/user/login"), ["bob"]);
    assert_eq!(site.download(&made.attachment).await?, PICTURE);
    let hooks = site.get(&format!("{REPOSITORY}/hooks")).await?;
    assert_eq!(texts(&hooks, "/config/url"), ["http://ci.acme.example/hook"]);
    assert_eq!(texts(&hooks, "/authorization_header"), ["Bearer of news"]);
    assert_eq!(texts(&site.get("/user/keys").await?, "/title"), ["laptop"]);
    assert!(site.is_signed_in(&made.cookie).await?, "the browser's session is gone");
    assert!(!site.is_signed_in("session=0123456789abcdef").await?, "whoever comes is signed in");
    Ok(())
}

/// What was pushed, and every commit that was acknowledged while it moved, is in the repository and in the database: the two are of
/// one instant.
async fn find_commits(site: &Site, scratch: &Path, made: &Made, written: &Written) -> Result<()> {
    let clone = clone(site, scratch)?;
    assert_eq!(fs::read(clone.path().join("map.bin"))?, large());
    assert_eq!(fs::read_to_string(clone.path().join("README.md"))?, "# Garden\n");
    let log = site.git(clone.path(), &["log", "--format=%H"])?;
    let log: Vec<&str> = log.lines().collect();
    assert!(log.contains(&made.head.as_str()), "{log:?}");
    assert!(!written.commits.is_empty(), "nobody wrote anything");
    for commit in &written.commits {
        assert!(log.contains(&commit.as_str()), "{commit} was acknowledged and is lost: {log:?}");
    }
    // Gitea writes down who pushed what after it has answered, from a queue that it keeps on the disk.
    let end = Instant::now() + BY_AND_BY;
    loop {
        let told = activities(site).await?;
        let missing: Vec<_> = written.commits.iter().filter(|commit| !told.contains(*commit)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "in the repository and not in the database: {missing:?}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// What the database says of pushes, as one text.
async fn activities(site: &Site) -> Result<String> {
    let mut all = String::new();
    for page in 1.. {
        let found = site.get(&format!("{REPOSITORY}/activities/feeds?limit=50&page={page}")).await?;
        if found.as_array().is_none_or(Vec::is_empty) {
            break;
        }
        all.push_str(&texts(&found, "/content").join("\n"));
    }
    Ok(all)
}

/// The hooks of repositories and the commands of SSH keys name the program, which is at another place than it was.
async fn hooks_name_what_is_there(machine: &Machine) -> Result<()> {
    let package = package(machine).await?;
    for file in ["repositories/ann/garden.git/hooks/pre-receive.d/gitea", ".ssh/authorized_keys"] {
        let text = printed(&machine.exec(&["cat", &format!("/var/lib/gitea/{file}")]).await?)?;
        assert!(text.contains(&package), "{file} does not name {package}: {text}");
    }
    Ok(())
}

/// The Nix store's path that Gitea runs from.
async fn package(machine: &Machine) -> Result<String> {
    let pid = printed(
        &machine.exec(&["systemctl", "show", "--property=MainPID", "--value", "gitea.service"]).await?,
    )?;
    let program = printed(&machine.exec(&["readlink", &format!("/proc/{pid}/exe")]).await?)?;
    Ok(program.split('/').take(4).collect::<Vec<_>>().join("/"))
}

async fn push_once_more(site: &Site, scratch: &Path) -> Result<()> {
    let clone = clone(site, scratch)?;
    fs::write(clone.path().join("README.md"), "# Garden, moved\n")?;
    site.git(clone.path(), &["commit", "--quiet", "--all", "--message", "Move"])?;
    site.git(clone.path(), &["push", "--quiet", "origin", "main"])?;
    let head = site.git(clone.path(), &["rev-parse", "HEAD"])?;
    let branch = site.get(&format!("{REPOSITORY}/branches/main")).await?;
    assert_eq!(branch["commit"]["id"], json!(head));
    Ok(())
}

/// The sums of the keys that the site made for itself, and where they are.
async fn secrets(machine: &Machine) -> Result<String> {
    let files = ["secret_key", "internal_token", "oauth2_jwt_secret", "lfs_jwt_secret"];
    let paths = files.map(|file| format!("/var/lib/gitea/custom/conf/{file}"));
    let mut argv = vec!["sha256sum"];
    argv.extend(paths.iter().map(String::as_str));
    printed(&machine.exec(&argv).await?)
}

/// Moves the tenant with a ticket, and looks that both sides agree.
async fn move_it(source: &Stage, target: &Stage, new: &Machine) -> Result<()> {
    let issued = target.client.issue_ticket(&moving::ticket_for(new)?).await?;
    let id = issued.info.id;
    let leaving = source.client.migrate(&name("acme"), &SecretString::from(issued.ticket)).await?.id;
    let coming = moving::accept(&source.client, &target.client, id).await?;
    Told::follow_within(&source.client, leaving, PATIENCE).await?.succeeded()?;
    Told::follow_within(&target.client, coming, PATIENCE).await?.succeeded()?;
    let phases = (target.client.ticket(id).await?.phase, source.client.migration(&name("acme")).await?.phase);
    assert_eq!(phases, (MovePhase::Live, MovePhase::Live));
    Ok(())
}

/// A text of each of a list's things.
fn texts<'a>(list: &'a Value, pointer: &str) -> Vec<&'a str> {
    let things = list.as_array().map(Vec::as_slice).unwrap_or_default();
    things.iter().filter_map(|thing| thing.pointer(pointer)?.as_str()).collect()
}
