//! Whose signature it is.

use berth_bundle::{inspect_source, verify_source};
use berth_sign::{SigningKey, TrustedKeys};

use crate::support::{about, faults, key, members, path, sample, services, trusted, verified};

/// The same content, signed by somebody else.
fn foreign() -> Vec<u8> {
    let key = SigningKey::from_seed(&[9; 32]);
    let mut writer = berth_bundle::Writer::new(Vec::new(), about(), services(), &key).unwrap();
    writer.bytes(path("configuration/flake.nix"), crate::support::meta(0o644), b"evil").unwrap();
    writer.finish().unwrap().out
}

#[test]
fn a_bundle_that_somebody_else_signed_is_whole_and_not_trusted() {
    let report = verified(&foreign());
    assert!(report.is_intact() && !report.is_trusted());
    let signer = report.signer.unwrap();
    assert_eq!(signer.provider, "Berth, Inc.");
    assert_eq!(signer.key_id, SigningKey::from_seed(&[9; 32]).public().id());
    let report = verify_source(&sample(), &TrustedKeys::none(), &mut |_| ()).unwrap();
    assert!(report.is_intact() && !report.is_trusted());
}

#[test]
fn the_signature_of_another_bundle_does_not_fit() {
    let (mine, other) = (sample(), foreign());
    let end = |bundle: &Vec<u8>| members(bundle).pop().unwrap().1;
    let report = verified(&[&mine[..end(&mine)], &other[end(&other)..]].concat());
    assert_eq!(faults(&report), ["manifest.jsonl: altered content"]);
    assert!(report.signer.is_none());
}

#[test]
fn a_manifest_that_is_put_in_place_of_the_signed_one_is_noticed() {
    // The attacker writes a manifest of their own, and signs it with their own key, in the name of the provider: all that
    // is left to see is the key.
    let bundle = foreign();
    assert!(!verified(&bundle).is_trusted());
    // With the provider's key in the header, the signature does not fit.
    let from = members(&bundle).pop().unwrap().1 + 512;
    let text = String::from_utf8(bundle[from..bundle.len() - 1024].to_vec()).unwrap();
    let jws = text.trim_end_matches('\0');
    let genuine = key().sign(b"{}", "berth-bundle+jws");
    let header = genuine.split('.').next().unwrap();
    let mixed = [header, jws.split_once('.').unwrap().1].join(".");
    assert_eq!(mixed.len(), jws.len());
    let mut forged = bundle.clone();
    forged[from..from + mixed.len()].copy_from_slice(mixed.as_bytes());
    let report = verified(&forged);
    assert_eq!(faults(&report), ["manifest.jws: signature"]);
    assert!(report.signer.is_none());
}

#[test]
fn a_signature_for_another_purpose_is_none() {
    let bundle = sample();
    let from = members(&bundle).pop().unwrap().1 + 512;
    let text = String::from_utf8(bundle[from..bundle.len() - 1024].to_vec()).unwrap();
    let payload =
        berth_sign::verify(text.trim_end_matches('\0'), "berth-bundle+jws", &key().public()).unwrap();
    let other = key().sign(&payload, "berth-elsewhr+jws");
    let mut forged = bundle.clone();
    forged[from..from + other.len()].copy_from_slice(other.as_bytes());
    assert_eq!(faults(&verified(&forged)), ["manifest.jws: signature"]);
}

#[test]
fn looking_into_a_bundle_lists_it_without_reading_its_contents() {
    let mut bundle = sample();
    bundle[600] ^= 1;
    let mut paths = Vec::new();
    let inspection =
        inspect_source(&bundle, &trusted(), &mut |_, entry| paths.push(entry.path.encoded())).unwrap();
    assert_eq!((inspection.about, inspection.services), (about(), services()));
    assert!(inspection.signer.trusted && inspection.problems.is_empty());
    assert_eq!(paths.len() as u64, inspection.totals.entries);
    assert_eq!(paths[0], "bundle.json");
    assert!(inspect_source(&bundle[..5000].to_vec(), &trusted(), &mut |_, _| ()).is_err());
}
