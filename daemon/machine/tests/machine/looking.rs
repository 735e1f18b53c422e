//! Facts, probes and logs.

use std::time::{Duration, Instant};

use berth_machine::outside;
use berth_protocol::{Answer, FailureCode, Health, Request};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::systems::{SWITCH, system};

fn probe(name: &str, path: &str, contains: &str) -> Value {
    json!({ "name": name, "host": "web.acme.example", "scheme": "http", "path": path, "status": 200,
        "contains": contains })
}

async fn health(bench: &Bench, path: &berth_machine::StorePath, seconds: u64) -> (Health, Vec<(u64, u64)>) {
    let told = bench.ask(Request::Probe { system: path.to_string(), timeout_seconds: seconds }).await;
    match told.answer.unwrap() {
        Answer::Health(health) => (health, told.counts),
        other => panic!("{other:?}"),
    }
}

/// Starts a web server on port 80 that is up after `seconds`.
async fn serve(bench: &Bench, seconds: u32) {
    bench.run(&["mkdir", "-p", "/srv/web"]).await;
    bench.run(&["sh", "-c", "echo all is well > /srv/web/health"]).await;
    let script = format!("sleep {seconds}; cd /srv/web; exec python3 -m http.server 80");
    bench.run(&["systemd-run", "--quiet", "--unit=web", "sh", "-c", &script]).await;
}

#[tokio::test]
async fn facts_are_the_machines() {
    let Some(bench) = Bench::set_up("facts").await else { return };
    let facts = bench.facts().await;
    assert!(facts.os.contains("trixie"), "{}", facts.os);
    assert!(facts.systemd_version.unwrap().starts_with("257"));
    assert!(facts.nix_version.unwrap().starts_with("2.26"));
    assert_eq!(facts.nixos_version, None);
    assert_eq!((facts.running_system, facts.committed_system), (None, None));
    assert!(
        facts.disk_bytes > facts.disk_available_bytes && facts.memory_bytes > facts.memory_available_bytes
    );
    assert!(!facts.kernel.is_empty() && facts.processors > 0);
}

#[tokio::test]
async fn services_are_waited_for_until_units_and_probes_are_well_inside_and_outside() {
    let Some(bench) = Bench::set_up("healthy").await else { return };
    let service = json!({ "units": ["web.service"], "probes": [probe("health", "/health", "all is well")] });
    let path = system("healthy", SWITCH, service);
    bench.copy(&path);
    serve(&bench, 2).await;
    let (found, counts) = health(&bench, &path, 60).await;
    assert!(found.healthy, "{found:?}");
    assert_eq!((found.units[0].state.as_str(), found.probes[0].status), ("active", Some(200)));
    assert_eq!(counts, [(1, 2), (2, 2)]);

    let manifest = std::fs::read(format!("{path}/etc/berth/manifest.json")).unwrap();
    let manifest = serde_json::from_slice(&manifest).unwrap();
    let address = bench.spec().address;
    let found = outside::probe_manifest(&address, &manifest, Duration::from_secs(5)).await;
    assert!(found.healthy, "{found:?}");
    bench.run(&["systemctl", "stop", "web"]).await;
    let found = outside::probe_manifest(&address, &manifest, Duration::from_secs(1)).await;
    assert!(!found.healthy && found.probes[0].problem.is_some(), "{found:?}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_words_when_the_time_is_over() {
    let Some(bench) = Bench::set_up("sick").await else { return };
    let probes = [probe("health", "/health", "nothing is well"), probe("gone", "/gone", "")];
    let path =
        system("sick", SWITCH, json!({ "units": ["web.service", "absent.service"], "probes": probes }));
    bench.copy(&path);
    serve(&bench, 0).await;
    let (found, _) = health(&bench, &path, 3).await;
    assert!(!found.healthy);
    let problems: Vec<_> = found.probes.iter().map(|probe| probe.problem.clone().unwrap()).collect();
    assert_eq!(problems, ["the answer does not contain “nothing is well”", "answered 404 instead of 200"]);
    let units: Vec<_> = found.units.iter().map(|unit| (unit.state.as_str(), unit.healthy)).collect();
    assert_eq!(units, [("active", true), ("inactive", false)]);
}

#[tokio::test]
async fn a_unit_that_has_failed_for_good_is_not_waited_for_to_the_end() {
    let Some(bench) = Bench::set_up("failed").await else { return };
    let path = system("failed", SWITCH, json!({ "units": ["web.service"] }));
    bench.copy(&path);
    // It has failed before it is looked at: a unit that has just been started is active for a moment.
    let fail = "systemd-run --quiet --wait --unit=web sh -c 'echo why it failed; exit 1' || true";
    bench.run(&["sh", "-c", fail]).await;
    let began = Instant::now();
    let (found, _) = health(&bench, &path, 60).await;
    assert_eq!((found.healthy, found.units[0].state.as_str()), (false, "failed"));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());

    let request = Request::Logs { units: vec!["web.service".into(), "absent.service".into()], lines: 5 };
    let Answer::Logs(logs) = bench.ask(request).await.answer.unwrap() else { panic!() };
    assert_eq!(logs.len(), 2);
    assert!(
        logs[0].lines.len() <= 5 && logs[0].lines.iter().any(|line| line.contains("why it failed")),
        "{logs:?}"
    );
    assert!(logs[1].lines.is_empty());
    let failure =
        bench.ask(Request::Logs { units: vec!["--vacuum-size=1".into()], lines: 5 }).await.failure();
    assert_eq!(failure.code, FailureCode::BadCall);
}

#[tokio::test]
async fn https_is_probed_inside_whatever_the_certificate_and_outside_only_with_a_good_one() {
    let Some(bench) = Bench::set_up("https").await else { return };
    let mut probe = probe("health", "/health", "all is well");
    probe["scheme"] = "https".into();
    let path = system("https", SWITCH, json!({ "probes": [probe] }));
    bench.copy(&path);
    let (found, _) = health(&bench, &path, 0).await;
    assert!(found.probes[0].problem.as_ref().unwrap().contains("connect"), "{found:?}");

    bench.run(&["sh", "-c", "mkdir /srv/web; echo all is well > /srv/web/health"]).await;
    let certificate =
        "req -x509 -newkey ed25519 -nodes -days 2 -subj /CN=x -keyout /run/key.pem -out /run/cert.pem";
    let certificate: Vec<_> = std::iter::once("openssl").chain(certificate.split(' ')).collect();
    bench.run(&certificate).await;
    let server = "import http.server as h, os, ssl; os.chdir('/srv/web')
s = h.HTTPServer(('', 443), h.SimpleHTTPRequestHandler)
c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER); c.load_cert_chain('/run/cert.pem', '/run/key.pem')
s.socket = c.wrap_socket(s.socket, server_side=True); s.serve_forever()";
    bench.run(&["systemd-run", "--quiet", "--unit=web", "python3", "-c", server]).await;
    let (found, _) = health(&bench, &path, 30).await;
    assert!(found.healthy, "{found:?}");

    let manifest = std::fs::read(format!("{path}/etc/berth/manifest.json")).unwrap();
    let manifest = serde_json::from_slice(&manifest).unwrap();
    let found = outside::probe_manifest(&bench.spec().address, &manifest, Duration::from_secs(1)).await;
    let problem = found.probes[0].problem.clone().unwrap();
    assert!(problem.contains("certificate"), "{problem}");
}
