//! Machines with certificates of their own.

use std::time::Duration;

use anyhow::{Context as _, Result};
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

    let read = ["cat", "/var/lib/berth/tls/certificate.pem"];
    let certificate = |pem: &[u8]| reqwest::Certificate::from_pem(pem).context("a certificate");
    let first = certificate(&machine.exec(&read).await?.stdout)?;
    let address = (machine.address(), 443).into();
    let client = |trusted: reqwest::Certificate| {
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).tls_certs_only([trusted]);
        let client = client.timeout(Duration::from_secs(20));
        client.resolve("git.acme.example", address).resolve("social.acme.example", address).build()
    };
    let health = client(first)?.get("https://git.acme.example/api/healthz").send().await?;
    assert_eq!(health.status(), StatusCode::OK);
    let plain = berth_tests::web::get(&machine, "git.acme.example", "/").await?;
    assert_eq!(plain.status, StatusCode::MOVED_PERMANENTLY);

    draft.services.extend(tenant("acme", "selfsigned").services);
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    let second = certificate(&machine.exec(&read).await?.stdout)?;
    let health = client(second)?.get("https://social.acme.example/health").send().await?;
    assert_eq!(health.status(), StatusCode::OK);
    Ok(())
}
