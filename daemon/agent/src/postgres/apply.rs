//! Changes of another database, as SQL for its copy.
//!
//! Every name and value is quoted anew, so that a change can be nothing else. A row that is to change or to go has to be there: whatever
//! finds none, or more than one, ends the whole, as the copy is none then.

use std::collections::BTreeMap;

use berth_protocol::Failure;
use serde::Deserialize;
use thiserror::Error;

use super::decoding::{Act, Change, Row, Table, Value};
use super::segment::SegmentError;
use super::{identifier, literal, rows, script};

/// What of a database has to be known to change it: its tables, a line each.
const SHAPES: &str = "SELECT json_build_object('schema', n.nspname, 'name', c.relname, 'kind', c.relkind, \
    'columns', (SELECT coalesce(json_object_agg(attname, json_build_object('generated', attgenerated <> '', 'always', attidentity = 'a')), '{}') \
      FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped), \
    'key', (SELECT coalesce(json_agg(attname), '[]') FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) \
      WHERE i.indrelid = c.oid AND (CASE c.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END))) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'";

/// A change that cannot be made here.
#[derive(Debug, Error)]
pub(crate) enum ApplyError {
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error("there is no table {0} here")]
    NoTable(String),
    #[error("the table {table} has no column {column} here")]
    NoColumn { table: String, column: String },
    #[error("a row of the table {0} cannot be found again: its key is not told")]
    NoKey(String),
    #[error("a row of the table {0} came without a value")]
    NoValue(String),
    #[error("psql ended before it was told everything: {0}")]
    Ended(std::io::Error),
}

/// What a column is.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Column {
    /// It follows from others.
    generated: bool,
    /// It is given by a sequence, and nobody else may change it.
    always: bool,
}

/// What a table looks like.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Shape {
    schema: String,
    name: String,
    kind: String,
    columns: BTreeMap<String, Column>,
    key: Vec<String>,
}

/// The tables of a database.
pub(crate) struct Shapes(BTreeMap<Table, Shape>);

impl Shapes {
    /// Those of a database as it is.
    pub(crate) fn of(database: &str) -> Result<Self, Failure> {
        Self::parse(&script(database, SHAPES)?)
    }

    /// Of what [`SHAPES`] tells.
    fn parse(told: &str) -> Result<Self, Failure> {
        let shapes: Vec<Shape> = rows(told, "a table")?;
        let named = |shape: Shape| (Table { schema: shape.schema.clone(), name: shape.name.clone() }, shape);
        Ok(Self(shapes.into_iter().map(named).collect()))
    }

    /// A change as a statement; nothing for what changes nothing that is copied.
    pub(crate) fn statement(&self, change: &Change) -> Result<Option<String>, ApplyError> {
        match change {
            Change::Begin | Change::Commit | Change::Message => Ok(None),
            Change::Truncate(tables) => self.truncate(tables),
            Change::Row(table, act) => {
                let shape = self.shape(table)?;
                // What follows from tables is made of them in the end.
                if shape.kind == "m" { Ok(None) } else { shape.row(act).map(Some) }
            }
        }
    }

    fn shape(&self, table: &Table) -> Result<&Shape, ApplyError> {
        self.0.get(table).ok_or_else(|| ApplyError::NoTable(format!("{}.{}", table.schema, table.name)))
    }

    /// All at once, as others may refer to them. One that has parts is named beside its parts.
    fn truncate(&self, tables: &[Table]) -> Result<Option<String>, ApplyError> {
        let shapes: Vec<_> = tables.iter().map(|table| self.shape(table)).collect::<Result<_, _>>()?;
        let names: Vec<String> = shapes
            .iter()
            .filter(|shape| shape.kind == "r")
            .map(|shape| format!("ONLY {}", shape.quoted()))
            .collect();
        Ok((!names.is_empty()).then(|| format!("TRUNCATE {}", names.join(", "))))
    }
}

impl Shape {
    fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }

    fn told(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    fn column(&self, name: &str) -> Result<Column, ApplyError> {
        let missing = || ApplyError::NoColumn { table: self.told(), column: name.to_owned() };
        self.columns.get(name).copied().ok_or_else(missing)
    }

    fn row(&self, act: &Act) -> Result<String, ApplyError> {
        match act {
            Act::Insert(row) => {
                let (names, values) = self.named(row, None)?;
                Ok(format!(
                    "INSERT INTO {} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})",
                    self.quoted()
                ))
            }
            Act::Update { key, row } => {
                let place = self.place(key.as_ref().unwrap_or(row))?;
                match self.is_replaced(key.as_ref(), row)? {
                    true => self.replaced(row, &place),
                    false => self.updated(row, &place),
                }
            }
            Act::Delete(key) => Ok(self.one_of(&format!(
                "DELETE FROM ONLY {} WHERE {} RETURNING 1",
                self.quoted(),
                self.place(key)?
            ))),
        }
    }

    /// Columns that follow from others are left out.
    fn named(&self, row: &Row, stays: Option<&str>) -> Result<(String, String), ApplyError> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, value) in row {
            if self.column(name)?.generated {
                continue;
            }
            names.push(identifier(name));
            values.push(match (value, stays) {
                (Value::Unchanged, Some(former)) => format!("{former}.{}", identifier(name)),
                (value, _) => self.written(value)?,
            });
        }
        if names.is_empty() {
            Err(ApplyError::NoValue(self.told()))
        } else {
            Ok((names.join(", "), values.join(", ")))
        }
    }

    fn written(&self, value: &Value) -> Result<String, ApplyError> {
        match value {
            Value::Null => Ok("NULL".into()),
            Value::Text(text) => Ok(literal(text)),
            Value::Unchanged => Err(ApplyError::NoValue(self.told())),
        }
    }

    /// Where the row is that has this key.
    fn place(&self, row: &Row) -> Result<String, ApplyError> {
        let is = |name: &String| match row.iter().find(|(told, _)| told == name) {
            Some((_, Value::Text(text))) => Ok(format!("{} = {}", identifier(name), literal(text))),
            _ => Err(ApplyError::NoKey(self.told())),
        };
        let is: Vec<String> = self.key.iter().map(is).collect::<Result<_, _>>()?;
        if is.is_empty() { Err(ApplyError::NoKey(self.told())) } else { Ok(is.join(" AND ")) }
    }

    /// Whether something changes, or may have changed, that PostgreSQL lets nobody change: the row is then put in its own place.
    fn is_replaced(&self, key: Option<&Row>, row: &Row) -> Result<bool, ApplyError> {
        for (name, _) in row {
            let is_same = key.is_none() && self.key.contains(name);
            if self.column(name)?.always && !is_same {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn replaced(&self, row: &Row, place: &str) -> Result<String, ApplyError> {
        let (names, values) = self.named(row, Some("former"))?;
        let table = self.quoted();
        Ok(format!(
            "WITH former AS (DELETE FROM ONLY {table} WHERE {place} RETURNING *), changed AS (INSERT INTO {table} ({names}) \
             OVERRIDING SYSTEM VALUE SELECT {values} FROM former RETURNING 1) {}",
            one(&self.told())
        ))
    }

    /// Fails unless it is of one row.
    fn one_of(&self, statement: &str) -> String {
        format!("WITH changed AS ({statement}) {}", one(&self.told()))
    }

    fn updated(&self, row: &Row, place: &str) -> Result<String, ApplyError> {
        let mut set = Vec::new();
        for (name, value) in row {
            let column = self.column(name)?;
            // What PostgreSQL lets nobody change is of the key here, and as it was.
            if !column.generated && !column.always && *value != Value::Unchanged {
                set.push(format!("{} = {}", identifier(name), self.written(value)?));
            }
        }
        if set.is_empty() {
            return Ok(self.one_of(&format!("SELECT 1 FROM ONLY {} WHERE {place}", self.quoted())));
        }
        Ok(self.one_of(&format!(
            "UPDATE ONLY {} SET {} WHERE {place} RETURNING 1",
            self.quoted(),
            set.join(", ")
        )))
    }
}

/// Fails unless a statement is of one row: the text is no number.
fn one(table: &str) -> String {
    let what = literal(&format!("rows of the table {table} that are to change, instead of one: "));
    format!("SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ({what} || count(*))::int END FROM changed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::decoding::parse;

    fn shapes() -> Shapes {
        let lines = r#"{"schema":"public","name":"a\"b","kind":"r","columns":{"id":{"generated":false,"always":true},"x":{"generated":false,"always":false},"g":{"generated":true,"always":false}},"key":["id"]}
            {"schema":"public","name":"n","kind":"r","columns":{"n":{"generated":false,"always":true},"k":{"generated":false,"always":false},"t":{"generated":false,"always":false}},"key":["k"]}
            {"schema":"public","name":"p","kind":"p","columns":{},"key":[]}
            {"schema":"public","name":"v","kind":"m","columns":{"id":{"generated":false,"always":false}},"key":[]}"#;
        Shapes::parse(lines).unwrap()
    }

    fn statement(change: &str) -> Result<Option<String>, ApplyError> {
        shapes().statement(&parse(change).unwrap())
    }

    #[test]
    fn rows_come_change_and_go_as_they_did() {
        let told = |change: &str| statement(change).unwrap().unwrap();
        assert_eq!(
            told("table public.\"a\"\"b\": INSERT: id[bigint]:1 x[text]:'it''s; \\! x' g[integer]:2"),
            "INSERT INTO \"public\".\"a\"\"b\" (\"id\", \"x\") OVERRIDING SYSTEM VALUE VALUES ('1', E'it''s; \\\\! x')"
        );
        assert_eq!(
            told("table public.\"a\"\"b\": UPDATE: id[bigint]:1 x[text]:null g[integer]:2"),
            "WITH changed AS (UPDATE ONLY \"public\".\"a\"\"b\" SET \"x\" = NULL WHERE \"id\" = '1' RETURNING 1) \
             SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('rows of the table public.a\"b that are to change, instead of one: ' || count(*))::int END FROM changed"
        );
        assert_eq!(
            told("table public.\"a\"\"b\": UPDATE: id[bigint]:1 x[text]:unchanged-toast-datum"),
            "WITH changed AS (SELECT 1 FROM ONLY \"public\".\"a\"\"b\" WHERE \"id\" = '1') \
             SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('rows of the table public.a\"b that are to change, instead of one: ' || count(*))::int END FROM changed"
        );
        assert_eq!(
            told("table public.\"a\"\"b\": DELETE: id[bigint]:1"),
            "WITH changed AS (DELETE FROM ONLY \"public\".\"a\"\"b\" WHERE \"id\" = '1' RETURNING 1) \
             SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('rows of the table public.a\"b that are to change, instead of one: ' || count(*))::int END FROM changed"
        );
        assert_eq!(
            told("table public.\"a\"\"b\", public.p: TRUNCATE: cascade"),
            "TRUNCATE ONLY \"public\".\"a\"\"b\""
        );
        assert_eq!(statement("table public.v: INSERT: id[integer]:1").unwrap(), None);
    }

    #[test]
    fn a_row_of_which_something_changes_that_nobody_may_change_is_put_in_its_own_place() {
        assert_eq!(
            statement("table public.n: UPDATE: n[bigint]:2 k[text]:'a' t[text]:unchanged-toast-datum")
                .unwrap()
                .unwrap(),
            "WITH former AS (DELETE FROM ONLY \"public\".\"n\" WHERE \"k\" = 'a' RETURNING *), changed AS (INSERT INTO \
             \"public\".\"n\" (\"n\", \"k\", \"t\") OVERRIDING SYSTEM VALUE SELECT '2', 'a', former.\"t\" FROM former RETURNING 1) \
             SELECT CASE WHEN count(*) = 1 THEN 1 ELSE ('rows of the table public.n that are to change, instead of one: ' || count(*))::int END FROM changed"
        );
        assert!(
            statement(
                "table public.\"a\"\"b\": UPDATE: old-key: id[bigint]:1 new-tuple: id[bigint]:2 x[text]:'a'"
            )
            .unwrap()
            .unwrap()
            .contains("WHERE \"id\" = '1' RETURNING *")
        );
    }

    #[test]
    fn what_is_not_here_or_cannot_be_found_again_is_refused() {
        for bad in [
            "table public.other: INSERT: id[integer]:1",
            "table public.\"a\"\"b\": INSERT: id[integer]:1 other[text]:'x'",
            "table public.\"a\"\"b\": INSERT: g[integer]:1",
            "table public.\"a\"\"b\": INSERT: id[integer]:1 x[text]:unchanged-toast-datum",
            "table public.\"a\"\"b\": UPDATE: x[text]:'a'",
            "table public.\"a\"\"b\": DELETE: id[integer]:null",
            "table public.other: TRUNCATE: (no-flags)",
        ] {
            assert!(statement(bad).is_err(), "{bad}");
        }
    }
}
