//! Databases that are told by what changes in them, while somebody writes all the time.

use std::time::{Duration, Instant};

use berth_machine::StorePath;
use berth_protocol::{Answer, Captured, Follower, Pass, Replicate, Request};
use uuid::Uuid;

use crate::ahead::{ahead, copied_once, restored, reusing};
use crate::bench::{Bench, Told, claim};
use crate::keeping::{
    active, at_rest, capture, captured, captures, carry_vault, fingerprint, restore, sh, snapshot,
};
use crate::restoring::nothing_is_left;
use crate::wiping::psql;

/// Keeps what changes for whoever asks, up to a bound.
async fn keeps_changes(bench: &Bench) {
    psql(bench, "ALTER SYSTEM SET wal_level = logical").await;
    psql(bench, "ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'").await;
    restart(bench).await;
}

async fn restart(bench: &Bench) {
    sh(bench, "systemctl restart pg").await;
}

/// Has an account of the machine say something to the service's database.
async fn say(bench: &Bench, user: &str, script: &str) -> String {
    std::fs::write(bench.file("/srv/script.sql"), script).unwrap();
    let psql = "psql -XqAt -v ON_ERROR_STOP=1 -f /srv/script.sql web";
    sh(bench, &format!("chmod 644 /srv/script.sql; runuser -u {user} -- {psql}")).await
}

/// Two machines with a database of everything that a copy could get wrong, in which the unit `writer` writes all the time.
async fn written(name: &str) -> Option<(Bench, Bench, StorePath)> {
    let (source, target, path) = copied_once(name).await?;
    keeps_changes(&source).await;
    say(&source, "postgres", include_str!("tables.sql")).await;
    std::fs::write(source.file("/srv/writing.sql"), include_str!("writing.sql")).unwrap();
    let unit =
        "[Service]\\nUser=web\\nExecStart=/bin/sh -c 'while :; do psql -Xqf /srv/writing.sql web; done'\\n";
    sh(
        &source,
        &format!("chmod 644 /srv/*.sql; printf \"{unit}\" > /etc/systemd/system/writer.service; systemctl daemon-reload; systemctl restart writer"),
    )
    .await;
    Some((source, target, path))
}

/// A migration's passes at its source.
struct Moving<'a> {
    source: &'a Bench,
    target: &'a Bench,
    path: &'a StorePath,
    operation: Uuid,
    number: std::cell::Cell<u32>,
}

impl<'a> Moving<'a> {
    fn of((source, target, path): (&'a Bench, &'a Bench, &'a StorePath)) -> Self {
        Self { source, target, path, operation: Uuid::now_v7(), number: 0.into() }
    }

    fn request(&self, wanted: Pass, followed: &[String]) -> Request {
        self.number.set(self.number.get() + 1);
        let mut request = capture(self.operation, self.path, wanted);
        if let Request::Capture { follower, replicate, tag, .. } = &mut request {
            *follower = Follower::Restores;
            *replicate = Some(Replicate { above: 0, followed: followed.to_vec() });
            *tag = format!("pass.{}", self.number.get());
        }
        request
    }

    async fn told(&self, pass: Pass, followed: &[String]) -> (Captured, Told) {
        let told = self.source.ask(self.request(pass, followed)).await;
        carry_vault(self.source, self.target);
        let lines =
            Told { answer: Ok(Answer::Quiet), lines: told.lines.clone(), counts: vec![], transfers: vec![] };
        (captured(&captures(told), "web"), lines)
    }

    async fn live(&self) -> Captured {
        self.told(Pass::Live, &[]).await.0
    }

    /// The first pass, from which on the database is followed.
    async fn begun(&self) -> Captured {
        let (live, told) = self.told(Pass::Live, &[]).await;
        assert!(!live.replicas.is_empty(), "it goes as a dump: {:?}", told.lines);
        live
    }

    /// What the target has in place of what was sent.
    async fn followed(&self) -> Vec<String> {
        let restored = restored(self.target, ahead(self.operation, self.path)).await;
        assert!(restored.refused.is_empty(), "{restored:?}");
        restored.snapshots.into_keys().collect()
    }

    async fn last(&self, followed: &[String]) -> (Captured, Told) {
        let last = self.told(Pass::Final { quiet_seconds: 100 }, followed).await;
        assert_eq!(active(self.source, &["writer"]).await, [false]);
        last
    }

    async fn restore(&self, snapshot: &str) -> Told {
        let told = self.target.ask(reusing(self.operation, self.path, &[("web", snapshot)])).await;
        assert_eq!(*told.answer.as_ref().unwrap(), Answer::Restored);
        told
    }

    /// Nothing of ours is left at the source.
    async fn is_over(&self) {
        at_rest(self.source).await;
        assert_eq!(slots(self.source).await, "");
        assert_eq!(sh(self.source, "ls /var/lib/berth/slots 2>/dev/null || true").await, "");
        let timers = ["systemctl", "list-units", "--all", "--plain", "--no-legend", "berth-slots*"];
        assert_eq!(self.source.run(&timers).await, "");
        let ours = "SELECT count(*) FROM pg_publication";
        assert_eq!(say(self.source, "postgres", ours).await, "0");
    }
}

async fn slots(bench: &Bench) -> String {
    psql(bench, "SELECT slot_name FROM pg_replication_slots").await
}

/// A sum over every row of every table, every sequence and every large object.
async fn everything(bench: &Bench) -> String {
    let tables = r#"
SELECT format('SELECT %L, count(*), md5(string_agg(t::text, E''\n'' ORDER BY t::text COLLATE "C")) FROM %I.%I t', c.oid::regclass, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY c.oid::regclass::text
\gexec
SELECT format('SELECT %L, last_value, is_called FROM %s', oid::regclass, oid::regclass) FROM pg_class WHERE relkind = 'S' ORDER BY oid::regclass::text
\gexec
SELECT count(*), md5(string_agg(lo_get(oid)::text, ',' ORDER BY oid)), string_agg(oid::text, ',' ORDER BY oid) FROM pg_largeobject_metadata;
"#;
    say(bench, "postgres", tables).await
}

async fn pause() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

#[tokio::test]
async fn what_is_written_all_the_time_arrives_row_by_row() {
    let Some((source, target, path)) = written("replicate").await else { return };
    let moving = Moving::of((&source, &target, &path));
    let first = moving.begun().await;
    assert_eq!(first.replicas[0].database, "web");
    let base = slots(&source).await;
    assert!(base.starts_with("berth_") && !base.contains('\n'), "{base}");
    let followed = moving.followed().await;
    assert!(followed.contains(&first.replicas[0].newest), "{first:?} {followed:?}");
    for _ in 0..2 {
        pause().await;
        let next = moving.live().await;
        assert_ne!(next.replicas[0].newest, first.replicas[0].newest, "something was written");
        assert!(moving.followed().await.contains(&next.replicas[0].newest));
    }
    let broken_out = sh(&target, "ls /tmp/mischief 2>/dev/null || true").await;
    assert_eq!(broken_out, "", "a value was taken for a command");
    let triggered = "SELECT tgenabled FROM pg_trigger WHERE tgname = 'counting'; SELECT n FROM counted";

    pause().await;
    let (last, told) = moving.last(&moving.followed().await).await;
    assert_eq!(last.replicas.len(), 1, "{:?}", told.lines);
    assert!(told.lines.iter().any(|line| line.contains("only what changed last")), "{:?}", told.lines);
    moving.is_over().await;
    let dumps = "ls /var/lib/berth/capture 2>/dev/null || true";
    assert_eq!(sh(&source, dumps).await, "");
    // What is made of tables is made of them in the end.
    say(&source, "postgres", "REFRESH MATERIALIZED VIEW totals").await;
    let wanted = (everything(&source).await, fingerprint(&source, &path).await);
    assert!(wanted.0.lines().count() >= 20, "{}", wanted.0);
    moving.restore(snapshot(&last)).await;
    assert_eq!(everything(&target).await, wanted.0);
    assert_eq!(fingerprint(&target, &path).await, wanted.1);
    assert_eq!(say(&target, "postgres", triggered).await, say(&source, "postgres", triggered).await);
    nothing_is_left(&target).await;

    // It is a database as any other: triggers and references work, and nobody but an administrator knows where it came from.
    assert_eq!(psql(&target, "SELECT count(*) FROM pg_db_role_setting").await, "0");
    let works = "INSERT INTO pairs VALUES (-1, 'x', 'y'); SELECT n FROM counted";
    let before = say(&target, "web", "SELECT n FROM counted").await;
    assert_ne!(say(&target, "web", works).await, before);
    sh(
        &target,
        "runuser -u web -- psql -Xqc 'INSERT INTO children (a, b) VALUES (-2, 2)' web && exit 1 || true",
    )
    .await;

    // Whoever lost what was restored ahead begins with the first once more.
    let again = target.ask(restore(Uuid::now_v7(), &path, &[("web", snapshot(&last))])).await;
    assert_eq!(again.answer.unwrap(), Answer::Restored);
    assert_eq!(everything(&target).await, wanted.0);
}

#[tokio::test]
async fn tables_that_are_emptied_just_before_they_are_dumped_are_followed_all_the_same() {
    let Some((source, target, path)) = written("replempty").await else { return };
    sh(&source, "systemctl stop writer").await;
    say(&source, "web", "INSERT INTO pairs SELECT g, 'b', 'v' FROM generate_series(1, 10) g").await;
    // What has changed before cannot be done to a dump that has none of it, whichever table that is told of in between.
    let emptying = "DO $$ DECLARE had text := ''; found text; BEGIN FOR i IN 1..8 LOOP \
        LOOP SELECT string_agg(slot_name, ',') INTO found FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL; \
          EXIT WHEN found <> had; PERFORM pg_sleep(0.001); COMMIT; END LOOP; \
        had := found; INSERT INTO log (what) VALUES ('before'); COMMIT; UPDATE pairs SET v = 'x'; INSERT INTO uniq (k) VALUES ('k' || i); COMMIT; \
        TRUNCATE pairs CASCADE; COMMIT; INSERT INTO pairs VALUES (i, 'after', 'v'); INSERT INTO log (what) VALUES ('after'); COMMIT; \
        UPDATE pairs SET v = 'y'; COMMIT; END LOOP; END $$";
    std::fs::write(source.file("/srv/emptying.sql"), emptying).unwrap();
    let unit = "systemd-run --quiet --unit emptying --property=User=postgres psql -Xqf /srv/emptying.sql web";
    sh(
        &source,
        &format!("chmod 644 /srv/emptying.sql; {unit}; sleep 1; systemctl is-active --quiet emptying"),
    )
    .await;
    let moving = Moving::of((&source, &target, &path));
    let first = moving.begun().await;
    assert_eq!(say(&source, "web", "SELECT count(*) FROM pairs").await, "1", "it was emptied but once");
    sh(&source, "systemctl stop emptying").await;
    let followed = moving.followed().await;
    assert!(followed.contains(&first.replicas[0].newest), "{first:?} {followed:?}");
    assert_eq!(
        followed.len(),
        3,
        "all that is there, the dump, and what the dump could not have: {followed:?}"
    );
    say(&source, "web", "UPDATE pairs SET v = 'z'; INSERT INTO log (what) VALUES ('later')").await;
    moving.live().await;
    let (last, told) = moving.last(&moving.followed().await).await;
    assert_eq!(last.replicas.len(), 1, "{:?}", told.lines);
    say(&source, "postgres", "REFRESH MATERIALIZED VIEW totals").await;
    let wanted = everything(&source).await;
    moving.restore(snapshot(&last)).await;
    assert_eq!(everything(&target).await, wanted);
    moving.is_over().await;
}

#[tokio::test]
async fn whatever_is_killed_in_the_middle_nothing_comes_twice_and_nothing_is_lost() {
    let Some((source, target, path)) = written("replkill").await else { return };
    let moving = Moving::of((&source, &target, &path));
    let kill = "systemctl kill -s KILL 'berth-state-*.service'; true";
    // Before there is a first dump, in it, and while it is sent; then with pieces.
    for delay in [300, 1200, 2500, 0, 900, 1800] {
        if delay == 0 {
            moving.live().await;
        }
        let request = moving.request(Pass::Live, &[]);
        let mut agent = source.agent().await;
        let killing = async {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            sh(&source, kill).await;
        };
        let _ = tokio::join!(crate::bench::ask(&mut agent, request), killing);
        at_rest(&source).await;
    }
    let live = moving.live().await;
    assert_eq!(slots(&source).await.lines().count(), 1);
    // The target's work, too: what it was at is done once.
    for delay in [500, 1500, 2500] {
        let mut agent = target.agent().await;
        let killing = async {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            sh(&target, &format!("{kill}; pkill -KILL -x psql; true")).await;
        };
        let _ = tokio::join!(crate::bench::ask(&mut agent, ahead(moving.operation, &path)), killing);
        at_rest(&target).await;
    }
    assert!(moving.followed().await.contains(&live.replicas[0].newest));
    pause().await;
    let next = moving.live().await;
    let followed = moving.followed().await;
    assert!(followed.contains(&next.replicas[0].newest));
    let (last, told) = moving.last(&followed).await;
    assert_eq!(last.replicas.len(), 1, "{:?}", told.lines);
    say(&source, "postgres", "REFRESH MATERIALIZED VIEW totals").await;
    let wanted = everything(&source).await;
    moving.restore(snapshot(&last)).await;
    assert_eq!(everything(&target).await, wanted);
    nothing_is_left(&target).await;
    moving.is_over().await;
}

#[tokio::test]
async fn what_cannot_be_told_goes_as_a_dump_and_says_why() {
    let Some((source, target, path)) = written("replnot").await else { return };
    // It empties tables all the time, which is another reason.
    sh(&source, "systemctl stop writer").await;
    let says = |told: &Told, why: &str| {
        assert!(
            told.lines.iter().any(|line| line.contains("goes as a dump") && line.contains(why)),
            "{why}: {:?}",
            told.lines
        );
    };
    // A table without a key, which nobody may make behave otherwise.
    say(&source, "web", "CREATE TABLE keyless (a int); INSERT INTO keyless VALUES (1)").await;
    let moving = Moving::of((&source, &target, &path));
    let (live, told) = moving.told(Pass::Live, &[]).await;
    assert!(live.replicas.is_empty());
    says(&told, "the table public.keyless has no key");
    say(&source, "web", "UPDATE keyless SET a = 2; DELETE FROM keyless; DROP TABLE keyless").await;
    moving.is_over().await;
    // It stays so in this operation.
    let (live, told) = moving.told(Pass::Live, &[]).await;
    assert!(live.replicas.is_empty());
    says(&told, "the table public.keyless has no key");
    moving.is_over().await;
    // Whoever reads of the last pass alone learns it as well.
    let (last, told) = moving.last(&[]).await;
    assert!(last.replicas.is_empty());
    says(&told, "the table public.keyless has no key");
    give_up(&source, moving.operation).await;

    // Something is made otherwise in the middle.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    moving.followed().await;
    say(&source, "web", "ALTER TABLE log ADD more text DEFAULT 'x'").await;
    let (live, told) = moving.told(Pass::Live, &[]).await;
    assert!(live.replicas.is_empty());
    says(&told, "made otherwise");
    moving.is_over().await;

    // It comes back as it would look before, just before the end; nobody else is to take it for the same.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    let followed = moving.followed().await;
    say(&source, "web", "DROP TABLE \"Other \"\"one\".\"select\"; CREATE TABLE \"Other \"\"one\".\"select\" (\"from\" int PRIMARY KEY)").await;
    let (last, told) = moving.last(&followed).await;
    assert!(last.replicas.is_empty());
    says(&told, "made otherwise");
    moving.is_over().await;
    let wanted = everything(&source).await;
    moving.restore(snapshot(&last)).await;
    say(&source, "postgres", "REFRESH MATERIALIZED VIEW totals").await;
    assert_eq!(everything(&target).await.lines().count(), wanted.lines().count());
    assert_eq!(fingerprint(&target, &path).await, fingerprint(&source, &path).await);
    nothing_is_left(&target).await;
    assert_eq!(psql(&target, "SELECT count(*) FROM pg_database WHERE datname LIKE 'berth%'").await, "0");
    give_up(&source, moving.operation).await;

    // Whoever has not followed up to the last piece gets all of it.
    let moving = Moving::of((&source, &target, &path));
    let first = moving.begun().await;
    say(&source, "web", "INSERT INTO log (what) VALUES ('more')").await;
    moving.live().await;
    let (last, told) = moving.last(&[first.replicas[0].newest.clone()]).await;
    assert!(last.replicas.is_empty());
    says(&told, "has not followed");
    give_up(&source, moving.operation).await;

    // The server must not keep it without end, and says so when it kept too much.
    psql(&source, "ALTER SYSTEM SET max_slot_wal_keep_size = -1").await;
    restart(&source).await;
    let (live, told) = Moving::of((&source, &target, &path)).told(Pass::Live, &[]).await;
    assert!(live.replicas.is_empty());
    says(&told, "max_slot_wal_keep_size");
}

#[tokio::test]
async fn a_dump_gives_way_to_whoever_waits_for_its_tables() {
    let Some((source, target, path)) = written("replway").await else { return };
    sh(&source, "systemctl stop writer").await;
    let large = "CREATE TABLE large (id int PRIMARY KEY, v text); \
                 INSERT INTO large SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 200000) g";
    say(&source, "web", large).await;
    let moving = Moving::of((&source, &target, &path));
    // It holds its tables, and gets nowhere.
    let held = "until pgrep -x pg_dump >/dev/null; do sleep 0.01; done; sleep 0.3; pkill -STOP -x pg_dump";
    let waiting = async {
        sh(&source, held).await;
        let begun = Instant::now();
        say(&source, "web", "BEGIN; LOCK TABLE log; COMMIT").await;
        begun.elapsed()
    };
    let ((live, told), waited) = tokio::join!(moving.told(Pass::Live, &[]), waiting);
    assert!(waited > Duration::from_secs(8) && waited < Duration::from_secs(40), "{waited:?}");
    assert!(live.replicas.is_empty());
    assert!(told.lines.iter().any(|line| line.contains("others wait for its tables")), "{:?}", told.lines);
    moving.is_over().await;
}

#[tokio::test]
async fn tables_that_look_as_before_and_hold_something_else_go_as_a_dump() {
    let Some((source, target, path)) = written("replrewritten").await else { return };
    sh(&source, "systemctl stop writer").await;
    let told_after = async |script: &str| {
        let moving = Moving::of((&source, &target, &path));
        moving.begun().await;
        say(&source, "web", script).await;
        let (live, told) = moving.told(Pass::Live, &[]).await;
        give_up(&source, moving.operation).await;
        (live.replicas.len(), told)
    };
    say(
        &source,
        "web",
        "CREATE TABLE numbers (id int PRIMARY KEY, n int); INSERT INTO numbers VALUES (1, 1); INSERT INTO log (what) VALUES ('Ä'); \
         CREATE TABLE twin (id int PRIMARY KEY, v text); CREATE TABLE other (id int PRIMARY KEY, v text); \
         CREATE MATERIALIZED VIEW unfilled AS SELECT count(*) FROM log WITH NO DATA",
    )
    .await;
    for script in [
        "ALTER TABLE log ALTER what TYPE text USING lower(what)",
        "ALTER TABLE log SET UNLOGGED; UPDATE log SET what = 'x'; ALTER TABLE log SET LOGGED",
        "ALTER TABLE numbers SET UNLOGGED; UPDATE numbers SET n = 2; ALTER TABLE numbers SET LOGGED",
        "ALTER TABLE twin RENAME TO once; ALTER TABLE other RENAME TO twin; ALTER TABLE once RENAME TO other; INSERT INTO twin VALUES (1, 'x'); \
         ALTER TABLE twin RENAME TO once; ALTER TABLE other RENAME TO twin; ALTER TABLE once RENAME TO other",
        "REFRESH MATERIALIZED VIEW unfilled",
    ] {
        let (replicas, told) = told_after(script).await;
        assert_eq!(replicas, 0, "{script}");
        assert!(told.lines.iter().any(|line| line.contains("made otherwise")), "{script}: {:?}", told.lines);
    }
    // Nothing of this is another table.
    for script in [
        "ANALYZE; REFRESH MATERIALIZED VIEW totals",
        "TRUNCATE log RESTART IDENTITY; INSERT INTO log (what) VALUES ('y')",
        "VACUUM log",
        "VACUUM FULL log",
        "REINDEX TABLE log",
    ] {
        let (replicas, told) = told_after(script).await;
        assert_eq!(replicas, 1, "{script}: {:?}", told.lines);
    }

    // A table that came and went behind the last live pass is found before the target would fail of it.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    let followed = moving.followed().await;
    say(
        &source,
        "web",
        "CREATE TABLE scratch (id int PRIMARY KEY); INSERT INTO scratch VALUES (1); DROP TABLE scratch",
    )
    .await;
    let (last, told) = moving.last(&followed).await;
    assert!(last.replicas.is_empty());
    assert!(
        told.lines.iter().any(|line| line.contains("there is no table public.scratch")),
        "{:?}",
        told.lines
    );
    moving.is_over().await;
    moving.restore(snapshot(&last)).await;
    assert_eq!(everything(&target).await, everything(&source).await);
}

async fn give_up(bench: &Bench, operation: Uuid) {
    let told = bench.ask(Request::Resume { claim: claim(operation), anew: false }).await;
    assert_eq!(told.answer.unwrap(), Answer::Resumed { not_started: Vec::new() });
}

async fn resume(bench: &Bench, operation: Uuid) {
    give_up(bench, operation).await;
    sh(bench, "systemctl is-active --quiet writer").await;
}

#[tokio::test]
async fn a_server_keeps_nothing_for_anybody_who_has_given_up_or_is_gone() {
    let Some((source, target, path)) = written("replgone").await else { return };
    // Given up.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    assert_ne!(slots(&source).await, "");
    resume(&source, moving.operation).await;
    moving.is_over().await;
    // Nobody follows any more, in the middle.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    assert_ne!(slots(&source).await, "");
    source.ask(capture(moving.operation, &path, Pass::Live)).await.answer.unwrap();
    moving.is_over().await;
    // Another begins.
    let forgotten = Moving::of((&source, &target, &path));
    forgotten.live().await;
    let before = slots(&source).await;
    source.ask(capture(Uuid::now_v7(), &path, Pass::Live)).await.answer.unwrap();
    assert_ne!(before, "");
    moving.is_over().await;
    // The machine boots, by what every tenant's system has for that.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    assert_ne!(slots(&source).await, "");
    let agent = "/nix/var/nix/gcroots/berth/unsettled-agent/bin/berth-agent";
    sh(&source, &format!("test -x {agent} && {agent} settle --boot")).await;
    moving.is_over().await;
    assert_eq!(sh(&source, "ls /nix/var/nix/gcroots/berth").await, "");
    let (live, told) = moving.told(Pass::Live, &[]).await;
    assert!(
        live.replicas.is_empty() && told.lines.iter().any(|line| line.contains("slot is gone")),
        "{:?}",
        told.lines
    );
    // Nobody has gone on for long.
    let moving = Moving::of((&source, &target, &path));
    moving.begun().await;
    sh(&source, "systemctl start berth-slots.service").await;
    let end = Instant::now() + Duration::from_secs(30);
    while !slots(&source).await.is_empty() {
        assert!(Instant::now() < end);
        pause().await;
    }
    moving.is_over().await;
}
