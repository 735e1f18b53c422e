//! What a pass has to do: by what both buckets list, and by what earlier passes have written down.

use std::collections::{HashMap, HashSet};

use super::super::client::is_out_of_reach;
use super::super::error::BucketError;
use super::super::listing::{Listed, same_e_tag};
use super::Left;
use super::ledger::{Noted, State};
use super::send::LARGEST;

/// What a pass has to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// What is missing in the new bucket, or another.
    pub(super) send: Vec<Listed>,
    /// What came there without anybody having heard of it.
    pub(super) confirmed: Vec<Noted>,
    /// How many are there already.
    pub(super) there: u64,
    /// What this move has put into the new bucket, and is gone from the old one.
    pub(super) gone: Vec<Noted>,
    /// What nothing is done about.
    pub(super) left: Left,
}

/// What is to be done about an object of the old bucket.
enum Todo {
    Nothing,
    Confirm(Noted),
    Send,
}

impl Plan {
    /// Plans a pass; what is gone matters in the last one only. These keys are known to be in an archive.
    pub(super) fn of(
        listed: &[Listed],
        there: &HashMap<String, Listed>,
        known: &HashMap<String, Noted>,
        last: bool,
        out: &HashSet<String>,
    ) -> Self {
        let mut plan = Self::default();
        for object in listed {
            if let Some(why) = why_never(object, out) {
                plan.left.add(&object.key, why);
                continue;
            }
            match todo(object, there.get(&object.key), known.get(&object.key)) {
                Todo::Send => plan.send.push(object.clone()),
                Todo::Nothing => plan.there += 1,
                Todo::Confirm(noted) => {
                    plan.there += 1;
                    plan.confirmed.push(noted);
                }
            }
        }
        if last {
            plan.look_what_is_gone(listed, there, known);
        }
        plan
    }

    fn look_what_is_gone(
        &mut self,
        listed: &[Listed],
        there: &HashMap<String, Listed>,
        known: &HashMap<String, Noted>,
    ) {
        let still: HashSet<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        for noted in known.values().filter(|noted| !still.contains(noted.key.as_str())) {
            let Some(there) = there.get(&noted.key) else { continue };
            if noted.is_what_was_put(there) {
                self.gone.push(noted.clone());
            } else if noted.state != State::Removed {
                let why = "it is gone from the old bucket, and is not known to be what was put into the new one, where it stays";
                self.left.add(&noted.key, why);
            }
        }
    }
}

fn todo(object: &Listed, there: Option<&Listed>, known: Option<&Noted>) -> Todo {
    let Some(there) = there else { return Todo::Send };
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
            _ => Todo::Nothing,
        };
    }
    let same = object.size == there.size && same_e_tag(object.e_tag.as_ref(), there.e_tag.as_ref());
    // What this move has put there may have other attributes by now.
    if same && known.is_none() { Todo::Nothing } else { Todo::Send }
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

/// The objects of the old bucket that the new one does not have in the same size, but for those that can never be sent.
pub(super) fn differing(
    listed: &[Listed],
    there: &HashMap<String, Listed>,
    out: &HashSet<String>,
) -> Vec<String> {
    let reachable = listed.iter().filter(|object| why_never(object, out).is_none());
    let differs = |object: &&Listed| there.get(&object.key).is_none_or(|there| there.size != object.size);
    reachable.filter(differs).map(|object| object.key.clone()).collect()
}

#[cfg(test)]
mod tests {
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

    fn by_key<T: Clone>(all: &[T], key: impl Fn(&T) -> &str) -> HashMap<String, T> {
        all.iter().map(|one| (key(one).to_owned(), one.clone())).collect()
    }

    fn plan(old: &[Listed], new: &[Listed], known: &[Noted], last: bool) -> Plan {
        Plan::of(old, &by_key(new, |it| &it.key), &by_key(known, |it| &it.key), last, &HashSet::new())
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

    #[tokio::test]
    async fn what_was_to_be_sent_again_and_was_not_is_no_reason_to_forget_what_is_there() {
        let first = listed("a", "one");
        let parts = Listed { e_tag: Some("parts-2".into()), ..first.clone() };
        let attributes = later(first.clone());
        let changed = listed("a", "two");
        for (there, again) in [(&first, &attributes), (&first, &changed), (&parts, &changed)] {
            let noted = [put(&first, there.e_tag.as_deref().unwrap()), Noted::of(again, State::Intended)];
            let known = ledger::all_known(&noted).await;
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
        assert!(differing(&does_not, &HashMap::new(), &HashSet::new()).is_empty());
    }

    #[test]
    fn what_is_in_an_archive_is_named_in_every_round_and_is_no_difference() {
        let old = [listed("a", "one"), listed("b", "two")];
        let (known, out) = (HashMap::new(), HashSet::from(["a".to_owned()]));
        let there = by_key(&old[1..], |it| &it.key);
        let plan = Plan::of(&old, &there, &known, true, &out);
        assert_eq!((plan.send.len(), plan.there, plan.left.objects), (0, 1, 1));
        assert!(plan.left.named[0].contains("archive"), "{plan:?}");
        assert!(differing(&old, &there, &out).is_empty());
        assert_eq!(differing(&old, &there, &HashSet::new()), ["a"]);
    }

    #[test]
    fn buckets_differ_where_one_object_is_missing_or_not_as_long() {
        let old = [listed("a", "one"), listed("b", "two"), listed("c", "three"), listed("./x", "")];
        let new = by_key(&[listed("a", "eno"), listed("b", "twoo"), listed("y", "")], |it| &it.key);
        assert_eq!(differing(&old, &new, &HashSet::new()), ["b", "c"]);
    }
}
