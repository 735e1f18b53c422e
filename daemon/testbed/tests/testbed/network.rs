//! Cut and healed networks, and machines that reach each other.

use crate::host::{Bench, stderr, stdout};

#[tokio::test]
async fn a_cut_network_makes_ssh_time_out_and_healing_brings_it_back() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("cut").await;
    for _ in 0..2 {
        machine.cut_network().await.unwrap();
        machine.cut_network().await.unwrap();
        let lost = bench.ssh(&machine, "true");
        assert!(stderr(&lost).contains("timed out"), "{}", stderr(&lost));
        let inside = machine.exec(&["hostname"]).await.unwrap();
        assert_eq!(stdout(&inside), "cut", "the machine itself must go on");

        machine.heal_network().await.unwrap();
        machine.heal_network().await.unwrap();
        let back = bench.ssh(&machine, "hostname");
        assert_eq!(stdout(&back), "cut", "{}", stderr(&back));
    }
}

#[tokio::test]
async fn a_cut_network_hangs_an_open_connection_which_goes_on_when_healed() {
    let Some(bench) = Bench::set_up().await else { return };
    let machine = bench.boot("hang").await;
    let (identity, pin) = (bench.identity(), bench.pin(&machine));
    let address = machine.address();
    let mut child = tokio::process::Command::new("ssh")
        .args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"])
        .arg(identity)
        .arg(format!("-oUserKnownHostsFile={}", pin.display()))
        .arg(format!("root@{address}"))
        .arg("touch /run/connected; sleep 2; echo done")
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while !machine.root_path().join("run").exists()
        || !machine.exec(&["test", "-e", "/run/connected"]).await.unwrap().status.success()
    {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    machine.cut_network().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert!(child.try_wait().unwrap().is_none(), "the connection must hang, not break");
    machine.heal_network().await.unwrap();
    let output = tokio::time::timeout(std::time::Duration::from_secs(30), child.wait_with_output());
    assert_eq!(stdout(&output.await.unwrap().unwrap()), "done");
}

#[tokio::test]
async fn two_machines_reach_each_other() {
    let Some(bench) = Bench::set_up().await else { return };
    let (one, two) = tokio::join!(bench.boot("here"), bench.boot("there"));
    let scan = ["ssh-keyscan", "-t", "ed25519", &two.address().to_string()].join(" ");
    let seen = bench.ssh(&one, &scan);
    assert!(stdout(&seen).contains(&two.host_key().without_comment()), "{}", stderr(&seen));
}
