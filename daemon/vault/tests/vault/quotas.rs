//! Quotas.

use berth_vault::Mode;
use reqwest::{Method, StatusCode};

use crate::place::Place;
use crate::restic;
use crate::server::{Server, noise, path};
use crate::tree;

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_to_the_byte_and_counts_what_is_under_way() {
    for place in Place::every().await {
        let server = Server::start(&place).await;
        let client = server.client("acme", Mode::Full, Some(100_000));
        client.create().await;
        client.add("data", &noise(1, 60_000)).await;
        let (large, fits) = (noise(2, 40_001), noise(3, 40_000));
        assert_eq!(client.post(&path("data", &large), &*large).await, StatusCode::INSUFFICIENT_STORAGE);
        let pieces =
            large.chunks(10_000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
        let unannounced = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        let answer =
            client.request(Method::POST, &path("data", &large)).body(unannounced).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INSUFFICIENT_STORAGE);
        let text = answer.text().await.unwrap();
        assert!(text.contains("quota"), "{text}");
        let at_once = (0..6_u64).map(|seed| {
            let (client, content) = (&client, noise(10 + seed, 15_000));
            async move { client.post(&path("data", &content), content).await }
        });
        let kept = futures_util::future::join_all(at_once).await;
        assert_eq!(kept.iter().filter(|status| **status == StatusCode::OK).count(), 2, "{kept:?}");
        assert_eq!(server.usage("acme").await, 90_000);
        assert_eq!(client.post(&path("data", &fits), &*fits).await, StatusCode::INSUFFICIENT_STORAGE);
        assert_eq!(client.status(Method::DELETE, &path("data", &noise(1, 60_000))).await, StatusCode::OK);
        client.add("data", &fits).await;
        assert_eq!(server.usage("acme").await, 70_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_ends_at_the_quota_and_goes_on_with_a_larger_one() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    for (number, restic) in restic::every().await.into_iter().enumerate() {
        let repository = format!("tenant-{number}");
        let token = server.token(&repository, Mode::AppendOnly, Some(24_000_000));
        let host = restic.host(&server.address, &repository, &token);
        host.ok(&["init"]).await;
        tree::make(&host.tree(), 1, 60_000_000);
        host.fails(&["backup", "tree"], "The Repository Has Reached Its Quota").await;
        let used = server.usage(&repository).await;
        assert!(used <= 25_800_000, "{used}: the quota, and what index and locks may have beyond");
        let token = server.token(&repository, Mode::AppendOnly, Some(100_000_000));
        let larger = restic.host(&server.address, &repository, &token);
        std::fs::rename(host.tree(), larger.tree()).unwrap();
        larger.ok(&["unlock"]).await;
        larger.back_up().await;
        larger.ok(&["check", "--read-data"]).await;
        assert!(tree::read(&larger.restore("restored").await) == tree::read(&larger.tree()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_repository_can_be_tidied_up() {
    let place = Place::folder();
    let server = Server::start(&place).await;
    for (number, restic) in restic::every().await.into_iter().enumerate() {
        let repository = format!("tenant-{number}");
        let token = server.token(&repository, Mode::Full, Some(100_000_000));
        let host = restic.host(&server.address, &repository, &token);
        host.ok(&["init"]).await;
        for seed in [1, 2] {
            let _ = std::fs::remove_dir_all(host.tree());
            tree::make(&host.tree(), seed, 10_000_000);
            host.back_up().await;
        }
        let used = server.usage(&repository).await;
        let token = server.token(&repository, Mode::Full, Some(used));
        let full = restic.host(&server.address, &repository, &token);
        full.ok(&["forget", "--keep-last", "1", "--prune", "--max-repack-size", "0"]).await;
        full.ok(&["check"]).await;
        let after = server.usage(&repository).await;
        assert!(after + 8_000_000 < used, "{used} {after}");
    }
}
