//! The real `nix`: evaluate, build, copy, ask.

use std::path::Path;
use std::time::Duration;

use berth_domain::progress::Unit;
use berth_nix::{Destination, Nix, NixError, NixOptions, Run, StorePath, Update};

use crate::support::{Seen, ample, derivation, instantiate, nix, unique};

fn flake(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{{ outputs = _: {{ nixosConfigurations.\"vm-1\".config = {config}; }}; }}");
    std::fs::write(folder.path().join("flake.nix"), text).unwrap();
    folder
}

fn last_progress(seen: &Seen, of: Unit) -> Option<(u64, Option<u64>)> {
    seen.all().iter().rev().find_map(|update| match update {
        Update::Progress(p) if p.unit == of => Some((p.done, p.expected)),
        _ => None,
    })
}

#[tokio::test]
async fn a_missing_nix_and_one_that_is_too_old_are_told_apart() {
    let of = |program: &Path| Nix::new(NixOptions { program: program.to_owned(), ..NixOptions::default() });
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("nix");
    assert!(matches!(of(&program).version().await, Err(NixError::NotFound { .. })));
    script(&program, "echo 'nix (Nix) 2.3.16'");
    let error = of(&program).version().await.unwrap_err();
    assert_eq!(error.to_string(), "Nix 2.3 is too old; at least 2.8 is needed");
    script(&program, "echo hello");
    assert!(matches!(of(&program).version().await, Err(NixError::UnexpectedOutput { .. })));
}

/// Writes a program as a whole before it can be run: a file that is open for writing cannot be.
pub fn script(program: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    let new = program.with_extension("new");
    std::fs::write(&new, format!("#!/bin/sh\n{body}\n")).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::rename(new, program).unwrap();
}

#[tokio::test]
async fn a_system_is_evaluated_built_rooted_and_found_in_the_store() {
    let Some(nix) = nix() else { return };
    nix.version().await.unwrap();
    // Evaluation is pure, so the system is named.
    let system = format!("{}-linux", std::env::consts::ARCH);
    let toplevel = derivation("system", "echo one; echo two; echo x > $out; exit 0", "null")
        .replace("builtins.currentSystem", &format!("\"{system}\""));
    let flake = flake(&format!(
        "{{ system.build.toplevel = {toplevel}; berth.manifest = {{ version = 1; title = \"é\"; }}; }}"
    ));
    let machine = "vm-1".parse().unwrap();
    let found = nix.evaluate(flake.path(), &machine, &ample(), |_| {}).await.unwrap();
    assert_eq!(found.manifest, serde_json::json!({"version": 1, "title": "é"}));
    assert!(!flake.path().join("flake.lock").exists());
    assert!(!nix.is_valid(&found.system).await.unwrap());

    let seen = Seen::default();
    let root = flake.path().join("root");
    let built = nix.build(&found.drv, Some(&root), &ample(), seen.sink()).await.unwrap();
    assert_eq!(built, std::slice::from_ref(&found.system));
    assert_eq!(std::fs::read_link(&root).unwrap().to_str().unwrap(), found.system.as_str());
    assert!(nix.is_valid(&found.system).await.unwrap());
    assert!(seen.has_line("one") && seen.has_line("two"));
    assert_eq!(last_progress(&seen, Unit::Builds), Some((1, Some(1))));

    let info = nix.path_info(&found.system).await.unwrap();
    assert_eq!((info.nar_bytes, info.closure_bytes), (120, 120));
    assert!(info.references.is_empty());

    let seen = Seen::default();
    assert_eq!(nix.build(&found.drv, None, &ample(), seen.sink()).await.unwrap(), [found.system]);
    assert_eq!(seen.all(), [], "what exists is not built, and nothing is told about it");
}

#[tokio::test]
async fn an_evaluation_error_names_the_option_and_repeats_itself() {
    let Some(nix) = nix() else { return };
    let flake = flake(
        r#"{ system.build.toplevel = builtins.addErrorContext "while evaluating the option `x'"
             (throw "A definition for option `berth.tenant.domain' is not of type `string'."); }"#,
    );
    let machine = "vm-1".parse().unwrap();
    for _ in 0..2 {
        let error = nix.evaluate(flake.path(), &machine, &ample(), |_| {}).await.unwrap_err();
        let NixError::EvaluationFailed { message } = error else { panic!("{error:?}") };
        assert_eq!(message, "A definition for option `berth.tenant.domain' is not of type `string'.");
    }
    std::fs::write(flake.path().join("flake.nix"), "{").unwrap();
    let error = nix.evaluate(flake.path(), &machine, &ample(), |_| {}).await.unwrap_err().to_string();
    assert!(error.contains("syntax error") && error.contains("flake.nix:1:"), "{error}");
}

#[tokio::test]
async fn a_failing_build_tells_the_derivation_its_last_fifty_lines_and_nixs_message() {
    let Some(nix) = nix() else { return };
    let script = "i=1; while [ $i -le 60 ]; do echo line $i; i=$((i+1)); done; exit 3";
    let broken = derivation("broken", script, "null");
    let top = instantiate(&derivation("top", "exit 0", &broken));
    let error = nix.build(&top, None, &ample(), |_| {}).await.unwrap_err();
    let NixError::BuildFailed { derivation, log, message } = error else { panic!("{error:?}") };
    assert!(derivation.unwrap().ends_with("-broken.drv"));
    assert_eq!(log, (11..=60).map(|i| format!("line {i}")).collect::<Vec<_>>());
    assert!(message.contains("failed with exit code 3") && !message.contains('\u{1b}'), "{message}");
}

#[tokio::test]
async fn a_copy_reports_paths_and_bytes_and_a_second_one_copies_nothing() {
    let Some(nix) = nix() else { return };
    let library = derivation("library", "echo x > $out; exit 0", "null");
    let drv = instantiate(&derivation("app", "echo $input > $out; exit 0", &library));
    let paths = nix.build(&drv, None, &ample(), |_| {}).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("local?root={}", folder.path().display());
    let to = Destination { url: &url, ssh_options: None, socket: None };
    let seen = Seen::default();
    nix.copy(&paths, to, &ample(), seen.sink()).await.unwrap();
    let bytes = nix.path_info(&paths[0]).await.unwrap().closure_bytes;
    assert_eq!(last_progress(&seen, Unit::Paths), Some((2, Some(2))));
    assert_eq!(last_progress(&seen, Unit::Bytes), Some((bytes, Some(bytes))));
    assert!(folder.path().join(&paths[0].as_str()[1..]).exists());
    let seen = Seen::default();
    nix.copy(&paths, to, &ample(), seen.sink()).await.unwrap();
    assert_eq!(last_progress(&seen, Unit::Paths), None);
}

#[tokio::test]
async fn a_copy_to_nowhere_fails_with_the_reason_and_one_of_an_absent_path_with_its_name() {
    let Some(nix) = nix() else { return };
    let drv = instantiate(&derivation("x", "echo x > $out; exit 0", "null"));
    let paths = nix.build(&drv, None, &ample(), |_| {}).await.unwrap();
    // Port 1 of this machine: nobody listens there, so `ssh` is refused at once (or is not installed).
    let to = Destination {
        url: "ssh-ng://root@127.0.0.1",
        ssh_options: Some("-p 1 -o BatchMode=yes -o ConnectTimeout=5"),
        socket: None,
    };
    let error = nix.copy(&paths, to, &ample(), |_| {}).await.unwrap_err();
    let NixError::CopyFailed { message } = error else { panic!("{error:?}") };
    assert!(message.contains("refused") || message.contains("ssh"), "{message}");
    let absent: StorePath = "/nix/store/00000000000000000000000000000000-absent".parse().unwrap();
    let error = nix.copy(&[absent], to, &ample(), |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("-absent"), "{error}");
}

#[tokio::test]
async fn a_folder_is_added_under_the_name_that_was_asked_for() {
    let Some(nix) = nix() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), unique()).unwrap();
    let add = async |name| nix.add_tree(folder.path(), name, &ample(), |_| {}).await;
    let path = add("berth-platform").await.unwrap();
    assert!(path.as_str().ends_with("-berth-platform"));
    assert!(nix.is_valid(&path).await.unwrap());
    assert_eq!(add("berth-platform").await.unwrap(), path);
    for bad in ["", ".", "-x", "a b", "a/b", "--help"] {
        assert!(matches!(add(bad).await, Err(NixError::BadArgument { .. })), "{bad}");
    }
}

#[tokio::test]
async fn progress_stays_below_twenty_reports_a_second_and_ends_with_the_last_count() {
    let Some(nix) = nix() else { return };
    let inputs: Vec<String> =
        (0..20).map(|i| derivation(&format!("part-{i}"), "echo x > $out; exit 0", "null")).collect();
    let drv =
        instantiate(&derivation("whole", "echo x > $out; exit 0", &format!("[ {} ]", inputs.join(" "))));
    let seen = Seen::default();
    let started = std::time::Instant::now();
    nix.build(&drv, None, &Run::within(Duration::from_secs(120)), seen.sink()).await.unwrap();
    let most = started.elapsed().as_millis() / 50 + 2;
    let reports = seen.all().iter().filter(|update| matches!(update, Update::Progress(_))).count();
    assert!(reports as u128 <= most, "{reports} reports, at most {most} expected");
    assert_eq!(last_progress(&seen, Unit::Builds), Some((21, Some(21))));
}
