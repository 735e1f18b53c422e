//! Deployments that go well.

use anyhow::Result;
use berth_domain::{EventKind, StepName, StepStatus, TenantDraft};
use berth_testbed::Machine;
use berth_tests::drafts::{settings, tenant};
use berth_tests::stage::Stage;
use berth_tests::told::Told;
use berth_tests::{notes, units, visitor, web};
use reqwest::StatusCode;
use serde_json::json;
use uuid::Uuid;

#[tokio::test]
async fn a_first_deployment_streams_every_step_and_ends_with_three_services_served_by_their_names()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("first").await?;
    let mut draft = tenant("acme", "first");
    // What was built in an earlier run would not be built again.
    let unlike_any = format!("Git of acme, {}", Uuid::now_v7());
    draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": unlike_any })));
    let told = stage.deployed(&draft).await?;
    every_step_is_told(&told);
    every_service_is_served(&machine, "acme").await?;
    let tenant = stage.client.tenant(&"acme".parse().unwrap()).await?;
    assert_eq!(tenant.deployed_revision, told.operation.revision);
    let urls: Vec<&str> = tenant.urls.values().map(String::as_str).collect();
    let expected = ["http://git.acme.example/", "http://social.acme.example/", "http://video.acme.example/"];
    assert_eq!(
        urls.iter().map(|url| url.trim_end_matches('/')).collect::<Vec<_>>(),
        expected.map(|url| url.trim_end_matches('/'))
    );
    let system = told.operation.system.unwrap();
    for link in ["/run/current-system", "/nix/var/nix/profiles/system"] {
        let output = machine.exec(&["readlink", "--canonicalize", link]).await?;
        assert_eq!(String::from_utf8(output.stdout)?.trim(), system, "{link}");
    }
    Ok(())
}

fn every_step_is_told(told: &Told) {
    use StepName::{Activate, Build, Commit, Copy, Evaluate, Render, Verify};
    assert_eq!(told.started(), [Render, Evaluate, Build, Copy, Activate, Verify, Commit]);
    assert!(
        told.operation.steps.iter().all(|step| step.status == StepStatus::Succeeded),
        "{:#?}",
        told.operation
    );
    assert_eq!(told.events.first().unwrap().kind, EventKind::Accepted);
    assert_eq!(told.events.last().unwrap().kind, EventKind::Finished);
    let numbers: Vec<i64> = told.events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=told.operation.last_seq).collect::<Vec<_>>());
    // What was counted reached its end.
    for name in [Build, Copy, Verify] {
        let mut counts =
            told.events.iter().filter(|event| event.step == Some(name)).filter_map(|event| event.progress);
        let last = counts.next_back().unwrap_or_else(|| panic!("no progress of {name}"));
        assert_eq!(Some(last.done), last.expected, "{name}");
    }
}

async fn every_service_is_served(machine: &Machine, tenant: &str) -> Result<()> {
    for (name, path, word) in [
        ("git", "/api/healthz", "pass"),
        ("git", "/", "Gitea"),
        ("social", "/health", "OK"),
        ("social", "/", "Mastodon"),
        ("video", "/api/v1/ping", "pong"),
        ("video", "/", "PeerTube"),
    ] {
        let page = web::get(machine, &format!("{name}.{tenant}.example"), path).await?;
        assert_eq!(page.status, StatusCode::OK, "{name}{path}: {}", page.text);
        assert!(page.text.contains(word), "{name}{path}: {}", page.text);
    }
    Ok(())
}

#[tokio::test]
async fn changing_one_setting_restarts_that_service_alone_and_keeps_its_data() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("change").await?;
    let mut draft = tenant("acme", "change");
    stage.deployed(&draft).await?;
    let note = "kept over the restart";
    notes::add(&machine, "git.acme.example", note).await?;
    let before = units::look(&machine).await?;
    visitor::comes(&machine, "social.acme.example", "/health").await?;
    draft.services.insert("gitea".to_owned(), settings(json!({ "app_name": "Changed" })));
    stage.change(&draft).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(visitor::leaves(&machine).await?, [""; 0], "what nobody changed was away");
    let after = units::look(&machine).await?;
    assert_eq!(units::changed(&before, &after), ["gitea.service"]);
    assert_ne!(before["gitea.service"].process, after["gitea.service"].process);
    let page = web::get(&machine, "git.acme.example", "/").await?;
    assert!(page.text.contains("Changed"), "{}", page.text);
    let kept = notes::read(&machine, "git.acme.example").await?;
    assert!(kept.intact && kept.count == 1, "{kept:?}");
    Ok(())
}

#[tokio::test]
async fn deploying_what_is_deployed_already_copies_nothing_and_restarts_nothing() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("same").await?;
    stage.deployed(&tenant("acme", "same")).await?;
    let before = units::look(&machine).await?;
    let told = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(units::changed(&before, &units::look(&machine).await?), Vec::<String>::new());
    assert_eq!(told.step(StepName::Build), Some(StepStatus::Skipped));
    assert_eq!(told.step(StepName::Copy), Some(StepStatus::Skipped));
    assert_eq!(told.step(StepName::Activate), Some(StepStatus::Skipped));
    // What was promised is looked at all the same.
    assert_eq!(told.step(StepName::Verify), Some(StepStatus::Succeeded));
    Ok(())
}

#[tokio::test]
async fn two_tenants_are_deployed_to_their_machines_at_the_same_time() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let (one, two) = tokio::try_join!(stage.machine("one"), stage.machine("two"))?;
    let only_gitea = |name: &str, machine: &str| {
        let mut draft = tenant(name, machine);
        draft.services.retain(|service, _| service == "gitea");
        draft
    };
    let drafts: [TenantDraft; 2] = [only_gitea("acme", "one"), only_gitea("bolt", "two")];
    let (acme, bolt) = tokio::try_join!(stage.deployed(&drafts[0]), stage.deployed(&drafts[1]))?;
    let (first, second) = (acme.operation, bolt.operation);
    assert!(
        first.started_at < second.finished_at && second.started_at < first.finished_at,
        "one after the other"
    );
    for (machine, name) in [(&one, "acme"), (&two, "bolt")] {
        let page = web::get(machine, &format!("git.{name}.example"), "/").await?;
        assert!(page.text.contains(&format!("Git of {name}")), "{}", page.text);
    }
    // Each has its own and nothing of the other.
    let other = web::get(&one, "git.bolt.example", "/").await?;
    assert!(!other.text.contains("Git of bolt"), "{}", other.text);
    Ok(())
}
