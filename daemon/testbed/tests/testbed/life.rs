//! Boots, logins, reboots, crashes.

use std::time::{Duration, Instant};

use berth_testbed::{Disk, TestbedError};

use crate::host::{Bench, generate_key, ssh, stderr, stdout};

#[tokio::test]
async fn a_machine_answers_ssh_with_the_pinned_host_key_and_is_refused_with_another() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("pinned").await;
    let answer = bench.ssh(&machine, "hostname");
    assert_eq!(stdout(&answer), "pinned", "{}", stderr(&answer));

    let folder = tempfile::tempdir().unwrap();
    let other = generate_key(&folder.path().join("other"));
    let wrong_pin = folder.path().join("known_hosts");
    std::fs::write(&wrong_pin, format!("{} {}\n", machine.address(), other.without_comment())).unwrap();
    let refused = ssh(&machine, &bench.identity(), &wrong_pin, "true");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("Host key verification failed"), "{}", stderr(&refused));
}

#[tokio::test]
async fn a_machine_admits_only_the_authorized_key() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("admits").await;
    let folder = tempfile::tempdir().unwrap();
    let stranger = folder.path().join("stranger");
    generate_key(&stranger);
    let refused = ssh(&machine, &stranger, &bench.pin(&machine), "true");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("Permission denied (publickey)"), "{}", stderr(&refused));
    assert!(bench.ssh(&machine, "true").status.success(), "a refused login must not lock out the right one");
}

#[tokio::test]
async fn a_machine_has_nothing_failed_and_none_of_debians_services_running() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("settled").await;
    assert_eq!(machine.settled().await.unwrap(), "running");
    for unit in ["nginx", "postgresql", "redis-server"] {
        let state = machine.exec(&["systemctl", "is-active", unit]).await.unwrap();
        assert_eq!(stdout(&state), "inactive", "{unit}");
    }
    let clusters = machine.exec(&["pg_lsclusters", "--no-header"]).await.unwrap();
    assert_eq!(stdout(&clusters), "");
}

#[tokio::test]
async fn three_machines_boot_at_once_within_seconds_and_have_keys_and_identities_of_their_own() {
    let Some(bench) = Bench::set_up().await else { return };
    let started = Instant::now();
    let (one, two, three) = tokio::join!(bench.boot("one"), bench.boot("two"), bench.boot("three"));
    let took = started.elapsed();
    // 1.8 s on two idle cores; the limit leaves room for other tests beside this one.
    assert!(took < Duration::from_secs(20), "{took:?}");
    println!("three machines booted in {took:?}");

    let mut seen = std::collections::HashSet::new();
    for machine in [&one, &two, &three] {
        let id = stdout(&bench.ssh(machine, "cat /etc/machine-id"));
        assert_eq!(id.len(), 32, "{id}");
        assert!(seen.insert(id) && seen.insert(machine.host_key().without_comment()));
        assert!(seen.insert(machine.address().to_string()));
    }
    let taken = bench.testbed.boot(one.name(), &bench.key).await.unwrap_err();
    assert!(matches!(taken, TestbedError::NameTaken { .. }), "{taken}");
    assert!(bench.ssh(&one, "true").status.success(), "the first of that name must not suffer");
}

/// Where machines share control groups, one's systemd removes what the other's is about to start a program in.
#[tokio::test]
async fn units_of_one_name_on_two_machines_have_control_groups_of_their_own() {
    let Some(bench) = Bench::set_up().await else { return };
    let (one, two) = tokio::join!(bench.boot("grouped"), bench.boot("grouped-too"));
    for machine in [&one, &two] {
        let started = bench.ssh(machine, "systemd-run --unit=same sleep infinity");
        assert!(started.status.success(), "{}", stderr(&started));
    }
    for machine in [&one, &two] {
        let main = bench.ssh(machine, "systemctl show --property=MainPID --value same.service");
        let groups =
            "find /sys/fs/cgroup -path '*/same.service/cgroup.procs' -exec cat '{}' + | sort --unique";
        assert_eq!(stdout(&bench.ssh(machine, groups)), stdout(&main), "a 0 is another machine's process");
    }
}

#[tokio::test]
async fn a_reboot_and_a_crash_both_keep_the_disk_and_the_host_key() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("again").await;
    let boot = || stdout(&bench.ssh(&machine, "cat /proc/sys/kernel/random/boot_id"));
    assert!(bench.ssh(&machine, "echo kept > /srv/file && sync").status.success());
    let first = boot();
    machine.reboot().await.unwrap();
    assert_eq!(stdout(&bench.ssh(&machine, "cat /srv/file")), "kept");
    assert_ne!(boot(), first, "it must have booted once more");

    machine.crash().await.unwrap();
    assert!(!bench.ssh(&machine, "true").status.success(), "a crashed machine must not answer");
    let error = machine.exec(&["true"]).await.unwrap_err();
    assert!(matches!(error, TestbedError::NotRunning { .. }), "{error}");
    machine.start().await.unwrap();
    assert_eq!(stdout(&bench.ssh(&machine, "cat /srv/file")), "kept");
    assert_eq!(machine.settled().await.unwrap(), "running");
    let earlier =
        bench.ssh(&machine, &format!("journalctl --quiet --lines=1 --boot={}", first.replace('-', "")));
    assert!(!stdout(&earlier).is_empty(), "what was logged before must be readable: {}", stderr(&earlier));
}

#[tokio::test]
async fn a_machine_that_reboots_by_itself_comes_back() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("itself").await;
    bench.ssh(&machine, "touch /run/before; systemctl reboot");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !bench.ssh(&machine, "test ! -e /run/before").status.success() {
        assert!(Instant::now() < deadline, "not back");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stdout(&machine.exec(&["hostname"]).await.unwrap()), "itself");
}

#[tokio::test]
async fn a_program_inside_gets_its_arguments_as_they_are_and_its_exit_status_is_told() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("exec").await;
    let odd = "a b; $(reboot) 'c'";
    let output = machine.exec(&["printf", "%s", odd]).await.unwrap();
    assert_eq!(stdout(&output), odd);
    let failed = machine.exec(&["sh", "-c", "exit 7"]).await.unwrap();
    assert_eq!(failed.status.code(), Some(7));
}

#[tokio::test]
async fn a_limited_disk_runs_full_and_the_machine_survives_it() {
    let Some(bench) = Bench::set_up().await else { return };
    let disk = Disk::Limited { bytes: 64 * 1024 * 1024 };
    let machine = bench.testbed.boot_with(&"small".parse().unwrap(), &bench.key, disk).await.unwrap();
    let filled = bench.ssh(&machine, "head -c 100M /dev/zero > /srv/fill");
    assert!(stderr(&filled).contains("No space left on device"), "{}", stderr(&filled));
    assert!(bench.ssh(&machine, "rm /srv/fill && touch /srv/more").status.success());
}
