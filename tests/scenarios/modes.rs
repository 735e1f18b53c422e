//! What visitors and administrators get in each mode.

use anyhow::Result;
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::stage::Stage;
use berth_tests::web;
use reqwest::StatusCode;

const HOST: &str = "git.acme.example";

#[tokio::test]
async fn in_maintenance_administrators_see_the_services_and_everybody_else_the_notice() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("modes").await?;
    let mut draft = tenant("acme", "modes");
    stage.deployed(&draft).await?.succeeded()?;
    let started = since(&machine).await?;

    draft.mode = Some("maintenance".into());
    stage.change(&draft).await?;
    // It is proven from the inside, as the daemon is no administrator of the tenant.
    stage.deploy("acme").await?.succeeded()?;
    let notice = web::get(&machine, HOST, "/api/healthz").await?;
    assert_eq!(notice.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(notice.text.contains("being worked on"), "{}", notice.text);
    let inside = ["curl", "--silent", "--header", "Host: git.acme.example", "http://127.0.0.1/api/healthz"];
    let inside = machine.exec(&inside).await?;
    assert!(String::from_utf8_lossy(&inside.stdout).contains("pass"), "{inside:?}");

    // The tests' own host becomes an administrator's.
    draft.admin_addresses = vec!["10.0.0.0/8".into()];
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(web::get(&machine, HOST, "/api/healthz").await?.status, StatusCode::OK);
    assert_eq!(since(&machine).await?, started, "a mode that keeps services running restarts none");
    Ok(())
}

/// When the service was started.
async fn since(machine: &Machine) -> Result<String> {
    let show = ["systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", "gitea.service"];
    Ok(String::from_utf8_lossy(&machine.exec(&show).await?.stdout).into_owned())
}
