//! Tables that were emptied just before they were dumped.
//!
//! Whoever looks at a table by an older snapshot sees nothing in it once it was emptied (`TRUNCATE`; PostgreSQL's manual, “MVCC
//! Caveats”). `pg_dump` keeps everybody from that once it has begun, but not from the snapshot on. Such a table is empty in the dump, so
//! what changed in it before it was emptied must not be done to the copy: it has none of those rows. What came after must.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::copy::LIMIT;
use super::decoding::{Change, Table};
use super::{looking, rows};
use crate::failure::Result;
use crate::programs::run_ok;

/// Every table, with where the server keeps its rows: elsewhere once it was emptied.
const STORAGES: &str = "SELECT json_build_object('number', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, \
      'rows', c.relfilenode::bigint, 'values', c.reltoastrelid::bigint) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY c.oid";

/// Where a table is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Storage {
    number: u64,
    schema: String,
    name: String,
    /// The number of its rows' file.
    rows: u64,
    /// The number of the table of its large values; 0 for one that has none.
    values: u64,
}

/// The tables that were emptied, as far as it has not been told yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Emptied(BTreeSet<Table>);

impl Emptied {
    /// Those that may have been since a snapshot was taken: what is told has to say so of all of them. Nothing where something else has
    /// become of a table.
    pub(crate) fn since(snapshot: &str, database: &str) -> Result<Option<Self>> {
        let storages = |snapshot| rows(&run_ok(looking(database, snapshot, STORAGES)?, LIMIT)?, "a table");
        Ok(Self::between(&storages(Some(snapshot))?, &storages(None)?))
    }

    fn between(before: &[Storage], now: &[Storage]) -> Option<Self> {
        let mut emptied = BTreeSet::new();
        for (before, now) in before.iter().zip(now) {
            if *now != (Storage { rows: now.rows, ..before.clone() }) {
                return None;
            }
            if now.rows != before.rows {
                // One that has no large values would be taken for one that was made otherwise (`schema`).
                if now.values == 0 {
                    return None;
                }
                emptied.insert(Table { schema: now.schema.clone(), name: now.name.clone() });
            }
        }
        (before.len() == now.len()).then_some(Self(emptied))
    }

    /// Whether there is none of which it has not been told.
    pub(crate) fn is_none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a change is one of what a copy has, all changes from the snapshot on being asked of in their order.
    pub(crate) fn is_of_the_copy(&mut self, change: &Change) -> bool {
        match change {
            Change::Row(table, _) => !self.0.contains(table),
            Change::Truncate(tables) => {
                self.0.retain(|table| !tables.contains(table));
                true
            }
            Change::Begin | Change::Commit | Change::Message => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::decoding::parse;

    fn storage(number: u64, rows: u64, values: u64) -> Storage {
        Storage { number, schema: "a".into(), name: format!("t{number}"), rows, values }
    }

    #[test]
    fn tables_whose_rows_are_elsewhere_may_have_been_emptied_and_anything_else_is_no_emptying() {
        let before = [storage(1, 10, 5), storage(2, 20, 6), storage(3, 30, 0)];
        let with = |at: usize, other: Storage| {
            let mut now = before.to_vec();
            now[at] = other;
            Emptied::between(&before, &now)
        };
        assert_eq!(Emptied::between(&before, &before), Some(Emptied::default()));
        let one = Emptied(BTreeSet::from([Table { schema: "a".into(), name: "t2".into() }]));
        assert_eq!(with(1, storage(2, 21, 6)), Some(one));
        assert_eq!(with(2, storage(3, 31, 0)), None, "it has no large values");
        assert_eq!(with(1, storage(2, 21, 7)), None, "its large values are elsewhere, too");
        assert_eq!(with(1, storage(4, 20, 6)), None, "it is another");
        assert_eq!(with(1, Storage { name: "x".into(), ..storage(2, 20, 6) }), None);
        assert_eq!(Emptied::between(&before, &before[..2]), None);
        assert_eq!(Emptied::between(&before[..2], &before), None);
    }

    #[test]
    fn what_a_table_had_before_it_was_emptied_is_left_out() {
        let tables = ["b", "c"].map(|name| Table { schema: "a".into(), name: name.into() });
        let mut emptied = Emptied(tables.into());
        let mut keeps = |text: &str| {
            let keeps = emptied.is_of_the_copy(&parse(text).unwrap());
            (keeps, emptied.is_none())
        };
        assert_eq!(keeps("BEGIN"), (true, false));
        assert_eq!(keeps("table a.b: DELETE: id[integer]:1"), (false, false));
        assert_eq!(keeps("table a.d: DELETE: id[integer]:1"), (true, false));
        assert_eq!(keeps("table a.d, a.b: TRUNCATE: cascade"), (true, false));
        assert_eq!(keeps("table a.b: INSERT: id[integer]:1"), (true, false));
        assert_eq!(keeps("table a.c: INSERT: id[integer]:1"), (false, false));
        assert_eq!(keeps("table a.c: TRUNCATE: (no-flags)"), (true, true));
    }
}
