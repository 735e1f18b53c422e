//! Keys in files.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use berth_sign::{Jwk, KeyError, SigningKey, TrustedKeys};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::key;

#[test]
fn a_key_that_is_not_there_is_made_once_for_its_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    let ids: Vec<_> = std::thread::scope(|scope| {
        let made: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| SigningKey::load_or_create(&path).unwrap().public().id()))
            .collect();
        made.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    SigningKey::load_or_create(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(SigningKey::load(&path), Err(KeyError::Open { mode: 0o640, .. })));
}

#[test]
fn a_file_that_is_no_key_is_neither_used_nor_replaced_and_its_content_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    std::fs::write(&path, "hunter2").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let error = SigningKey::load_or_create(&path).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"hunter2");
}

#[test]
fn a_key_is_shown_by_its_name_only() {
    let pem = key(3).to_pem().unwrap();
    let body = pem.expose_secret().lines().nth(1).unwrap();
    assert!(!format!("{:?}", key(3)).contains(body));
    assert_eq!(SigningKey::from_pem(&pem).unwrap().public(), key(3).public());
}

#[test]
fn public_keys_are_trusted_as_a_jwk_a_set_or_pem() {
    let (one, two) = (key(1).public(), key(2).public());
    let set = json!({"keys": [Jwk::named(&one), Jwk::named(&two)]}).to_string();
    let single = json!(Jwk::of(&one)).to_string();
    let pem = format!("{}{}", one.to_pem().unwrap(), two.to_pem().unwrap());
    for (text, both) in [(set, true), (single, false), (pem, true)] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let mut trusted = TrustedKeys::none();
        trusted.add_file(file.path()).unwrap();
        assert!(trusted.contains(&one) && trusted.contains(&two) == both, "{text}");
        assert!(!trusted.contains(&key(3).public()));
    }
}

#[test]
fn what_is_no_public_key_is_not_trusted() {
    let mut misnamed = json!(Jwk::named(&key(1).public()));
    misnamed["kid"] = key(2).public().id().as_str().into();
    let secret = key(1).to_pem().unwrap().expose_secret().to_owned();
    for text in ["", "{}", r#"{"keys": []}"#, "nonsense", &misnamed.to_string(), &secret] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let error = TrustedKeys::none().add_file(file.path()).unwrap_err();
        assert!(matches!(error, KeyError::File { .. }), "{text}: {error}");
    }
}

#[test]
fn openssl_reads_the_key_and_agrees_about_its_public_half() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: there is no openssl");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signing.pem");
    let key = SigningKey::load_or_create(&path).unwrap();
    let read = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&path).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    assert_eq!(String::from_utf8(read.stdout).unwrap(), key.public().to_pem().unwrap());
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519"]).output().unwrap();
    SigningKey::from_pem(&String::from_utf8(made.stdout).unwrap().into()).unwrap();
}
