use super::*;
use berth_bundle::{Part, Problem};

fn refused(faults: Vec<Fault>) -> String {
    let problem = |fault| Problem { path: Some("manifest.jws".into()), fault, offset: Some(7) };
    let report = Report { problems: faults.into_iter().map(problem).collect(), ..Report::default() };
    refusal(&report).code
}

#[test]
fn each_sort_of_damage_has_a_name_of_its_own() {
    let altered = || Fault::Altered { part: Part::Content };
    let format = || Fault::Format { reason: "..: it leads upwards".into() };
    assert_eq!(refused(vec![altered()]), "bundle-altered");
    // Without the signature, nothing else of it is known either.
    assert_eq!(refused(vec![Fault::Missing, altered()]), "bundle-truncated");
    assert_eq!(refused(vec![altered(), Fault::Truncated]), "bundle-truncated");
    assert_eq!(refused(vec![Fault::Signature { reason: "no".into() }]), "bundle-altered");
    assert_eq!(refused(vec![format()]), "bundle-format");
    assert_eq!(refused(vec![Fault::Unsealed]), "bundle-unsealed");
    assert_eq!(refused(vec![Fault::Version { version: 2 }]), "bundle-version");
}

#[test]
fn what_is_told_of_a_damaged_bundle_is_bounded_and_names_the_first() {
    let problem = |number: u64| Problem {
        path: Some(format!("services/a/{number}")),
        fault: Fault::Altered { part: Part::Content },
        offset: Some(number),
    };
    let report = Report { problems: (0..500).map(problem).collect(), more_problems: 3, ..Report::default() };
    let refusal = refusal(&report);
    assert_eq!(refusal.problems.len(), MAX_PROBLEMS);
    assert!(
        refusal.message.contains("services/a/0") && refusal.message.ends_with("and 502 more"),
        "{refusal:?}"
    );
}
