//! The customer's page, in a real Chromium.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use berth_contract::NewWatchLink;
use berth_tests::browser::{self, Browser};
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use reqwest::{StatusCode, header};

/// Long enough for a page on a busy host.
const STAY: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_customer_sees_the_deployment_end_without_touching_the_page() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    if !browser::is_there().await? {
        return Ok(());
    }
    let _machine = stage.machine("shown").await?;
    stage.client.create_tenant(&tenant("acme", "shown")).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    let link = stage.client.watch_link(operation.id, &NewWatchLink::default()).await?;
    let mut page = Browser::open(&link.url, true).await?;
    let told = Told::follow(&stage.client, operation.id).await?.succeeded()?;
    let document = page.document_with("Your services are ready", STAY).await?;
    // It was served while the work went on, and what it shows came over the stream.
    let served_after = attribute(&document, "data-after").parse::<i64>()?;
    assert!(served_after < told.operation.last_seq, "the page came too late to follow anything");
    assert_eq!(attribute(&document, "data-status"), "succeeded");
    assert_eq!(
        document.matches("data-status=\"succeeded\"").count(),
        1 + told.operation.steps.len(),
        "{document}"
    );
    assert!(!document.contains("id=\"links\" hidden") && document.contains("http://social.acme.example"));
    assert!(document.contains("stand-ins"), "a rehearsal says that it is one");
    // Nothing of how it was done is shown.
    assert!(!document.contains("/nix/store") && !document.contains("10.77."), "{document}");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots/watch-page.png");
    page.picture(&picture).await
}

#[tokio::test]
async fn without_scripts_the_page_tells_the_same_and_nothing_foreign_is_ever_loaded() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    if !browser::is_there().await? {
        return Ok(());
    }
    let _machine = stage.machine("plain").await?;
    let told = stage.deployed(&tenant("acme", "plain")).await?;
    let link = stage.client.watch_link(told.operation.id, &NewWatchLink::default()).await?;
    let document =
        Browser::open(&link.url, false).await?.document_with("Your services are ready", STAY).await?;
    assert_eq!(attribute(&document, "data-status"), "succeeded");
    assert!(
        document.contains("Checking that everything answers") && document.contains("http://git.acme.example")
    );
    let response = berth_tests::web::http()?.get(&link.url).send().await?;
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str()?.to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
    let wrong = berth_tests::web::http()?.get(format!("{}x", link.url)).send().await?;
    assert_eq!(wrong.status(), StatusCode::NOT_FOUND);
    assert!(wrong.text().await?.contains("This link does not work any more"));
    Ok(())
}

/// An attribute of the page's main element.
fn attribute<'a>(document: &'a str, name: &str) -> &'a str {
    let main = &document[document.find("<main").unwrap()..];
    let start = main.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    main[start..].split('"').next().unwrap()
}
