//! Going back to an earlier revision.

use anyhow::Result;
use berth_domain::{OperationKind, StepName, StepStatus};
use berth_testbed::Machine;
use berth_tests::daemon::DaemonOptions;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;
use berth_tests::workshop::{Extra, Trouble, Workshop};
use serde_json::json;

async fn roll_back(stage: &Stage, to: Option<&str>) -> Result<Told> {
    let to = to.map(|revision| revision.parse().unwrap());
    let operation = stage.client.rollback(&name("acme"), to).await?;
    assert_eq!(operation.kind, OperationKind::Rollback);
    Told::follow(&stage.client, operation.id).await?.succeeded()
}

async fn says(machine: &Machine, text: &str) -> Result<()> {
    let page = web::get(machine, "git.acme.example", "/").await?;
    assert!(page.text.contains(text), "{}", page.text);
    Ok(())
}

#[tokio::test]
async fn a_rollback_brings_back_what_was_deployed_before_and_the_tenant_is_specified_like_that() -> Result<()>
{
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("earlier").await?;
    let mut draft = tenant("acme", "earlier");
    stage.client.create_tenant(&draft).await?;
    let refused = stage.client.rollback(&name("acme"), None).await.unwrap_err();
    assert!(refused.is_refusal("no-earlier-revision"), "{refused}");
    let first = stage.deploy("acme").await?.succeeded()?.operation;
    let refused = stage.client.rollback(&name("acme"), None).await.unwrap_err();
    assert!(refused.is_refusal("no-earlier-revision"), "{refused}");
    let unknown = Some("0".repeat(64).parse().unwrap());
    let refused = stage.client.rollback(&name("acme"), unknown).await.unwrap_err();
    assert!(refused.is_refusal("not-found"), "{refused}");

    draft.services.get_mut("gitea").unwrap().insert("app_name".into(), json!("Second"));
    stage.change(&draft).await?;
    let second = stage.deploy("acme").await?.succeeded()?.operation;
    says(&machine, "Second").await?;
    // Never deployed, and not to be.
    draft.services.get_mut("gitea").unwrap().insert("app_name".into(), json!("Third"));
    stage.change(&draft).await?;
    let version = stage.client.tenant(&name("acme")).await?.version;

    let told = roll_back(&stage, None).await?;
    assert_eq!((&told.operation.revision, &told.operation.system), (&first.revision, &first.system));
    assert_eq!(told.step(StepName::Activate), Some(StepStatus::Succeeded));
    says(&machine, "Git of acme").await?;
    let now = stage.client.tenant(&name("acme")).await?;
    assert_eq!((now.version, &now.deployed_revision), (version + 1, &first.revision));
    assert_eq!(now.spec.services["gitea"]["app_name"], "Git of acme");
    // What is deployed now is what is specified: a deployment changes nothing.
    let again = stage.deploy("acme").await?.succeeded()?;
    assert_eq!(again.step(StepName::Activate), Some(StepStatus::Skipped));

    // There and back again, and to one by its name.
    assert_eq!(roll_back(&stage, None).await?.operation.revision, second.revision);
    says(&machine, "Second").await?;
    let to = first.revision.as_ref().unwrap().to_string();
    assert_eq!(roll_back(&stage, Some(&to)).await?.operation.revision, first.revision);
    says(&machine, "Git of acme").await
}

#[tokio::test]
async fn a_given_secret_comes_back_with_its_revision_and_the_next_one_has_a_number_of_its_own() -> Result<()>
{
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("passwords").await?;
    let mut draft = tenant("acme", "passwords");
    let mut give = |password: &str| {
        let smtp = json!({ "host": "smtp.example.net", "from": "git@acme.example", "username": "git", "password": password });
        draft.services.get_mut("gitea").unwrap().insert("smtp".into(), smtp);
        draft.clone()
    };
    stage.deployed(&give("the-first-password")).await?;
    stage.change(&give("the-second-password")).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given(&machine).await?, ["smtp-password-2 the-second-password"], "the first one is gone");
    roll_back(&stage, None).await?;
    assert_eq!(given(&machine).await?, ["smtp-password-1 the-first-password"]);
    stage.change(&give("the-third-password")).await?;
    stage.deploy("acme").await?.succeeded()?;
    assert_eq!(given(&machine).await?, ["smtp-password-3 the-third-password"]);
    Ok(())
}

/// The files of gitea's password on the machine.
async fn given(machine: &Machine) -> Result<Vec<String>> {
    let script =
        "cd /var/lib/berth/secrets/gitea; for file in smtp-password-*; do echo \"$file $(cat $file)\"; done";
    let found = machine.exec(&["sh", "-c", script]).await?;
    Ok(String::from_utf8(found.stdout)?.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn a_rollback_over_a_change_of_a_services_data_is_refused_and_the_newer_one_goes_on_serving()
-> Result<()> {
    let workshop = Workshop::open(Extra::Nothing)?;
    let options = DaemonOptions { platform: Some(workshop.reference()), ..DaemonOptions::default() };
    let Some(stage) = Stage::set_up_with(options).await? else { return Ok(()) };
    let machine = stage.machine("newer").await?;
    let mut draft = tenant("acme", "newer");
    stage.deployed(&draft).await?.succeeded()?;
    draft.plan = Some(Trouble::NewerGitea.plan());
    draft.services.get_mut("gitea").unwrap().insert("app_name".into(), json!("Newer"));
    stage.change(&draft).await?;
    let newer = stage.deploy("acme").await?.succeeded()?.operation;
    let operation = stage.client.rollback(&name("acme"), None).await?;
    let told = Told::follow(&stage.client, operation.id).await?;
    let error = told.failure()?;
    assert_eq!(error.code, "data-newer", "{error:?}");
    assert!(
        error.message.contains("gitea is of version 1.1") && error.message.contains("up to 1.0"),
        "{error:?}"
    );
    let tenant = stage.client.tenant(&name("acme")).await?;
    assert_eq!(tenant.deployed_revision, newer.revision);
    says(&machine, "Newer").await
}
