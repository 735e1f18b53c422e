//! A store whose paths are not on the disk as Nix registered them.

use berth_machine::StorePath;
use berth_protocol::{Answer, Request, StoreCheck};
use serde_json::json;
use uuid::Uuid;

use crate::bench::{Bench, activate, commit};
use crate::systems::{SWITCH, system};

const MANIFEST: &str = "etc/berth/manifest.json";

async fn check(bench: &Bench, system: &StorePath, always: bool) -> StoreCheck {
    let system = system.as_str().to_owned();
    match bench.ask(Request::CheckStore { system, always }).await.answer.unwrap() {
        Answer::Store(check) => check,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_damaged_path_is_named_after_a_boot_or_when_asked_for_until_it_is_whole_again() {
    let Some(bench) = Bench::set_up("checking").await else { return };
    let system = system("checked", SWITCH, json!({}));
    bench.copy(&system);
    assert_eq!(check(&bench, &system, false).await, StoreCheck::default());
    let operation = Uuid::now_v7();
    bench.ask(activate(operation, &system)).await.activation();
    bench.ask(commit(operation, &system)).await.answer.unwrap();

    let file = bench.file(&format!("{system}/{MANIFEST}"));
    let whole = std::fs::read(&file).unwrap();
    let write = |bytes: &[u8]| {
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, bytes).unwrap();
        // As Nix leaves its files: the mode is a part of what was registered.
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
    };
    write(&whole[..whole.len() / 2]);
    // In the same boot there is no reason to look.
    assert_eq!(check(&bench, &system, false).await, StoreCheck::default());
    bench.machine.crash().await.unwrap();
    bench.machine.start().await.unwrap();
    bench.reconnect().await;
    let found = |was_damaged| StoreCheck { damaged: vec![system.clone()], was_damaged };
    assert_eq!(check(&bench, &system, false).await, found(false));
    assert_eq!(check(&bench, &system, true).await, found(true));

    write(&whole);
    // Whoever asks before a switch is told that what runs may have read it; once.
    let mended = StoreCheck { damaged: Vec::new(), was_damaged: true };
    assert_eq!(check(&bench, &system, true).await, mended);
    assert_eq!(check(&bench, &system, false).await, mended);
    assert_eq!(check(&bench, &system, false).await, StoreCheck::default());
    write(b"");
    assert_eq!(check(&bench, &system, true).await, found(false));
}
