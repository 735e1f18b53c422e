//! A tenant's configuration in the hands of sysadmins.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use berth_contract::NewToken;
use berth_tests::drafts::tenant;
use berth_tests::raw::Raw;
use berth_tests::stage::{Stage, name};
use reqwest::header::{AUTHORIZATION, CACHE_CONTROL, ETAG, IF_NONE_MATCH, LINK};
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn the_deployed_configuration_is_a_flake_that_nix_takes_from_the_api_and_that_stays_under_its_own_address()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let _machine = stage.machine("flakes").await?;
    let mut draft = tenant("acme", "flakes");
    let told = stage.deployed(&draft).await?.succeeded()?;
    let system = told.operation.system.context("a system")?;
    let token = NewToken { name: "admin".into(), scope: "tenant:acme:read".into(), expires_in_seconds: None };
    let token = stage.client.create_token(&token).await?.token;
    let url = format!("{}/v1/tenants/acme/flake.tar.gz", stage.daemon.url());

    // With the token in the address, and in a netrc file.
    let attribute = "#nixosConfigurations.flakes.config.system.build.toplevel.outPath";
    assert_eq!(evaluate(&format!("{url}?token={token}{attribute}"), None)?, system);
    let folder = tempfile::tempdir()?;
    let netrc = folder.path().join("netrc");
    fs::write(&netrc, format!("machine 127.0.0.1 login sysadmin password {token}\n"))?;
    fs::set_permissions(&netrc, fs::Permissions::from_mode(0o600))?;
    assert_eq!(evaluate(&format!("{url}{attribute}"), netrc.to_str())?, system);

    let raw = Raw::with(stage.daemon.url(), &token)?;
    let first = raw.get("/v1/tenants/acme/flake.tar.gz").await?;
    let etag = first.headers[ETAG].to_str()?.to_owned();
    let link = first.headers[LINK].to_str()?.to_owned();
    let again = raw.request(Method::GET, "/v1/tenants/acme/flake.tar.gz").header(IF_NONE_MATCH, &etag);
    assert_eq!(raw.answer(again).await?.status, StatusCode::NOT_MODIFIED);

    // Another deployment moves the one address and leaves the other.
    draft.services.get_mut("gitea").context("gitea")?.insert("app_name".into(), "Renamed".into());
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    let second = raw.get("/v1/tenants/acme/flake.tar.gz").await?;
    assert_ne!(second.headers[ETAG], first.headers[ETAG]);
    let place = link
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix(">; rel=\"immutable\""))
        .context("a link")?;
    let kept = raw.get(place.strip_prefix(stage.daemon.url()).context("an address of the daemon")?).await?;
    assert_eq!((kept.body, &kept.headers[ETAG]), (first.body, &first.headers[ETAG]));
    assert!(kept.headers[CACHE_CONTROL].to_str()?.contains("immutable"));

    let revisions = stage.client.revisions(&name("acme")).await?;
    assert_eq!(revisions.iter().map(|it| it.deployed).collect::<Vec<_>>(), [true, false]);
    let old = stage.client.configuration_of(&name("acme"), &revisions[1].id).await?;
    assert!(old.files["tenant.nix"].contains("Git of acme"), "{}", old.files["tenant.nix"]);
    Ok(())
}

#[tokio::test]
async fn a_flake_is_for_those_who_may_read_its_tenant() -> Result<()> {
    let daemon = berth_tests::daemon::Daemon::start(berth_tests::daemon::DaemonOptions::default())?;
    let client = daemon.client()?;
    for (tenant_name, machine) in [("acme", "m1"), ("bolt", "m2")] {
        client.create_machine(&berth_tests::drafts::absent_machine(machine)).await?;
        client.create_tenant(&tenant(tenant_name, machine)).await?;
    }
    let token = |scope: &str| NewToken { name: scope.into(), scope: scope.into(), expires_in_seconds: None };
    let own = client.create_token(&token("tenant:acme:read")).await?.token;
    let path = "/v1/tenants/acme/flake.tar.gz";
    let nobody = Raw::stranger(daemon.url(), None)?;
    assert_eq!(nobody.get(path).await?.status, StatusCode::UNAUTHORIZED);
    assert_eq!(nobody.get(&format!("{path}?token=berth_x_y")).await?.status, StatusCode::UNAUTHORIZED);
    // One that never was deployed is packed as it would be, and has no address for good yet.
    let packed = nobody.get(&format!("{path}?token={own}")).await?;
    assert_eq!((packed.status, packed.headers.get(LINK)), (StatusCode::OK, None));
    // Other routes take no token from the address, where it would end in logs.
    assert_eq!(nobody.get(&format!("/v1/tenants/acme?token={own}")).await?.status, StatusCode::UNAUTHORIZED);
    let basic = format!("Basic {}", base64(&format!("anybody:{own}")));
    let request = nobody.request(Method::GET, path).header(AUTHORIZATION, basic);
    assert_eq!(nobody.answer(request).await?.status, StatusCode::OK);
    let other = Raw::with(daemon.url(), &client.create_token(&token("tenant:bolt:read")).await?.token)?;
    assert_eq!(other.get(path).await?.status, StatusCode::FORBIDDEN);
    let unknown = format!("/v1/tenants/acme/revisions/{}/flake.tar.gz", "0".repeat(64));
    assert_eq!(Raw::with(daemon.url(), &own)?.get(&unknown).await?.status, StatusCode::NOT_FOUND);
    assert!(!daemon.log().contains(own.splitn(3, '_').last().unwrap_or_default()), "the token is in the log");
    Ok(())
}

fn base64(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// What `nix` makes of a flake's attribute.
fn evaluate(reference: &str, netrc: Option<&str>) -> Result<String> {
    let mut command = Command::new("nix");
    command.args([
        "--extra-experimental-features",
        "nix-command flakes",
        "eval",
        "--raw",
        "--no-write-lock-file",
    ]);
    command.args(["--refresh", "--option", "tarball-ttl", "0"]);
    if let Some(netrc) = netrc {
        command.args(["--option", "netrc-file", netrc]);
    }
    // A cache of its own: what was fetched with one token is not to be found with another.
    let cache = tempfile::tempdir()?;
    let done = command.arg(reference).env("XDG_CACHE_HOME", cache.path()).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?)
}
