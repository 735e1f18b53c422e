//! Machines with certificates of their own.

use std::time::Duration;

use anyhow::{Context as _, Result};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::Stage;
use reqwest::StatusCode;
use reqwest::redirect::Policy;

#[tokio::test]
async fn a_machine_with_a_certificate_of_its_own_serves_over_https_and_takes_new_hosts_in() -> Result<()> {
    let options = DaemonOptions { tls: Some("self-signed"), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let machine = stage.machine("selfsigned").await?;
    let mut draft = tenant("acme", "selfsigned");
    draft.services.remove("mastodon");
    draft.services.remove("peertube");
    stage.deployed(&draft).await?.succeeded()?;

    // As a visitor who goes on in spite of the browser's warning.
    let address = (machine.address(), 443).into();
    let visitor =
        reqwest::Client::builder().no_proxy().redirect(Policy::none()).tls_danger_accept_invalid_certs(true);
    let visitor = visitor.resolve("git.acme.example", address).resolve("social.acme.example", address);
    let visitor = visitor.timeout(Duration::from_secs(20)).build()?;
    let health = visitor.get("https://git.acme.example/api/healthz").send().await?;
    assert_eq!(health.status(), StatusCode::OK);
    assert_eq!(names(&machine).await?, ["DNS:git.acme.example"]);
    let plain = berth_tests::web::get(&machine, "git.acme.example", "/").await?;
    assert_eq!(plain.status, StatusCode::MOVED_PERMANENTLY);

    draft.services.extend(tenant("acme", "selfsigned").services);
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert!(names(&machine).await?.contains(&"DNS:social.acme.example".to_owned()));
    let health = visitor.get("https://social.acme.example/health").send().await?;
    assert_eq!(health.status(), StatusCode::OK);
    Ok(())
}

/// The hosts that the certificate is for.
async fn names(machine: &Machine) -> Result<Vec<String>> {
    let show =
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", "/var/lib/berth/tls/certificate.pem"];
    let shown = String::from_utf8(machine.exec(&show).await?.stdout)?;
    let line = shown.lines().nth(1).context("a line of names")?;
    Ok(line.split(',').map(|name| name.trim().to_owned()).collect())
}
