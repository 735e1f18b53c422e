//! A machine that goes down in the middle of a restore: its boot puts the old state back before the services start.

use std::time::{Duration, Instant};

use berth_protocol::{Answer, Pass, Request};
use uuid::Uuid;

use crate::bench::{Bench, activate, ask, commit};
use crate::keeping::{active, at_rest, capture, fingerprint, restore, sh};
use crate::restoring::{PATIENT, changed, leftovers, nothing_is_left, until_it_waits};
use crate::systems::{system_of_a_tenant, unit_of_a_tenant};

/// Where a service writes down what it finds before it starts: its files, and how many items its database has.
const FOUND: &str = "/var/lib/found";

/// What the modules' unit looks for.
const LINK: &str = "/nix/var/nix/gcroots/berth/unsettled-agent";

/// Gives the machine what a tenant's system would have: the modules' own unit, services that ask for it, and a database server
/// that a boot starts.
async fn furnish(bench: &Bench) {
    let unit = |name: &str, text: &str| {
        let path = bench.file(&format!("/etc/systemd/system/{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    unit("berth-settle.service", &unit_of_a_tenant("berth-settle.service"));
    let asks = "[Unit]\nRequires=berth-settle.service\nAfter=berth-settle.service\n";
    let counts = "runuser -u postgres -- psql -XAtc 'SELECT count(*) FROM items' web";
    let looks = format!("ExecStartPre=/bin/sh -c \"ls /var/lib/web > {FOUND}; {counts} >> {FOUND}\"");
    unit("web.service.d/state.conf", &format!("{asks}[Service]\n{looks}\n"));
    unit("writer.service.d/state.conf", asks);
    let server = "[Service]\nType=notify\nUser=postgres\nRuntimeDirectory=postgresql\n\
        ExecStart=/usr/lib/postgresql/17/bin/postgres -D /var/lib/pg -k /run/postgresql\n\
        [Install]\nWantedBy=multi-user.target\n";
    unit("postgresql.service", server);
    // Debian's own of that name does nothing, and may have been started.
    sh(
        bench,
        "systemctl stop pg postgresql; systemctl daemon-reload; systemctl enable --now --quiet postgresql",
    )
    .await;
}

/// Asks for a restore, and has the machine go down when everything is exchanged and nothing is final yet.
async fn crash_in(bench: &Bench, request: Request) {
    let mut agent = bench.agent().await;
    let crash = async {
        until_it_waits(bench).await;
        let found = sh(bench, &format!("cat {FOUND}; rm {FOUND}")).await;
        assert!(
            found.contains("deep") && found.ends_with("5000"),
            "the services run on the new state: {found}"
        );
        assert!(bench.file(LINK).is_symlink());
        bench.machine.crash().await.unwrap();
    };
    let (told, ()) = tokio::join!(ask(&mut agent, request), crash);
    assert!(told.answer.is_err());
}

async fn boot(bench: &Bench) {
    bench.machine.start().await.unwrap();
    bench.machine.settled().await.unwrap();
    bench.reconnect().await;
}

#[tokio::test]
async fn a_machine_that_goes_down_in_a_restore_has_its_old_state_back_before_its_services_start() {
    let Some((bench, path, snapshot, [first, second])) = changed("crashed", PATIENT).await else { return };
    furnish(&bench).await;
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    crash_in(&bench, request.clone()).await;
    boot(&bench).await;
    let found = sh(&bench, &format!("cat {FOUND}")).await;
    assert!(found.contains("new") && !found.contains("deep") && found.ends_with("\n10"), "{found}");
    assert_eq!(active(&bench, &["berth-settle", "web", "writer"]).await, [true; 3]);
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(leftovers(&bench).await, "");
    assert_eq!(sh(&bench, "ls /nix/var/nix/gcroots/berth").await, "");

    // Asked for again it succeeds, and the next boot has nothing to do.
    sh(&bench, "touch /tmp/quick").await;
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    at_rest(&bench).await;
    assert_eq!(sh(&bench, "ls /nix/var/nix/gcroots/berth").await, "");
    bench.machine.crash().await.unwrap();
    boot(&bench).await;
    assert_eq!(active(&bench, &["berth-settle", "web", "writer"]).await, [false, true, true]);
    assert_eq!(fingerprint(&bench, &path).await, first);

    // What a restore replaced and had no time to remove goes with the next work on the state.
    sh(&bench, "touch /tmp/quick").await;
    let request = restore(Uuid::now_v7(), &path, &[("web", &snapshot)]);
    assert_eq!(bench.ask(request).await.answer.unwrap(), Answer::Restored);
    bench.machine.crash().await.unwrap();
    boot(&bench).await;
    assert_eq!(fingerprint(&bench, &path).await, first);
    bench.ask(capture(Uuid::now_v7(), &path, Pass::Quiesced)).await.answer.unwrap();
    nothing_is_left(&bench).await;
}

#[tokio::test]
async fn services_do_not_start_on_half_a_restore_and_the_old_state_comes_back_when_they_are_started() {
    let Some((bench, path, snapshot, [_, second])) = changed("halfway", PATIENT).await else { return };
    furnish(&bench).await;
    crash_in(&bench, restore(Uuid::now_v7(), &path, &[("web", &snapshot)])).await;
    // A database server that does not come up: half of the state cannot be put back.
    std::fs::rename(bench.file("/var/lib/pg"), bench.file("/var/lib/pg-away")).unwrap();
    bench.machine.start().await.unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while sh(&bench, "systemctl is-failed berth-settle || true").await != "failed" {
        assert!(Instant::now() < end);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(active(&bench, &["web", "writer"]).await, [false, false]);
    assert!(!bench.file(FOUND).exists() && bench.file(LINK).is_symlink());

    sh(&bench, "mv /var/lib/pg-away /var/lib/pg; systemctl start postgresql web").await;
    let found = sh(&bench, &format!("cat {FOUND}")).await;
    assert!(found.contains("new") && !found.contains("deep") && found.ends_with("\n10"), "{found}");
    assert!(!bench.file(LINK).is_symlink());
    bench.reconnect().await;
    assert_eq!(fingerprint(&bench, &path).await, second);
    assert_eq!(leftovers(&bench).await, "");
    // Those that ran when it went down run again, whoever was asked for.
    assert_eq!(active(&bench, &["web", "writer"]).await, [true, true]);
}

/// When a unit changed, in microseconds since the boot.
async fn moment(bench: &Bench, unit: &str, change: &str) -> u64 {
    let property = format!("--property={change}TimestampMonotonic");
    bench.run(&["systemctl", "show", "--value", &property, unit]).await.parse().unwrap()
}

#[tokio::test]
async fn a_tenants_whole_system_boots_and_asks_first_what_is_to_be_put_back() {
    let Some(bench) = Bench::set_up("whole").await else { return };
    let system = system_of_a_tenant();
    bench.copy(&system);
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &system)).await.activation();
    bench.ask(commit(operation, &system)).await.answer.unwrap();
    // As an agent leaves it that restores.
    sh(&bench, &format!("ln -s {} {LINK}", bench.agent_path)).await;
    bench.machine.crash().await.unwrap();
    boot(&bench).await;
    let units = ["postgresql", "berth-settle", "postgresql-setup", "gitea", "nginx"];
    assert_eq!(active(&bench, &units).await, [true; 5]);
    assert_eq!(sh(&bench, "systemctl is-system-running").await, "running");
    let settled = moment(&bench, "berth-settle", "ActiveEnter").await;
    assert!(
        moment(&bench, "postgresql", "ActiveEnter").await
            <= moment(&bench, "berth-settle", "InactiveExit").await
    );
    for unit in ["postgresql-setup", "gitea", "nginx"] {
        assert!(settled <= moment(&bench, unit, "InactiveExit").await, "{unit}");
    }
    assert!(!bench.file(LINK).is_symlink(), "nothing is left to be put back");
}
