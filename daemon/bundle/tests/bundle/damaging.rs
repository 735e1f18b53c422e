//! Bundles that something happened to.

use berth_bundle::Report;

use crate::support::{faults, members, sample, verified};

fn member(bundle: &Vec<u8>, name: &str) -> (usize, usize) {
    let members = members(bundle);
    let (_, from, to) = members.iter().find(|(found, ..)| found.ends_with(name)).unwrap();
    (*from, *to)
}

fn damaged(bundle: &[u8]) -> Report {
    let report = verified(&bundle.to_vec());
    assert!(!report.is_intact());
    report
}

#[test]
fn a_whole_bundle_has_no_problem_and_its_members_are_where_they_should_be() {
    let bundle = sample();
    let report = verified(&bundle);
    assert!(report.is_intact() && report.is_trusted(), "{:?}", report.problems);
    let members = members(&bundle);
    for (name, from, to) in &members {
        assert_eq!((from % 512, to % 512), (0, 0), "{name}");
    }
    assert_eq!(report.totals.unwrap().entries as usize, members.len() - 2);
}

#[test]
fn every_bit_pattern_that_changes_in_any_byte_is_noticed_and_named() {
    let mut bundle = sample();
    let members = members(&bundle);
    for at in 0..bundle.len() {
        let owner = members.iter().find(|(_, from, to)| (*from..*to).contains(&at));
        let owner = owner.map(|(name, from, _)| (name.as_str(), *from as u64));
        for flip in [1 << (at % 8), 0xff] {
            bundle[at] ^= flip;
            let report = verified(&bundle);
            bundle[at] ^= flip;
            let [problem] = &report.problems[..] else { panic!("byte {at}: {:?}", report.problems) };
            assert_eq!(problem.path.as_deref(), owner.map(|(name, _)| name), "byte {at}: {problem}");
            // Where it is known where it shows, it is no later than the byte, and within the member.
            let from = owner.map_or(bundle.len() as u64 - 1024, |(_, from)| from);
            assert!(
                problem.offset.is_none_or(|offset| (from..=at as u64).contains(&offset)),
                "byte {at}: {problem}"
            );
        }
    }
}

#[test]
fn a_bundle_that_ends_too_early_is_noticed_at_every_length_and_what_it_ends_in_is_named() {
    let bundle = sample();
    let members = members(&bundle);
    for length in 0..bundle.len() {
        let report = damaged(&bundle[..length]);
        let owner = members.iter().find(|(_, from, to)| (*from..*to).contains(&length));
        let Some((name, from, _)) = owner else { continue };
        // A header that is not there as a whole names nothing.
        let cut_in_header = length < from + 512 || name.contains("longlong") || name.contains("%FF");
        let named = faults(&report).contains(&format!("{name}: truncated"))
            || (name == "manifest.jws" && !faults(&report).is_empty());
        assert!(named || cut_in_header, "{length} in {name}: {:?}", report.problems);
    }
}

#[test]
fn what_is_put_behind_the_end_is_noticed() {
    let bundle = sample();
    for garbage in [&b"x"[..], &[0], &[0; 512], &[0; 1024], &[b'x'; 100_000]] {
        let report = damaged(&[&bundle[..], garbage].concat());
        assert_eq!(faults(&report), ["-: altered end"]);
        assert_eq!(report.problems[0].offset, Some(bundle.len() as u64));
    }
}

#[test]
fn two_bundles_in_a_row_are_none() {
    let bundle = sample();
    damaged(&[&bundle[..], &bundle].concat());
    damaged(&[&bundle[..bundle.len() - 1024], &bundle].concat());
}

#[test]
fn a_member_that_is_missing_is_named() {
    let bundle = sample();
    for name in ["flake.nix", "gitea.dump", "empty", "up", "%FF%FE", "bundle.json"] {
        let (from, to) = member(&bundle, name);
        let report = damaged(&[&bundle[..from], &bundle[to..]].concat());
        let [fault] = &faults(&report)[..] else { panic!("{name}: {:?}", report.problems) };
        assert!(fault.ends_with(&format!("{name}: missing")), "{fault}");
    }
}

#[test]
fn a_member_that_was_added_is_named_also_where_it_has_the_name_of_another() {
    let bundle = sample();
    let (from, to) = member(&bundle, "gitea.dump");
    for at in [from, to, member(&bundle, "manifest.jsonl").0] {
        let report = damaged(&[&bundle[..at], &bundle[from..to], &bundle[at..]].concat());
        assert_eq!(faults(&report), ["services/gitea/databases/gitea.dump: added"], "{at}");
    }
    let mut other = bundle[from..to].to_vec();
    rename(&mut other, b"evil");
    let report = damaged(&[&bundle[..from], &other, &bundle[from..]].concat());
    assert_eq!(faults(&report), ["evil: added"]);
    // Between the manifest and its signature nothing is looked at by name.
    let at = member(&bundle, "manifest.jws").0;
    let report = damaged(&[&bundle[..at], &other, &bundle[at..]].concat());
    assert_eq!(faults(&report), ["-: added"]);
}

/// Gives a member another name, with a checksum that is right.
fn rename(member: &mut [u8], name: &[u8]) {
    member[..100].fill(0);
    member[..name.len()].copy_from_slice(name);
    let sum = berth_bundle::header::checksum(&member[..512]);
    member[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[test]
fn members_that_were_swapped_are_named() {
    let bundle = sample();
    let ((a, b), (c, d)) = (member(&bundle, "flake.nix"), member(&bundle, "gitea.dump"));
    let swapped = [&bundle[..a], &bundle[c..d], &bundle[b..c], &bundle[a..b], &bundle[d..]].concat();
    let report = damaged(&swapped);
    assert_eq!(faults(&report), ["secrets/gitea/smtp.age: moved", "configuration/flake.nix: moved"]);
}

#[test]
fn bytes_that_were_put_in_or_cut_out_are_named_and_the_rest_is_found_again() {
    let bundle = sample();
    let (from, _) = member(&bundle, "gitea.dump");
    for (count, insert) in [(1, true), (513, true), (1, false), (100, false)] {
        let at = from + 600;
        let changed = match insert {
            true => [&bundle[..at], &vec![9; count], &bundle[at..]].concat(),
            false => [&bundle[..at], &bundle[at + count..]].concat(),
        };
        let report = damaged(&changed);
        let faults = faults(&report);
        assert_eq!(faults[0], "services/gitea/databases/gitea.dump: altered content", "{count} {insert}");
        assert!(faults[1..].iter().all(|fault| fault.contains("gitea.dump")), "{faults:?}");
    }
}

#[test]
fn bytes_between_members_are_noticed_wherever_they_are() {
    let bundle = sample();
    for (name, from, _) in members(&bundle) {
        for between in [&[0_u8; 512][..], &[0; 1024], &[b'x'; 512], b"x"] {
            let report = damaged(&[&bundle[..from], between, &bundle[from..]].concat());
            let [problem] = &report.problems[..] else { panic!("{name}: {:?}", report.problems) };
            assert_eq!((&problem.path, problem.offset), (&None, Some(from as u64)), "{name}: {problem}");
        }
    }
}

#[test]
fn a_member_that_was_renamed_is_named_as_it_should_be() {
    let mut bundle = sample();
    let (from, to) = member(&bundle, "gitea.dump");
    rename(&mut bundle[from..to], b"services/other");
    assert_eq!(faults(&damaged(&bundle)), ["services/gitea/databases/gitea.dump: altered header"]);
}

#[test]
fn headers_in_a_row_that_were_altered_are_all_named() {
    let mut bundle = sample();
    let names = ["gitea.dump", "gitea", "a%0Ab", "block"];
    for name in names {
        let (from, _) = member(&bundle, name);
        bundle[from] ^= 1;
    }
    let faults = faults(&damaged(&bundle));
    assert!(
        faults.iter().zip(names).all(|(fault, name)| fault.ends_with(&format!("{name}: altered header")))
    );
    assert_eq!(faults.len(), names.len(), "{faults:?}");
}

#[test]
fn many_damages_are_all_named() {
    let mut bundle = sample();
    let names = ["flake.nix", "smtp.age", "a%0Ab", "block"];
    for name in names {
        let (from, _) = member(&bundle, name);
        bundle[from + 512] ^= 1;
    }
    let faults = faults(&damaged(&bundle));
    assert_eq!(faults.len(), names.len());
    assert!(
        faults.iter().zip(names).all(|(fault, name)| fault.ends_with(&format!("{name}: altered content")))
    );
}

#[test]
fn what_is_no_bundle_is_none() {
    for bytes in [vec![], b"hello".to_vec(), vec![0; 1024], vec![0xff; 5000], sample()[1..].to_vec()] {
        damaged(&bytes);
    }
}
