//! Passes that somebody follows: what has changed from one to the next takes as long as there is changed, and arrives whatever it is.

use std::time::Duration;

use berth_machine::StorePath;
use berth_protocol::{Answer, Captured, Follower, Pass, Request};
use serde_json::Value;
use uuid::Uuid;

use crate::ahead::{ahead, copied_once, restored, reusing};
use crate::bench::{Bench, claim};
use crate::keeping::{KEY, capture, captured, captures, carry_vault, fingerprint, sh, snapshot};
use crate::restoring::nothing_is_left;

const LIVE: (Pass, Follower) = (Pass::Live, Follower::Restores);
const QUIESCED: (Pass, Follower) = (Pass::Quiesced, Follower::Restores);

/// Changes that a copy could miss, or take for another.
pub const CHANGES: &str = "
import os
base = b'/var/lib/web/'
def write(name, content):
    with open(base + name, 'wb') as file: file.write(content)
    os.chown(base + name, 4000, 4000)
# One of two names becomes a file of its own.
write(b'other', b'y' * 100000); os.rename(base + b'other', base + b'same')
# As long and as old as before.
before = os.stat(base + b'two\\nlines'); write(b'two\\nlines', b'NEWLINE')
os.utime(base + b'two\\nlines', ns=(before.st_atime_ns, before.st_mtime_ns))
# A file becomes a folder, a folder a file, a link a folder, another link one that leads elsewhere.
os.remove(base + b'not \\xff\\xfe utf-8'); os.mkdir(base + b'not \\xff\\xfe utf-8'); write(b'not \\xff\\xfe utf-8/in', b'it')
os.rmdir(base + b'empty'); write(b'empty', b'no more')
os.remove(base + b'outside'); os.mkdir(base + b'outside'); write(b'outside/passwd', b'mine')
os.remove(base + b'dangling'); os.symlink(b'/elsewhere', base + b'dangling')
# What is deep goes, and comes elsewhere.
os.rename(base + b'deep/d', base + b'moved'); os.mkdir(base + b'hollow'); os.chmod(base + b'hollow', 0o2711)
os.remove(base + b'pipe'); os.chmod(base + b'runs', 0o700); os.link(base + b'plain', base + b'second name')
";

fn followed(pass: Pass, system: &StorePath, follower: Follower) -> Request {
    let mut request = capture(Uuid::now_v7(), system, pass);
    if let Request::Capture { follower: asked, .. } = &mut request {
        *asked = follower;
    }
    request
}

/// A pass, and its vault at the target. What was changed just before would be taken for changed by the next one as well.
pub async fn passed(
    source: &Bench,
    target: &Bench,
    system: &StorePath,
    (pass, follower): (Pass, Follower),
) -> Captured {
    tokio::time::sleep(Duration::from_secs(4)).await;
    let captured = captured(&captures(source.ask(followed(pass, system, follower)).await), "web");
    carry_vault(source, target);
    captured
}

/// A migration came to nothing.
async fn given_up(source: &Bench, anew: bool) {
    let resume = Request::Resume { claim: claim(Uuid::now_v7()), anew };
    assert_eq!(source.ask(resume).await.answer.unwrap(), Answer::Resumed { not_started: Vec::new() });
}

/// The vault without one of its snapshots.
async fn carry_all_but(source: &Bench, target: &Bench, snapshot: &str) {
    carry_vault(source, target);
    sh(target, &format!("rm /srv/vault/snapshots/{snapshot}")).await;
}

/// The tags of a snapshot.
pub async fn tags(bench: &Bench, id: &str) -> Vec<String> {
    let call = format!("RESTIC_PASSWORD={KEY} restic -r /srv/vault --no-cache snapshots --json {id}");
    let listed: Value = serde_json::from_str(&sh(bench, &call).await).unwrap();
    let tags = listed[0]["tags"].as_array().unwrap();
    tags.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

/// What tells whether anything was done to a file of a room: its number, and when the kernel last changed it.
pub async fn touched(bench: &Bench, room: &str, name: &str) -> String {
    sh(bench, &format!("stat -c '%i %z' {room}/var/lib/web/{name}")).await
}

pub fn room(operation: Uuid) -> String {
    format!("/var/lib/.web.berth-new-{operation}")
}

#[tokio::test]
async fn what_has_changed_is_followed_and_nothing_else_is_touched() {
    let Some((source, target, path)) = copied_once("follow").await else { return };
    let operation = Uuid::now_v7();
    let first = passed(&source, &target, &path, LIVE).await;
    assert!(tags(&source, snapshot(&first)).await.contains(&"service:web".to_owned()));
    restored(&target, ahead(operation, &path)).await;
    let before = touched(&target, &room(operation), "sparse").await;
    // As if it had come and gone while everything was copied.
    sh(
        &target,
        &format!("mkdir -p {0}/stray/deep; touch {0}/stray/deep/x", room(operation) + "/var/lib/web"),
    )
    .await;

    source.run(&["python3", "-c", CHANGES]).await;
    // Whoever gives up goes on from it the next time.
    given_up(&source, false).await;
    let second = passed(&source, &target, &path, LIVE).await;
    assert!(tags(&source, snapshot(&second)).await.contains(&"delta:web".to_owned()));
    assert!(second.bytes_total < 1 << 20 && first.bytes_total > 1 << 20, "{first:?} {second:?}");
    let restored_then = restored(&target, ahead(operation, &path)).await;
    assert_eq!(restored_then.snapshots.keys().collect::<Vec<_>>(), [snapshot(&second)]);
    assert_eq!(touched(&target, &room(operation), "sparse").await, before);

    // Nothing has changed, and nothing is sent.
    let third = passed(&source, &target, &path, LIVE).await;
    assert_eq!((snapshot(&third), third.bytes_added), (snapshot(&second), 0));

    sh(&source, "cd /var/lib/web; echo last > last; chown web:web last; rm -r moved outside").await;
    let last = passed(&source, &target, &path, QUIESCED).await;
    let wanted = fingerprint(&source, &path).await;
    // The delta has been followed before the snapshot of everything is there, as it comes first.
    carry_all_but(&source, &target, snapshot(&last)).await;
    let changed = restored(&target, ahead(operation, &path)).await;
    assert!(changed.snapshots.len() == 1 && !changed.snapshots.contains_key(snapshot(&last)), "{changed:?}");
    carry_vault(&source, &target);
    assert_eq!(touched(&target, &room(operation), "sparse").await, before);
    let told = target.ask(reusing(operation, &path, &[("web", snapshot(&last))])).await;
    assert!(told.lines.iter().any(|line| line == "/var/lib/web was restored ahead"), "{:?}", told.lines);
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    assert_eq!(
        sh(&target, "stat -c '%U %a' /var/lib/web/hollow /var/lib/web/last").await,
        "root 2711\nweb 644"
    );
    nothing_is_left(&target).await;
}

#[tokio::test]
async fn whoever_has_lost_the_thread_begins_with_everything() {
    let Some((source, target, path)) = copied_once("thread").await else { return };
    let operation = Uuid::now_v7();
    passed(&source, &target, &path, LIVE).await;
    restored(&target, ahead(operation, &path)).await;
    source.run(&["python3", "-c", CHANGES]).await;
    passed(&source, &target, &path, LIVE).await;
    // What was restored is of another boot: not all of it may have reached the disk.
    let state = room(operation) + "/.berth-state";
    sh(&target, &format!("sed -i '1s/.*/another boot/' {state}; rm {}/var/lib/web/sparse", room(operation)))
        .await;
    restored(&target, ahead(operation, &path)).await;
    touched(&target, &room(operation), "sparse").await;

    // The source is to know no more what was there: everything is sent once more.
    given_up(&source, true).await;
    sh(&source, "echo other > /var/lib/web/plain").await;
    let whole = passed(&source, &target, &path, LIVE).await;
    assert!(tags(&source, snapshot(&whole)).await.contains(&"service:web".to_owned()));
    sh(&source, "rm /var/lib/web/plain").await;
    let last = passed(&source, &target, &path, QUIESCED).await;
    let wanted = fingerprint(&source, &path).await;
    // An operation that has never restored anything takes over what is there.
    let another = Uuid::now_v7();
    let all = restored(&target, ahead(another, &path)).await;
    assert!(all.snapshots.contains_key(snapshot(&last)), "{all:?}");
    let told = target.ask(reusing(another, &path, &[("web", snapshot(&last))])).await;
    assert_eq!(told.answer.unwrap(), Answer::Restored);
    assert_eq!(fingerprint(&target, &path).await, wanted);
    nothing_is_left(&target).await;
}

#[tokio::test]
async fn a_delta_that_reaches_out_of_its_directory_changes_nothing_of_the_machine() {
    let Some((source, target, path)) = copied_once("hostile").await else { return };
    let operation = Uuid::now_v7();
    passed(&source, &target, &path, LIVE).await;
    sh(&target, "mkdir -p /srv/precious; echo mine > /srv/precious/file").await;
    sh(&source, "rm /var/lib/web/outside; ln -s /srv/precious /var/lib/web/outside").await;
    passed(&source, &target, &path, LIVE).await;
    restored(&target, ahead(operation, &path)).await;
    // A link that is there already leads out, and the delta says that what is behind it goes.
    let entry = "b'g' + struct.pack('>I', len(path)) + path";
    forge(&source, &format!("open(changes, 'wb').write(b'berthch1\\0' + {entry} + b'e')")).await;
    carry_vault(&source, &target);
    let failure = target.ask(ahead(operation, &path)).await.failure();
    assert!(failure.message.contains("is a link"), "{failure}");
    assert_eq!(sh(&target, "cat /srv/precious/file").await, "mine");
    // Whoever opened this would wait for ever.
    forge(&source, "os.mkfifo(changes)").await;
    carry_vault(&source, &target);
    let failure = target.ask(ahead(operation, &path)).await.failure();
    assert!(failure.message.contains("does not say what it changes"), "{failure}");
}

/// Has the source's vault hold a delta that no agent would make.
async fn forge(source: &Bench, write: &str) {
    let forged = format!(
        "
import json, os, struct, subprocess, uuid
folder = '/var/lib/berth/capture/' + str(uuid.uuid4()) + '/web'
os.makedirs(folder)
path, changes = b'/var/lib/web/outside/file', folder + '/changes'
{write}
environment = dict(os.environ, RESTIC_PASSWORD='{KEY}')
restic = ['restic', '-r', '/srv/vault', '--no-cache']
listed = subprocess.run(restic + ['snapshots', '--json'], env=environment, capture_output=True)
honest = [snapshot['tags'] for snapshot in json.loads(listed.stdout) if 'forged' not in snapshot['tags']]
at = [tag for tags in honest for tag in tags if tag.startswith('at:')][-1]
tags = ['forged', 'delta:web', 'pass:live', at.replace('at:', 'from:'), 'at:' + str(uuid.uuid4())]
call = restic + ['backup', '--host', 'acme', changes]
subprocess.run(call + [word for tag in tags for word in ('--tag', tag)], env=environment, check=True)
"
    );
    source.run(&["python3", "-c", &forged]).await;
}
