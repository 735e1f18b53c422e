//! A tenant moves whose databases are followed while somebody writes, so that no dump of them is made while nobody serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use berth_domain::SnapshotPart;
use berth_tests::daemon::DaemonOptions;
use berth_tests::moving::{Written, write};
use berth_tests::notes;
use berth_tests::stage::name;
use berth_tests::told::Told;

use crate::migrating::{PATIENCE, Providers, providers_with};

/// Every database is large enough.
const CONFIG: &str = "[migration]\nreplicate_databases_above = 0\n";

#[tokio::test]
async fn databases_that_are_followed_arrive_with_all_that_is_written_meanwhile() -> Result<()> {
    let options = DaemonOptions { config: CONFIG.into(), ..DaemonOptions::default() };
    let Some(providers) = providers_with(options).await? else { return Ok(()) };
    let Providers { source, target, old, new } = &providers;
    let before = notes::read_all(old, "acme").await?;
    let (written, stop) = (Arc::new(Written::default()), Arc::new(AtomicBool::new(false)));
    let writing = tokio::spawn(write(old.address().to_string(), Arc::clone(&written), Arc::clone(&stop)));
    let (_, leaving, coming) = providers.begin().await?;
    let left = Told::follow_within(&source.client, leaving, PATIENCE).await?.succeeded()?;
    Told::follow_within(&target.client, coming, PATIENCE).await?.succeeded()?;
    stop.store(true, Ordering::Relaxed);
    writing.await?;

    let said = |what: &str| left.events.iter().filter(|event| event.message.contains(what)).count();
    assert_eq!(said("only what changes is sent from here on"), 3, "{:#?}", left.events);
    assert_eq!(said("only what changed last is sent"), 3, "{:#?}", left.events);
    assert_eq!(said("goes as a dump"), 0, "{:#?}", left.events);
    let after = notes::read_all(new, "acme").await?;
    written.holds(after[0].count - before[0].count)?;
    assert!(after[0].count > before[0].count + 5, "{before:?} {after:?}");
    assert_eq!(after[1..], before[1..]);

    // The source's server keeps nothing for anybody.
    let slots =
        ["runuser", "-u", "postgres", "--", "psql", "-XAtc", "SELECT slot_name FROM pg_replication_slots"];
    for machine in [old, new] {
        assert_eq!(String::from_utf8_lossy(&machine.exec(&slots).await?.stdout), "");
    }
    // What came is no whole snapshot, and says so; the next one is.
    let [first] = &target.client.snapshots(&name("acme"), 10).await?[..] else { panic!("one snapshot") };
    let SnapshotPart::Captured(captured) = &first.services["gitea"] else { panic!("{first:?}") };
    assert!(!first.whole && captured.databases.is_empty(), "{first:?}");
    assert!(captured.left_out.iter().any(|what| what.contains("the next snapshot has it")), "{captured:?}");
    let operation = target.client.start_snapshot(&name("acme")).await?.id;
    Told::follow(&target.client, operation).await?.succeeded()?;
    assert!(target.client.snapshots(&name("acme"), 10).await?.iter().any(|snapshot| snapshot.whole));
    assert_eq!(notes::read_all(new, "acme").await?, after);
    Ok(())
}
