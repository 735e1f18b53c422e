//! Tenants that leave.

use anyhow::{Result, bail};
use berth_client::{DeleteTenant, Deleted};
use berth_domain::StepName;
use berth_testbed::Machine;
use berth_tests::drafts::tenant;
use berth_tests::stage::{Stage, name};
use berth_tests::told::Told;
use berth_tests::web;

async fn delete(stage: &Stage, tenant: &str, wipe: bool) -> Result<Told> {
    let how = DeleteTenant { wipe, ..DeleteTenant::default() };
    match stage.client.delete_tenant(&name(tenant), how).await? {
        Deleted::Operation(operation) => Told::follow(&stage.client, operation.id).await?.succeeded(),
        Deleted::Gone => bail!("it was deployed, and was forgotten without its machine"),
    }
}

/// The folders of the tenant's services that are on the machine.
fn data(machine: &Machine) -> Vec<&'static str> {
    let folders = ["var/lib/gitea", "var/lib/mastodon", "var/lib/peertube"];
    let has_files = |folder: &&str| {
        std::fs::read_dir(machine.root_path().join(folder)).is_ok_and(|mut entries| entries.next().is_some())
    };
    folders.into_iter().filter(has_files).collect()
}

async fn nothing_is_served(machine: &Machine) -> Result<()> {
    let page = web::get(machine, "git.acme.example", "/").await;
    assert!(page.is_err() || page.is_ok_and(|page| !page.text.contains("Git of acme")));
    let output = machine
        .exec(&["systemctl", "is-active", "gitea.service", "mastodon-web.service", "peertube.service"])
        .await?;
    let states = String::from_utf8(output.stdout)?;
    assert!(states.lines().all(|state| state != "active"), "{states}");
    Ok(())
}

#[tokio::test]
async fn a_deleted_tenant_is_taken_off_its_machine_and_its_data_stay_unless_wiping_was_asked_for()
-> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("leave").await?;
    stage.deployed(&tenant("acme", "leave")).await?;
    let kept = data(&machine);
    assert_eq!(kept.len(), 3, "{kept:?}");
    let told = delete(&stage, "acme", false).await?;
    assert!(told.started().contains(&StepName::Forget), "{:?}", told.started());
    nothing_is_served(&machine).await?;
    assert_eq!(data(&machine), kept);
    let gone = stage.client.tenant(&name("acme")).await.unwrap_err();
    assert!(gone.is_refusal("not-found"), "{gone}");
    let known = stage.client.machine(&"leave".parse().unwrap()).await?;
    assert_eq!((known.tenant, known.holds_data_of), (None, Some(name("acme"))));
    Ok(())
}

#[tokio::test]
async fn wiping_removes_a_tenant_with_its_data_and_leaves_the_machine_free_for_another() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let machine = stage.machine("wipe").await?;
    stage.deployed(&tenant("acme", "wipe")).await?;
    let told = delete(&stage, "acme", true).await?;
    assert!(told.started().contains(&StepName::Wipe), "{:?}", told.started());
    nothing_is_served(&machine).await?;
    assert_eq!(data(&machine), Vec::<&str>::new());
    let known = stage.client.machine(&"wipe".parse().unwrap()).await?;
    assert_eq!((known.tenant, known.holds_data_of), (None, None));
    stage.deployed(&tenant("bolt", "wipe")).await?;
    let page = web::get(&machine, "git.bolt.example", "/").await?;
    assert!(page.text.contains("Git of bolt"), "{}", page.text);
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_never_was_deployed_is_forgotten_at_once() -> Result<()> {
    let Some(stage) = Stage::set_up().await? else { return Ok(()) };
    let _machine = stage.machine("never").await?;
    stage.client.create_tenant(&tenant("acme", "never")).await?;
    let deleted = stage.client.delete_tenant(&name("acme"), DeleteTenant::default()).await?;
    assert_eq!(deleted, Deleted::Gone);
    stage.client.delete_machine(&"never".parse().unwrap()).await?;
    assert_eq!(stage.client.machines().await?, []);
    Ok(())
}
