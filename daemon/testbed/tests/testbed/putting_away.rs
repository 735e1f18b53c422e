//! Nothing is left: after stopping, dropping, failing, being killed; and kept machines stay until they are
//! stopped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use berth_testbed::{Kept, Testbed, TestbedError, TestbedOptions};

use crate::host::{Bench, Traces, can_boot};

const ALL: &[&str] = &["mount", "namespace", "interface", "process", "cgroup", "folder", "disk"];

#[tokio::test]
async fn stopping_a_testbed_leaves_no_mount_namespace_interface_process_or_folder() {
    let Some(bench) = Bench::set_up().await else { return };
    let (one, two) = tokio::join!(bench.boot("gone"), bench.boot("gone-too"));
    let traces = [Traces::of(&one), Traces::of(&two)];
    assert_eq!(traces[0].found(), ALL, "the test must see what it looks for");
    let run = bench.testbed.folder().to_owned();
    bench.testbed.stop().await.unwrap();
    assert!(traces.iter().all(|traces| traces.found().is_empty()), "{:?}", traces[0].found());
    assert!(!run.exists());
}

#[tokio::test]
async fn dropping_a_machine_puts_away_this_one_and_no_other() {
    let Some(bench) = Bench::set_up().await else { return };
    let (one, two) = tokio::join!(bench.boot("dropped"), bench.boot("stays"));
    let traces = [Traces::of(&one), Traces::of(&two)];
    drop(one);
    assert_eq!(traces[0].found(), [""; 0]);
    assert_eq!(traces[1].found(), ALL);
    assert!(bench.ssh(&two, "true").status.success());
    let again = bench.boot("dropped").await;
    again.remove().await.unwrap();
    assert_eq!(traces[0].found(), [""; 0]);
}

#[tokio::test]
async fn a_boot_that_is_given_up_leaves_nothing() {
    let Some(bench) = Bench::set_up().await else { return };
    let name = "given-up".parse().unwrap();
    for milliseconds in [1, 20, 40, 60, 100, 200] {
        let limit = std::time::Duration::from_millis(milliseconds);
        let _ = tokio::time::timeout(limit, bench.testbed.boot(&name, &bench.key)).await;
        let machines = bench.testbed.folder().join("machines");
        assert_eq!(std::fs::read_dir(machines).unwrap().count(), 0, "after {milliseconds} ms");
    }
    let run = bench.testbed.folder().file_name().unwrap().to_string_lossy().into_owned();
    for claim in std::fs::read_dir("/run/berth-testbed/networks").unwrap().flatten() {
        let owner = std::fs::read_to_string(claim.path()).unwrap_or_default();
        assert!(!owner.starts_with(&run), "{owner}");
    }
}

#[tokio::test]
async fn a_machine_that_cannot_boot_is_told_with_the_end_of_its_console() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("broken").await;
    machine.stop().await.unwrap();
    // Without an init there is nothing that could boot.
    std::fs::remove_file(machine.root_path().join("usr/lib/systemd/systemd")).unwrap();
    for other in ["usr/sbin/init", "usr/bin/sh", "usr/bin/bash"] {
        let _ = std::fs::remove_file(machine.root_path().join(other));
    }
    let error = machine.start().await.unwrap_err();
    let TestbedError::NotUp { reason, console, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "it ended");
    assert!(!console.is_empty());
}

#[tokio::test]
async fn when_no_network_of_the_range_is_free_a_boot_is_refused_with_the_range() {
    let Some(bench) = Bench::set_up().await else { return };
    let first = bench.boot("first").await;
    let number = first.address().octets()[2];
    let options = TestbedOptions { networks: number..=number, ..TestbedOptions::default() };
    let narrow = Testbed::new(options, &mut |_| ()).await.unwrap();
    let error = narrow.boot(&"second".parse().unwrap(), &bench.key).await.unwrap_err();
    assert!(matches!(error, TestbedError::NoFreeNetwork { .. }), "{error}");
}

#[tokio::test]
async fn what_a_killed_process_leaves_behind_is_swept_even_by_two_at_once() {
    if !can_boot().await {
        return;
    }
    let mut child = boot_in_another_process();
    let traces = first_machine(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(traces.found().contains(&"mount"), "killing must leave something, or this test shows nothing");
    let state = Path::new("/run/berth-testbed");
    let (one, two) = tokio::join!(Testbed::sweep(state), Testbed::sweep(state));
    one.unwrap();
    two.unwrap();
    assert_eq!(traces.found(), [""; 0]);
}

#[tokio::test]
async fn sweeping_leaves_the_machines_of_running_processes_alone() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("alive").await;
    Testbed::sweep(Path::new("/run/berth-testbed")).await.unwrap();
    assert!(bench.ssh(&machine, "true").status.success());
}

#[tokio::test]
async fn a_kept_testbed_outlives_its_holder_and_is_stopped_by_whoever_attaches_to_it() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("kept").await;
    let (traces, folder) = (Traces::of(&machine), bench.testbed.folder().to_owned());
    bench.testbed.keep().unwrap();
    drop((machine, bench.testbed));
    assert_eq!(traces.found(), ALL);
    Testbed::sweep(Path::new("/run/berth-testbed")).await.unwrap();
    assert_eq!(traces.found(), ALL, "sweeping must leave what is kept");
    assert!(Kept::list(Path::new("/run/berth-testbed")).unwrap().contains(&folder));

    let kept = Kept::attach(&folder).unwrap();
    assert_eq!(kept.machines().unwrap()[0].name.as_str(), "kept");
    kept.stop().await.unwrap();
    assert_eq!(traces.found(), [""; 0]);
    assert!(!folder.exists());
}

/// The example beside the tests, which cargo builds with them.
fn boot_in_another_process() -> Child {
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/boot");
    Command::new(example).arg("killed").stdout(Stdio::piped()).spawn().unwrap()
}

fn first_machine(child: &mut Child) -> Traces {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let machine: serde_json::Value = serde_json::from_str(&line).unwrap();
    let root = PathBuf::from(machine["root"].as_str().unwrap());
    Traces::at(&root, machine["address"].as_str().unwrap().parse().unwrap())
}
