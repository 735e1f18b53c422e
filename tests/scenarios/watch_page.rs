//! The customer's page, in a real Chromium.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use berth_contract::NewWatchLink;
use berth_domain::OperationStatus;
use berth_testbed::Machine;
use berth_tests::browser::{self, Browser};
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::workshop::{Extra, Workshop};
use reqwest::{StatusCode, header};
use tokio::time::Instant;

/// Long enough for a page on a busy host.
const STAY: Duration = Duration::from_secs(60);

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
    let document = shows(&mut page, ">Your services are ready</h1>").await?;
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
async fn without_scripts_the_page_follows_by_loading_itself_anew_and_nothing_foreign_is_ever_loaded()
-> Result<()> {
    let Some((workshop, stage, _machine, link)) = shown_at_the_gate("plain").await? else { return Ok(()) };
    let mut page = Browser::open(&link, false).await?;
    let document = shows(&mut page, ">Putting the pieces together<").await?;
    assert_eq!(attribute(&document, "data-status"), "running", "{document}");
    assert!(document.contains("Without JavaScript"), "{document}");
    workshop.open_gate()?;
    let document = shows(&mut page, ">Your services are ready</h1>").await?;
    assert_eq!(attribute(&document, "data-status"), "succeeded");
    assert!(
        document.contains("Checking that everything answers") && document.contains("http://git.acme.example")
    );
    let response = berth_tests::web::http()?.get(&link).send().await?;
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str()?.to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
    let wrong = berth_tests::web::http()?.get(format!("{link}x")).send().await?;
    assert_eq!(wrong.status(), StatusCode::NOT_FOUND);
    assert!(wrong.text().await?.contains("This link does not work any more"));
    drop(stage);
    Ok(())
}

#[tokio::test]
async fn a_page_that_loses_its_daemon_says_so_and_goes_on_to_the_same_end_as_a_fresh_one() -> Result<()> {
    let Some((workshop, mut stage, _machine, link)) = shown_at_the_gate("losing").await? else {
        return Ok(());
    };
    let mut page = Browser::open(&link, true).await?;
    let document = shows(&mut page, "aria-current=\"step\"").await?;
    assert_eq!(attribute(&document, "data-status"), "running", "{document}");
    stage.daemon.kill()?;
    shows(&mut page, ">Connection lost, trying again…<").await?;
    stage.daemon.start_again()?;
    workshop.open_gate()?;
    let document = shows(&mut page, ">Your services are ready</h1>").await?;
    assert!(!readable(&document).contains("Connection lost"), "{document}");
    let fresh = shows(&mut Browser::open(&link, false).await?, ">Your services are ready</h1>").await?;
    assert_eq!(readable(&document), readable(&fresh));
    Ok(())
}

#[tokio::test]
async fn a_page_of_a_deployment_that_fails_stays_calm_and_tells_nothing_of_the_inside() -> Result<()> {
    let workshop = Workshop::open(Extra::Fails)?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    if !browser::is_there().await? {
        return Ok(());
    }
    let _machine = stage.machine("calm").await?;
    stage.client.create_tenant(&tenant("acme", "calm")).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    let link = stage.client.watch_link(operation.id, &NewWatchLink::default()).await?.url;
    let mut page = Browser::open(&link, true).await?;
    let told = Told::follow(&stage.client, operation.id).await?;
    assert_eq!(told.operation.status, OperationStatus::Failed);
    let document = shows(&mut page, ">This did not work</h1>").await?;
    assert!(readable(&document).contains("Nothing was changed in what your server runs"), "{document}");
    for inside in ["compiling file", "file 101", "extra-1.0", "/nix/store", "build-failed"] {
        assert!(!document.contains(inside), "{inside}: {document}");
    }
    let fresh = shows(&mut Browser::open(&link, false).await?, ">This did not work</h1>").await?;
    assert_eq!(readable(&document), readable(&fresh));
    Ok(())
}

/// A deployment whose build waits at the gate, and the link for its customer.
async fn shown_at_the_gate(machine: &str) -> Result<Option<(Workshop, Stage, Machine, String)>> {
    let workshop = Workshop::open(Extra::Waits { pause_ms: 50 })?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(None) };
    if !browser::is_there().await? {
        return Ok(None);
    }
    let vm = stage.machine(machine).await?;
    stage.client.create_tenant(&tenant("acme", machine)).await?;
    let operation = stage.client.deploy(&name("acme")).await?;
    let link = stage.client.watch_link(operation.id, &NewWatchLink::default()).await?.url;
    for _ in 0..600 {
        if workshop.is_waiting() {
            return Ok(Some((workshop, stage, vm, link)));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!("the build does not begin")
}

/// The document once it contains `text`: with the tags around it, as the page also carries all the words that it may yet show.
/// A page that loads itself anew has no document for a moment, which is no error.
async fn shows(page: &mut Browser, text: &str) -> Result<String> {
    let end = Instant::now() + STAY;
    loop {
        let document = page.document().await;
        match document {
            // What follows the page's own text is there, so all of that is.
            Ok(document) if document.contains(text) && document.contains("id=\"words\"") => {
                return Ok(document);
            }
            other if Instant::now() > end => bail!("the page does not show “{text}”: {other:?}"),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// What is to be read on the page, up to its footer: the same whether the script or the server wrote it, but for what the
/// script says to those who hear the page.
fn readable(document: &str) -> String {
    let main = &document[document.find("<main").unwrap()..document.find("<footer").unwrap()];
    let main = &main[..main.find("<p id=\"news\"").or(main.find("<p class=\"unseen\"")).unwrap()];
    let texts = main.split('<').filter_map(|piece| piece.split_once('>')).map(|(_, text)| text.trim());
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n")
}

/// An attribute of the page's main element.
fn attribute<'a>(document: &'a str, name: &str) -> &'a str {
    let main = &document[document.find("<main").unwrap()..];
    let start = main.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
    main[start..].split('"').next().unwrap()
}
