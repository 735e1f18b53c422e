//! Where symbolic links lead.

use crate::entry::{Entry, Kind, Target};
use crate::path::BundlePath;

/// The links that lead out of the folder that is extracted into.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) first: Option<BundlePath>,
    pub(super) count: u64,
}

impl Links {
    pub(super) fn judge(&mut self, entry: &Entry) {
        if leaves(entry) {
            self.first.get_or_insert_with(|| entry.path.clone());
            self.count += 1;
        }
    }
}

/// Whether an entry is a link that leads, or may lead, out of the bundle's root.
pub(super) fn leaves(entry: &Entry) -> bool {
    matches!(&entry.kind, Kind::Symlink { target } if !stays_inside(&entry.path, target))
}

/// Whether a link leads to something inside, whatever other links there are: `..` may stand only at the beginning, where it
/// goes up through folders that are folders, and not above the root; after that it only goes down, or through another
/// link for which the same holds.
fn stays_inside(path: &BundlePath, target: &Target) -> bool {
    let target = target.as_bytes();
    if target.starts_with(b"/") {
        return false;
    }
    let folders = path.components().count() - 1;
    let mut components =
        target.split(|byte| *byte == b'/').filter(|it| !matches!(*it, b"" | b".")).peekable();
    let mut up = 0;
    while components.next_if_eq(&&b".."[..]).is_some() {
        up += 1;
    }
    up <= folders && components.all(|component| component != b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_lead_out_stays_inside() {
        let stays = |target: &str| {
            let path = BundlePath::try_from("services/gitea/link").unwrap();
            stays_inside(&path, &Target::new(target).unwrap())
        };
        for inside in ["a", "a/b", "../a", "../../a", "./../a", "..", "../..", "a..", "nowhere//x/"] {
            assert!(stays(inside), "{inside}");
        }
        // `a` may be a link, so that its `..` is somewhere else.
        for outside in ["/", "/etc", "../../..", "../../../a", "a/..", "../a/../b", "a/../../.."] {
            assert!(!stays(outside), "{outside}");
        }
    }
}
