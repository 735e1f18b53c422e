//! Passes whose follower makes snapshots of everything of them: the last one does not go through all files any more.

use berth_protocol::{Answer, Follower, Pass};
use uuid::Uuid;

use crate::ahead::{ahead, copied_once, restored, reusing};
use crate::following::{CHANGES, passed, room, tags, touched};
use crate::keeping::{KEY, Opened, carry_vault, fingerprint, restore, sh, snapshot};
use crate::restoring::nothing_is_left;

const LIVE: (Pass, Follower) = (Pass::Live, Follower::Merges);
const QUIESCED: (Pass, Follower) = (Pass::Quiesced, Follower::Merges);

#[tokio::test]
async fn what_has_changed_completes_the_last_pass_and_is_all_there_is() {
    let Some((source, target, path)) = copied_once("merge").await else { return };
    let (operation, vault) = (Uuid::now_v7(), Opened::on(&target).await);

    let first = passed(&source, &target, &path, LIVE).await;
    restored(&target, ahead(operation, &path)).await;
    vault.merge().await.unwrap();
    let before = touched(&target, &room(operation), "sparse").await;
    source.run(&["python3", "-c", CHANGES]).await;
    let second = passed(&source, &target, &path, LIVE).await;
    assert!(tags(&source, snapshot(&second)).await.contains(&"delta:web".to_owned()));
    // Both are done at once, and neither minds the other.
    let (_, merged) = tokio::join!(restored(&target, ahead(operation, &path)), vault.merge());
    merged.unwrap();
    carry_vault(&target, &source);

    sh(&source, "cd /var/lib/web; echo last > last; chown web:web last; rm -r moved outside").await;
    let last = passed(&source, &target, &path, QUIESCED).await;
    let wanted = fingerprint(&source, &path).await;
    let told = tags(&source, snapshot(&last)).await;
    assert!(told.contains(&"rest:web".to_owned()) && !told.contains(&"service:web".to_owned()), "{told:?}");
    let files = sh(&source, "find /var/lib/web -type f | wc -l").await.trim().parse::<u64>().unwrap();
    // Beside them there are the dump, and what the snapshot says of itself.
    assert!(last.files_total >= files && last.files_total <= files + 2, "{last:?}, {files} files");
    assert!(last.bytes_total > 1 << 20 && last.bytes_added < first.bytes_total / 2, "{first:?} {last:?}");
    restored(&target, ahead(operation, &path)).await;
    let whole = vault.vault.complete(&vault.name, &vault.key, snapshot(&last)).await.unwrap();
    assert_eq!(touched(&target, &room(operation), "sparse").await, before);

    let told = target.ask(reusing(operation, &path, &[("web", &whole)])).await;
    assert!(told.lines.iter().any(|line| line == "/var/lib/web was restored ahead"), "{:?}", told.lines);
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    nothing_is_left(&target).await;
    // Whoever has nothing else gets the same of it.
    let check = format!("RESTIC_PASSWORD={KEY} restic -r /srv/vault --no-cache check --read-data");
    sh(&target, &check).await;
    sh(&target, "rm -r /var/lib/web/hollow; echo other > /var/lib/web/last").await;
    let told = target.ask(restore(Uuid::now_v7(), &path, &[("web", &whole)])).await;
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    assert_eq!(
        sh(&target, "stat -c '%U %a' /var/lib/web/hollow /var/lib/web/last").await,
        "root 2711\nweb 644"
    );
}
