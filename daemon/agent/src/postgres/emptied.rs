//! Tables that were emptied just before they were dumped.
//!
//! Whoever looks at a table by an older snapshot sees nothing in it once it was emptied (`TRUNCATE`; PostgreSQL's manual, “MVCC
//! Caveats”), and what was changed before that could not be followed. `pg_dump` keeps everybody from that once it has begun, but not
//! from the snapshot on.

use super::copy::LIMIT;
use super::looking;
use crate::failure::Result;
use crate::programs::run_ok;

/// Every table, with where the server keeps its rows: elsewhere once it was emptied.
const STORAGES: &str = "SELECT c.oid, c.relfilenode FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' ORDER BY c.oid";

/// Whether a table was emptied since a snapshot was taken.
pub(crate) fn since(snapshot: &str, database: &str) -> Result<bool> {
    let storages = |snapshot| run_ok(looking(database, snapshot, STORAGES)?, LIMIT);
    Ok(storages(Some(snapshot))? != storages(None)?)
}
