//! A repository that the vault made itself, for the real restic.

use std::collections::BTreeMap;
use std::path::PathBuf;

use berth_vault::Mode;

use crate::place::Place;
use crate::restic::{self, PASSWORD};
use crate::server::{Server, name};
use crate::tree;

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_the_vault_made_is_one_for_every_restic_and_is_made_once() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for (number, restic) in restic::every().await.into_iter().enumerate() {
            let repository = format!("tenant-{number}");
            let token = server.token(&repository, Mode::AppendOnly, Some(100_000_000));
            server.vault.init(&name(&repository), &PASSWORD.into()).await.unwrap();
            let made = server.usage(&repository).await;
            assert_eq!(
                made,
                place.storage().await.usage(&name(&repository)).await.unwrap(),
                "as if counted anew"
            );
            let host = restic.host(&server.address, &repository, &token);
            tree::make(&host.tree(), 1, 5_000_000);
            host.back_up().await;
            host.ok(&["check", "--read-data"]).await;
            let used = server.usage(&repository).await;
            server.vault.init(&name(&repository), &PASSWORD.into()).await.unwrap();
            assert_eq!(server.usage(&repository).await, used, "what is there is left as it is");
            assert_eq!(host.snapshots().await, 1);
            assert!(tree::read(&host.restore("restored").await) == tree::read(&host.tree()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_killed_while_making_it_makes_the_rest_and_each_password_makes_another() {
    let Some(restic) = restic::every().await.pop() else { return };
    let place = Place::folder();
    let server = Server::start(&place).await;
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    let first = content(&place);
    assert_eq!(first.len(), 2, "a config and a key");
    let config = first.keys().find(|path| path.ends_with("config")).unwrap();
    std::fs::remove_file(config).unwrap();
    server.vault.init(&name("acme"), &PASSWORD.into()).await.unwrap();
    assert_eq!(content(&place), first, "made of its password alone");

    server.vault.init(&name("bolt"), &"another".into()).await.unwrap();
    let others = content(&place).into_iter().filter(|(path, _)| !first.contains_key(path));
    assert!(others.map(|(_, content)| content).all(|other| first.values().all(|content| *content != other)));
    let token = server.token("bolt", Mode::Full, None);
    restic.host(&server.address, "bolt", &token).fails(&["snapshots"], "wrong password").await;
}

fn content(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = place.files().unwrap().into_iter();
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}
