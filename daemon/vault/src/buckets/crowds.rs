//! How much there may be in one folder of a snapshot: all of its entries are in one piece, which has to fit into the memory of whoever
//! reads it, and is refused where it is larger than [readers](crate::reader) take.

use berth_bundle::BundlePath;

use crate::author::PIECE;

/// How long the text of one folder's entries may be, in bytes.
const MOST: u64 = 48 * 1024 * 1024;

/// How long what is said of an entry is at the most beside its name and pieces, in bytes.
const ENTRY: u64 = 400;

/// How many bytes JSON may make of one of a name's.
const ESCAPED: u64 = 6;

/// How long a piece's id is in JSON, with a comma and quotes.
const ID: u64 = 67;

/// The folders that are open while objects come in the order of their paths.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    root: u64,
    open: Vec<(Vec<u8>, u64)>,
}

impl Crowds {
    /// Whether there is room for one more object of so many bytes, and for the folders around it; then it has it.
    pub(super) fn have_room(&mut self, path: &BundlePath, size: u64) -> bool {
        let mut folders: Vec<&[u8]> = path.as_bytes().split(|byte| *byte == b'/').collect();
        let name = folders.pop().unwrap_or_default();
        let common = self.open.iter().zip(&folders).take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(common);
        let new = folders.get(common..).unwrap_or_default();
        let content = size.div_ceil(PIECE as u64).saturating_mul(ID);
        let first = new.first().map_or_else(|| entry(name).saturating_add(content), |folder| entry(folder));
        let around = self.open.last_mut().map_or(&mut self.root, |(_, bytes)| bytes);
        if around.saturating_add(first) > MOST || entry(name).saturating_add(content) > MOST {
            return false;
        }
        *around += first;
        for (at, folder) in new.iter().enumerate() {
            let bytes = new.get(at + 1).map_or_else(|| entry(name) + content, |inner| entry(inner));
            self.open.push(((*folder).to_owned(), bytes));
        }
        true
    }
}

fn entry(name: &[u8]) -> u64 {
    ENTRY + ESCAPED * name.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(crowds: &mut Crowds, path: &str, size: u64) -> bool {
        crowds.have_room(&BundlePath::new(path).unwrap(), size)
    }

    #[test]
    fn a_folder_has_room_for_as_much_as_can_be_read_again() {
        let mut crowds = Crowds::default();
        let had = (0..200_000).take_while(|number| room(&mut crowds, &format!("a/{number:08}"), 1)).count();
        assert!((80_000..120_000).contains(&had), "{had}");
        assert!(!room(&mut crowds, "a/b/c", 1), "not for another folder, either");
        assert!(room(&mut crowds, "b/a", 1) && room(&mut crowds, "c", 1), "others have theirs");
    }

    #[test]
    fn a_large_object_takes_more_and_folders_count_where_they_are() {
        let mut crowds = Crowds::default();
        let had =
            (0..10_000).take_while(|number| room(&mut crowds, &format!("{number:08}"), 1 << 33)).count();
        assert!((80..100).contains(&had), "{had}");
        let mut crowds = Crowds::default();
        let had = (0..200_000).take_while(|number| room(&mut crowds, &format!("{number:08}/x"), 1)).count();
        assert!((80_000..120_000).contains(&had), "{had}");
        assert!(!room(&mut Crowds::default(), "a", u64::MAX));
    }
}
