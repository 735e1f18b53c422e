//! What keeps a database from being told by what changes in it.

use std::path::Path;

use rustix::fs::statvfs;

use super::sql;
use crate::failure::{Result, io};

/// The most that large objects may take, in bytes: all of them are copied in the end.
const LARGE_OBJECTS: u64 = 256 * 1024 * 1024;

/// What keeps a server from telling what changes in its databases, a reason a line.
const SERVER: &str = "SELECT 'the server does not write down what that needs (wal_level)' WHERE current_setting('wal_level') <> 'logical' \
    UNION ALL SELECT 'nothing bounds what the server would keep for it (max_slot_wal_keep_size)' \
      WHERE coalesce(current_setting('max_slot_wal_keep_size', true), '-1') = '-1' \
    UNION ALL SELECT 'the server has no replication slot left (max_replication_slots)' \
      WHERE (SELECT count(*) FROM pg_replication_slots WHERE NOT starts_with(slot_name::text, 'berth_')) \
        + 1 > current_setting('max_replication_slots')::int \
    UNION ALL SELECT 'the server has no sender of its log left (max_wal_senders)' WHERE current_setting('max_wal_senders')::int < 1";

/// What keeps a database from being told by what changes in it, a reason a line.
fn obstacles() -> String {
    format!(
        "WITH own AS (SELECT c.*, format('%s.%s', n.nspname, c.relname) AS told FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND c.relpersistence <> 't') \
         SELECT format('its encoding is %s, and not UTF8', getdatabaseencoding()) WHERE getdatabaseencoding() <> 'UTF8' \
         UNION ALL SELECT format('the table %s has no key', told) FROM own WHERE relkind = 'r' AND NOT EXISTS (SELECT 1 FROM pg_index i \
           WHERE i.indrelid = own.oid AND i.indimmediate AND i.indisvalid \
             AND CASE own.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END) \
         UNION ALL SELECT format('the table %s is not written to the log (UNLOGGED)', told) FROM own WHERE relkind = 'r' AND relpersistence = 'u' \
         UNION ALL SELECT format('the table %s stands elsewhere (FOREIGN)', told) FROM own WHERE relkind = 'f' \
         UNION ALL SELECT format('the table %s hides rows from its owner', told) FROM own WHERE relforcerowsecurity \
         UNION ALL SELECT format('the table %s belongs to an extension', told) FROM own JOIN pg_depend d ON d.classid = 'pg_class'::regclass \
           AND d.objid = own.oid AND d.deptype = 'e' WHERE relkind IN ('r', 'p') \
         UNION ALL SELECT format('the table %s has a trigger for replicas', told) FROM own JOIN pg_trigger t ON t.tgrelid = own.oid \
           WHERE NOT tgisinternal AND tgenabled IN ('A', 'R') \
         UNION ALL SELECT format('the table %s has a rule for replicas', told) FROM own JOIN pg_rewrite r ON r.ev_class = own.oid \
           WHERE ev_enabled IN ('A', 'R') \
         UNION ALL SELECT 'it has many large objects' WHERE pg_total_relation_size('pg_largeobject') > {LARGE_OBJECTS}"
    )
}

/// Why a database cannot be told by what changes in it; nothing where it can.
pub(crate) fn obstacle(database: &str) -> Result<Option<String>> {
    let server = first(&sql("postgres", &[SERVER])?);
    if server.is_some() {
        return Ok(server);
    }
    sql(database, &[&obstacles()]).map(|told| first(&told))
}

fn first(told: &str) -> Option<String> {
    told.lines().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Why the server's disk has no room for what it may keep at the most.
pub(crate) fn no_room() -> Result<Option<String>> {
    let Some(Kept { folder, bytes }) = kept()? else { return Ok(None) };
    let (room, needed) = (room(Path::new(&folder))? >> 20, bytes >> 20);
    Ok((room < needed).then(|| {
        format!("the server may keep {needed} MiB for it (max_slot_wal_keep_size), and its disk has {room} MiB left")
    }))
}

/// Why a folder has no room for a dump of a database of so many bytes, while the server keeps as much as it may: the services go on, and
/// need the disk as well.
pub(crate) fn no_room_for_dump(folder: &Path, bytes: u64) -> Result<Option<String>> {
    let kept = kept()?.map_or(0, |kept| kept.bytes);
    let (room, needed) = (room(folder)?, with_spare(bytes.saturating_add(kept)));
    Ok((room < needed).then(|| {
        format!(
            "a dump of it while services go on may need {} MiB with what the server keeps meanwhile, and the disk has {} MiB left",
            needed >> 20,
            room >> 20
        )
    }))
}

/// A tenth more.
fn with_spare(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 10)
}

/// What the server may keep at the most.
struct Kept {
    /// Where.
    folder: String,
    bytes: u64,
}

fn kept() -> Result<Option<Kept>> {
    let question = "SELECT current_setting('data_directory'), setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size'";
    let told = sql("postgres", &[question])?;
    Ok(told.trim().rsplit_once('|').map(|(folder, megabytes)| Kept {
        folder: folder.to_owned(),
        bytes: megabytes.parse::<u64>().map_or(u64::MAX, |megabytes| megabytes.saturating_mul(1 << 20)),
    }))
}

fn room(folder: &Path) -> Result<u64> {
    let problem = || io(format!("cannot look at {}", folder.display()));
    let found = statvfs(folder).map_err(|error| problem()(error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_not_filled_to_its_end() {
        assert_eq!(with_spare(1000), 1100);
        assert_eq!(with_spare(u64::MAX), u64::MAX);
        assert!(room(Path::new("/")).unwrap() > 0);
        assert!(room(Path::new("/nowhere")).is_err());
    }
}
