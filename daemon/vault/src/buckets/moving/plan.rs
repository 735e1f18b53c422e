//! What is to be done about an object: by what both buckets list, and by what earlier passes have written down.

use std::collections::HashSet;

use super::super::client::is_out_of_reach;
use super::super::error::BucketError;
use super::super::listing::{Listed, same_e_tag};
use super::ledger::{Noted, State};
use super::merged::Found;
use super::send::LARGEST;

/// What is to be done about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Todo {
    /// It is none of this move's.
    Nothing,
    /// It is in the new bucket already.
    There,
    /// It came there without anybody having heard of it.
    Confirm(Noted),
    /// It is missing in the new bucket, or another.
    Send,
    /// This move has put it into the new bucket, and it is gone from the old one.
    Remove(Noted),
    /// Nothing, for this reason: it stays behind.
    Leave(&'static str),
}

/// What is to be done about what there is of a key; what is gone matters in the last pass only. The keys of `out` are known to be in an
/// archive.
pub(super) fn todo(found: &Found, last: bool, out: &HashSet<String>) -> Todo {
    match (&found.old, &found.new, &found.known) {
        (Some(old), new, known) => match (why_never(old, out), new) {
            (Some(why), _) => Todo::Leave(why),
            (None, Some(new)) => is_there(old, new, known.as_ref()),
            (None, None) => Todo::Send,
        },
        (None, Some(new), Some(known)) if last => is_gone(new, known),
        (None, _, _) => Todo::Nothing,
    }
}

/// Whether what was gone from the old bucket is to go from the new one.
fn is_gone(there: &Listed, known: &Noted) -> Todo {
    if known.is_what_was_put(there) {
        return Todo::Remove(known.clone());
    }
    match known.state {
        State::Removed => Todo::Nothing,
        _ => Todo::Leave(
            "it is gone from the old bucket, and is not known to be what was put into the new one, where it stays",
        ),
    }
}

/// Whether the new bucket does not have an object of the old one in the same size; not where that can never be sent.
pub(super) fn differs(found: &Found, out: &HashSet<String>) -> bool {
    let Some(old) = &found.old else { return false };
    why_never(old, out).is_none() && found.new.as_ref().is_none_or(|new| new.size != old.size)
}

/// Whether the old bucket's object is there in the new one, as far as is known.
fn is_there(object: &Listed, there: &Listed, known: Option<&Noted>) -> Todo {
    let known = known.filter(|noted| noted.state != State::Removed);
    if let Some(noted) = known
        && noted.is_of(object)
        && (noted.is_the_last_put(there) || is_nameless(noted, there))
    {
        return match noted.state {
            // It may be what was there before, of which only the attributes are others.
            State::Intended if !noted.earlier.is_empty() => Todo::Send,
            State::Intended => {
                Todo::Confirm(Noted { state: State::Put { e_tag: there.e_tag.clone() }, ..noted.clone() })
            }
            _ => Todo::There,
        };
    }
    let same = object.size == there.size && same_e_tag(object.e_tag.as_ref(), there.e_tag.as_ref());
    // What this move has put there may have other attributes by now.
    if same && known.is_none() { Todo::There } else { Todo::Send }
}

/// Why an object of the old bucket can never be sent.
fn why_never(object: &Listed, out: &HashSet<String>) -> Option<&'static str> {
    if is_out_of_reach(&object.key) {
        return Some("no client of HTTP can ask for such a key");
    }
    if object.size > LARGEST {
        return Some("it is too large to be sent");
    }
    out.contains(&object.key).then(|| BucketError::Archived.without()).flatten()
}

/// Whether the new store did not say what it calls what was put there: then its size has to do.
fn is_nameless(noted: &Noted, there: &Listed) -> bool {
    noted.state == State::Put { e_tag: None } && noted.size == there.size
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Left;
    use super::super::ledger::tests as ledger;
    use super::*;
    use chrono::{DateTime, TimeDelta, Utc};

    fn listed(key: &str, content: &str) -> Listed {
        let (size, e_tag) = (content.len() as u64, Some(format!("\"{content}\"")));
        Listed { key: key.into(), size, e_tag, last_modified: DateTime::<Utc>::UNIX_EPOCH }
    }

    fn later(listed: Listed) -> Listed {
        Listed { last_modified: listed.last_modified + TimeDelta::seconds(1), ..listed }
    }

    fn put(object: &Listed, e_tag: &str) -> Noted {
        Noted::of(object, State::Put { e_tag: Some(e_tag.into()) })
    }

    /// What a pass would do.
    #[derive(Debug, Default)]
    struct Plan {
        send: Vec<Listed>,
        confirmed: Vec<Noted>,
        there: u64,
        gone: Vec<Noted>,
        left: Left,
        differing: Vec<String>,
    }

    fn found(old: &[Listed], new: &[Listed], known: &[Noted]) -> Vec<Found> {
        let keys = old.iter().chain(new).map(|it| &it.key).chain(known.iter().map(|it| &it.key));
        let keys: BTreeSet<&String> = keys.collect();
        let find = |all: &[Listed], key: &String| all.iter().find(|it| it.key == *key).cloned();
        let found = |key: &String| Found {
            key: key.clone(),
            old: find(old, key),
            new: find(new, key),
            known: known.iter().find(|it| it.key == *key).cloned(),
        };
        keys.into_iter().map(found).collect()
    }

    fn plan_without(all: &[Found], last: bool, out: &HashSet<String>) -> Plan {
        let mut plan = Plan::default();
        for found in all {
            plan.differing.extend(differs(found, out).then(|| found.key.clone()));
            match todo(found, last, out) {
                Todo::Nothing => {}
                Todo::There => plan.there += 1,
                Todo::Confirm(noted) => plan.confirmed.push(noted),
                Todo::Send => plan.send.extend(found.old.clone()),
                Todo::Remove(noted) => plan.gone.push(noted),
                Todo::Leave(why) => plan.left.add(&found.key, why),
            }
        }
        plan
    }

    fn plan(old: &[Listed], new: &[Listed], known: &[Noted], last: bool) -> Plan {
        plan_without(&found(old, new, known), last, &HashSet::new())
    }

    #[test]
    fn what_is_missing_or_another_is_sent_and_nothing_that_is_equal() {
        let old = [listed("a", "one"), listed("b", "two"), listed("c", "three"), listed("../d", "four")];
        let new = [listed("b", "two"), listed("c", "other"), listed("z", "foreign")];
        let plan = plan(&old, &new, &[], true);
        assert_eq!(plan.send, [old[0].clone(), old[2].clone()]);
        assert_eq!((plan.there, plan.left.objects), (1, 1));
        assert!(plan.gone.is_empty() && plan.confirmed.is_empty(), "{plan:?}");
    }

    #[test]
    fn what_was_put_in_parts_is_known_by_what_the_new_store_calls_it() {
        let old = [listed("a", "one")];
        let there = Listed { e_tag: Some("parts-2".into()), ..listed("a", "one") };
        let known = [put(&old[0], "\"parts-2\"")];
        let same = plan(&old, std::slice::from_ref(&there), &known, true);
        assert_eq!((same.there, same.send.len()), (1, 0));
        // It was changed there by somebody, or changed in the old one, or only its attributes were.
        let spoilt = Listed { e_tag: Some("x".into()), ..there.clone() };
        for (old, new) in
            [(&old[0], &spoilt), (&listed("a", "two"), &there), (&later(old[0].clone()), &there)]
        {
            let plan = plan(std::slice::from_ref(old), std::slice::from_ref(new), &known, false);
            assert_eq!(plan.send.len(), 1, "{old:?} {new:?}");
        }
    }

    #[test]
    fn what_came_without_anybody_having_heard_of_it_is_this_moves_own() {
        let old = [listed("a", "one"), listed("b", "two")];
        let intended: Vec<Noted> = old.iter().map(|it| Noted::of(it, State::Intended)).collect();
        let plan = plan(&old, &old[..1], &intended, false);
        assert_eq!(plan.confirmed, [put(&old[0], "\"one\"")]);
        assert_eq!(plan.send, old[1..]);
    }

    #[test]
    fn what_was_to_be_sent_again_and_was_not_is_no_reason_to_forget_what_is_there() {
        let first = listed("a", "one");
        let parts = Listed { e_tag: Some("parts-2".into()), ..first.clone() };
        let attributes = later(first.clone());
        let changed = listed("a", "two");
        for (there, again) in [(&first, &attributes), (&first, &changed), (&parts, &changed)] {
            let noted = [put(&first, there.e_tag.as_deref().unwrap()), Noted::of(again, State::Intended)];
            let known = [ledger::known(&noted)];
            let still = plan(std::slice::from_ref(again), std::slice::from_ref(there), &known, false);
            assert_eq!((still.send.as_slice(), still.there), (std::slice::from_ref(again), 0), "{still:?}");
            let gone = plan(&[], std::slice::from_ref(there), &known, true);
            assert_eq!((gone.gone.len(), gone.left.objects), (1, 0), "{gone:?}");
        }
    }

    #[test]
    fn only_what_this_move_has_put_there_goes_where_it_is_gone_and_only_at_the_end() {
        let (ours, foreign, replaced) =
            (listed("ours", "1"), listed("foreign", "2"), listed("replaced", "3"));
        let lost = listed("lost", "4");
        let known = [
            put(&ours, "\"1\""),
            put(&replaced, "\"3\""),
            Noted::of(&lost, State::Intended),
            put(&listed("removed", "5"), "\"5\"").removed(),
        ];
        let by_others = listed("replaced", "theirs");
        let new = [ours, foreign, by_others, lost, listed("removed", "5")];
        let last = plan(&[], &new, &known, true);
        let mut gone: Vec<&str> = last.gone.iter().map(|it| it.key.as_str()).collect();
        gone.sort_unstable();
        assert_eq!(gone, ["lost", "ours"]);
        assert!(last.left.objects == 1 && last.left.named[0].starts_with("replaced: "), "{last:?}");
        assert!(plan(&[], &new, &known, false).gone.is_empty());
    }

    #[test]
    fn what_has_no_room_is_named_and_does_not_keep_the_buckets_from_being_equal() {
        let of = |size| Listed { size, ..listed("a", "") };
        let (fits, does_not) = ([of(LARGEST)], [of(u64::MAX)]);
        assert_eq!(plan(&fits, &[], &[], true).send, fits);
        let left = plan(&does_not, &[], &[], true);
        assert_eq!(
            (left.send.len(), left.left.named.as_slice()),
            (0, &["a: it is too large to be sent".to_owned()][..])
        );
        assert!(left.differing.is_empty());
    }

    #[test]
    fn what_is_in_an_archive_is_named_in_every_round_and_is_no_difference() {
        let old = [listed("a", "one"), listed("b", "two")];
        let (all, out) = (found(&old, &old[1..], &[]), HashSet::from(["a".to_owned()]));
        let plan = plan_without(&all, true, &out);
        assert_eq!((plan.send.len(), plan.there, plan.left.objects), (0, 1, 1));
        assert!(plan.left.named[0].contains("archive"), "{plan:?}");
        assert!(plan.differing.is_empty());
        assert_eq!(plan_without(&all, true, &HashSet::new()).differing, ["a"]);
    }

    #[test]
    fn buckets_differ_where_one_object_is_missing_or_not_as_long() {
        let old = [listed("a", "one"), listed("b", "two"), listed("c", "three"), listed("./x", "")];
        let new = [listed("a", "eno"), listed("b", "twoo"), listed("y", "")];
        assert_eq!(plan(&old, &new, &[], true).differing, ["b", "c"]);
    }
}
