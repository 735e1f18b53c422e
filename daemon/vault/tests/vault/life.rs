//! A repository's whole life with restic.

use berth_vault::Mode;

use crate::place::Place;
use crate::restic::{self, Restic};
use crate::server::{Server, name};
use crate::tree;

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_lives_its_whole_life_with_every_restic() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for (number, restic) in restic::every().await.into_iter().enumerate() {
            live(&place, &server, &restic, &format!("tenant-{number}")).await;
        }
    }
}

async fn live(place: &Place, server: &Server, restic: &Restic, repository: &str) {
    let token = server.token(repository, Mode::Full, Some(100_000_000));
    let host = restic.host(&server.address, repository, &token);
    host.ok(&["init"]).await;
    tree::make(&host.tree(), 1, 20_000_000);
    host.back_up().await;
    tree::make(&host.tree(), 2, 10_000_000);
    std::fs::remove_file(host.tree().join("part 1/deep er/large-1")).unwrap();
    host.back_up().await;
    host.ok(&["check", "--read-data"]).await;
    assert!(tree::read(&host.restore("restored").await) == tree::read(&host.tree()), "restored as it was");
    let before = server.usage(repository).await;
    host.ok(&["forget", "--keep-last", "1"]).await;
    host.ok(&["prune", "--max-unused", "0"]).await;
    host.ok(&["check", "--read-data"]).await;
    assert!(
        tree::read(&host.restore("again").await) == tree::read(&host.tree()),
        "restored after tidying up"
    );
    let after = server.usage(repository).await;
    assert!(after + 4_000_000 < before, "{before} {after}: what only the first snapshot had is gone");
    assert_eq!(place.storage().await.usage(&name(repository)).await.unwrap(), after, "as if counted anew");
    read_directly(place, restic, repository).await;
}

/// The repository is restic's own, also without the vault.
async fn read_directly(place: &Place, restic: &Restic, repository: &str) {
    let (address, environment) = place.directly(repository);
    restic.host_of(address, environment).ok(&["check", "--read-data"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_the_old_format_is_brought_to_the_new_one() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        for (number, restic) in restic::every().await.into_iter().enumerate() {
            let repository = format!("tenant-{number}");
            let host =
                restic.host(&server.address, &repository, &server.token(&repository, Mode::Full, None));
            host.ok(&["init", "--repository-version", "1"]).await;
            tree::make(&host.tree(), 1, 1_000_000);
            host.back_up().await;
            // The config is the one object that a client may write anew, by removing it first.
            host.ok(&["migrate", "upgrade_repo_v2"]).await;
            assert!(host.ok(&["cat", "config"]).await.contains("\"version\": 2"));
            host.ok(&["check", "--read-data"]).await;
        }
    }
}
