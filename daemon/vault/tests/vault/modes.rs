//! Tokens of every mode, in restic's hands.

use std::time::Duration;

use berth_vault::Mode;
use secrecy::SecretString;

use crate::place::Place;
use crate::restic;
use crate::server::{Server, name};
use crate::tree;

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_add_backs_up_and_forgets_nothing() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    for (number, restic) in restic::every().await.into_iter().enumerate() {
        let repository = format!("tenant-{number}");
        let token = server.token(&repository, Mode::AppendOnly, None);
        let host = restic.host(&server.address, &repository, &token);
        host.ok(&["init"]).await;
        tree::make(&host.tree(), 1, 1_000_000);
        host.back_up().await;
        host.back_up().await;
        // restic 0.18 says so and ends with 0.
        host.says(&["forget", "--keep-last", "1", "--prune"], "This Access Only Adds").await;
        assert_eq!(host.snapshots().await, 2);
        host.ok(&["unlock"]).await;
        host.back_up().await;
        host.ok(&["check", "--read-data"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_restores_and_checks_and_adds_nothing() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    for (number, restic) in restic::every().await.into_iter().enumerate() {
        let repository = format!("tenant-{number}");
        let full = server.token(&repository, Mode::Full, None);
        let owner = restic.host(&server.address, &repository, &full);
        owner.ok(&["init"]).await;
        tree::make(&owner.tree(), 1, 1_000_000);
        owner.back_up().await;
        let token = server.token(&repository, Mode::ReadOnly, None);
        let reader = restic.host(&server.address, &repository, &token);
        reader.ok(&["check", "--read-data"]).await;
        assert!(tree::read(&reader.restore("restored").await) == tree::read(&owner.tree()));
        let used = server.usage(&repository).await;
        tree::make(&reader.tree(), 2, 1_000_000);
        reader.fails(&["backup", "tree"], "This Access Only Reads").await;
        reader.ok(&["unlock", "--remove-all"]).await;
        assert_eq!((owner.snapshots().await, server.usage(&repository).await), (1, used));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_wrong_expired_revoked_or_another_tenants_opens_nothing() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    for restic in restic::every().await {
        let refused = async |token: &SecretString, saying: &str| {
            restic.host(&server.address, "acme", token).fails(&["snapshots"], saying).await;
        };
        refused(&"vault_0123456789abcdef_AAAA".into(), "A Valid Token Of This Repository Is Needed").await;
        let brief = server.tokens.issue(&name("acme"), Mode::Full, None, Duration::from_millis(1)).unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
        refused(&brief, "A Valid Token Of This Repository Is Needed").await;
        let revoked = server.token("acme", Mode::Full, None);
        assert!(server.tokens.revoke(&revoked));
        refused(&revoked, "A Valid Token Of This Repository Is Needed").await;
        refused(&server.token("bolt", Mode::Full, None), "The Token Is Not For This Repository").await;
    }
}
