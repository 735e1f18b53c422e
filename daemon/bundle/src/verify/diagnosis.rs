//! What is wrong with a bundle in which not everything is where it should be: what is missing, what was added, what was
//! moved. The verdict stands already; this finds names for it.

use std::collections::HashMap;

use super::Signed;
use super::checker::{Checker, length, size};
use super::report::{Fault, Part, Problem};
use crate::about::{MANIFEST, SIGNATURE};
use crate::entry::Entry;
use crate::error::ReadError;
use crate::header;
use crate::locate::each_header;
use crate::parse::{self, Found};

/// So many headers in a row may be altered and are still recognised by what stands behind them.
const MAX_ALTERED: usize = 1000;

type Result<T> = std::result::Result<T, ReadError>;

/// Without a manifest only the archive's own headers say what is there: enough to name what the file ends in, or where
/// it breaks off.
pub(super) fn without_manifest(checker: &mut Checker<'_>) -> Result<()> {
    let (mut at, end) = (0, checker.report.size);
    let mut last = Vec::new();
    while at < end {
        let Some(found) = parse::member(checker.source, at)? else {
            return broken_off(checker, at, &last);
        };
        if at.saturating_add(found.length()) > end {
            checker.add(Problem::of(&found.name, Fault::Truncated, Some(end)));
            return Ok(());
        }
        at = at.saturating_add(found.length());
        last = found.name;
    }
    Ok(())
}

/// Where no header is: at the archive's end, within a header, or where one was altered.
fn broken_off(checker: &mut Checker<'_>, at: u64, last: &[u8]) -> Result<()> {
    if last == SIGNATURE.as_bytes() {
        return Ok(());
    }
    let altered = Fault::Altered { part: Part::Header };
    // What comes after the manifest is known even where it cannot be read.
    let problem = if last == MANIFEST.as_bytes() {
        checker.report.problems.retain(|problem| problem.fault != Fault::Missing);
        Problem::of(SIGNATURE.as_bytes(), altered, Some(at))
    } else {
        Problem { path: None, fault: altered, offset: Some(at) }
    };
    checker.add(problem);
    Ok(())
}

/// Compares what is there with the manifest.
pub(super) fn with_manifest(checker: &mut Checker<'_>, signed: Signed) -> Result<()> {
    let mut manifest = signed.manifest(checker.source)?;
    let mut entries = Vec::new();
    while let Some(entry) = manifest.next_entry()? {
        entries.push(entry);
    }
    let by_name: HashMap<_, _> =
        entries.iter().enumerate().map(|(index, entry)| (entry.path.as_bytes(), index)).collect();
    let seen = vec![false; entries.len()];
    let mut walk =
        Walk { checker, entries: &entries, by_name, seen, next: 0, at: 0, end: signed.manifest_at };
    while walk.at < walk.end {
        walk.step()?;
    }
    walk.rest();
    Ok(())
}

/// Going through the members up to the manifest.
struct Walk<'w, 'a> {
    checker: &'w mut Checker<'a>,
    entries: &'w [Entry],
    by_name: HashMap<&'w [u8], usize>,
    /// Which entries were found.
    seen: Vec<bool>,
    /// Which entry should come now.
    next: usize,
    at: u64,
    end: u64,
}

impl Walk<'_, '_> {
    /// What begins here.
    fn step(&mut self) -> Result<()> {
        self.skip_seen();
        let found = parse::member(self.checker.source, self.at)?;
        if let Some(found) = &found {
            if let Some(index) = self.by_name.get(&found.name[..]).filter(|index| !self.seen[**index]) {
                return self.known(*index, found);
            }
            if self.is_next(self.next, self.at.saturating_add(found.length()))? {
                return self.added(found);
            }
        }
        match (self.in_place(self.at)?, found) {
            (Some(count), _) => self.altered(count),
            (None, Some(found)) => self.added(&found),
            (None, None) => {
                self.checker.add(Problem { path: None, fault: Fault::Added, offset: Some(self.at) });
                self.search(self.at.saturating_add(1))
            }
        }
    }

    /// A member that no entry is meant by.
    fn added(&mut self, found: &Found) -> Result<()> {
        self.checker.add(Problem::of(&found.name, Fault::Added, Some(self.at)));
        self.go_on(found.header, found.length())
    }

    /// A member that has an entry's name.
    fn known(&mut self, index: usize, found: &Found) -> Result<()> {
        let entry = &self.entries[index];
        self.seen[index] = true;
        if index < self.next {
            self.checker.add(Problem::of(entry.path.as_bytes(), Fault::Moved, Some(self.at)));
        } else {
            self.next = index + 1;
        }
        let header = header::of_entry(entry);
        if let Some(offset) = self.checker.difference(self.at, &header)? {
            self.checker.add(Problem::altered(entry.path.as_bytes(), Part::Header, offset));
            if found.size != size(entry) && !self.leads_on(self.at.saturating_add(length(entry)))? {
                return self.go_on(found.header, found.length());
            }
        }
        let before = header.len() as u64;
        let is_whole = self.checker.content(self.at.saturating_add(before), entry)?;
        // What follows a whole member is looked at where it begins, so that nothing in between is passed over.
        if is_whole {
            self.at = self.at.saturating_add(length(entry));
            return Ok(());
        }
        self.go_on(before, length(entry))
    }

    fn skip_seen(&mut self) {
        while self.seen.get(self.next) == Some(&true) {
            self.next += 1;
        }
    }

    /// Of how many entries from a place on only the headers were altered: as many as it takes until what should follow them
    /// stands where it should.
    fn in_place(&mut self, at: u64) -> Result<Option<usize>> {
        let mut after = at;
        for (count, entry) in self.entries[self.next..].iter().enumerate().take(MAX_ALTERED) {
            after = after.saturating_add(length(entry));
            if after > self.end || self.seen[self.next + count] {
                break;
            }
            if self.is_next(self.next + count + 1, after)? {
                return Ok(Some(count + 1));
            }
        }
        Ok(None)
    }

    /// Whether the header of an entry stands at a place; of the one behind the last, whether the end is there.
    fn is_next(&mut self, index: usize, at: u64) -> Result<bool> {
        match self.entries.get(index) {
            Some(entry) => Ok(self.checker.difference(at, &header::of_entry(entry))?.is_none()),
            None => Ok(at == self.end),
        }
    }

    /// So many entries that are where they should be, with other headers.
    fn altered(&mut self, count: usize) -> Result<()> {
        for index in self.next..self.next + count {
            let entry = &self.entries[index];
            let header = header::of_entry(entry);
            self.seen[index] = true;
            if let Some(offset) = self.checker.difference(self.at, &header)? {
                self.checker.add(Problem::altered(entry.path.as_bytes(), Part::Header, offset));
            }
            self.checker.content(self.at.saturating_add(header.len() as u64), entry)?;
            self.at = self.at.saturating_add(length(entry));
        }
        Ok(())
    }

    /// Goes to what follows this member, or to the next one that is known where nothing follows.
    fn go_on(&mut self, header: u64, length: u64) -> Result<()> {
        let after = self.at.saturating_add(length);
        self.skip_seen();
        if self.leads_on(after)? || self.in_place(after)?.is_some() {
            self.at = after;
            return Ok(());
        }
        self.search(self.at.saturating_add(header))
    }

    fn leads_on(&self, at: u64) -> Result<bool> {
        Ok(at == self.end || (at < self.end && parse::member(self.checker.source, at)?.is_some()))
    }

    /// Goes to the next member that has the name of an entry which was not found yet, or to the end.
    fn search(&mut self, from: u64) -> Result<()> {
        let mut next = self.end;
        let (by_name, seen) = (&self.by_name, &self.seen);
        each_header(self.checker.source, from, self.end, &mut |at, found| {
            let is_wanted = by_name.get(&found.name[..]).is_some_and(|index| !seen[*index]);
            if is_wanted {
                next = at;
            }
            is_wanted
        })?;
        self.at = next;
        Ok(())
    }

    /// What was not found.
    fn rest(&mut self) {
        for (entry, _) in self.entries.iter().zip(&self.seen).filter(|(_, seen)| !**seen) {
            self.checker.add(Problem::of(entry.path.as_bytes(), Fault::Missing, None));
        }
    }
}
