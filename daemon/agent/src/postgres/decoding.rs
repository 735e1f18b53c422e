//! What `test_decoding` says of changes (PostgreSQL's manual, appendix F), read as what it means.
//!
//! It is a text a change, as `table public.items: INSERT: id[bigint]:1 name[text]:'it''s'`. Names are quoted as SQL does it, types as
//! `format_type()` tells them, and in a value only the quote is doubled, so that it can be read in one way only. It comes from
//! another provider: whatever is not of this form is refused.

use thiserror::Error;

/// The most columns that a table of PostgreSQL's can have.
const MAX_COLUMNS: usize = 1664;

/// A change that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("a change cannot be read at its byte {at}: {expected}")]
pub(crate) struct Malformed {
    at: usize,
    expected: &'static str,
}

/// A table's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
}

/// A column's value, as its type writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    /// It is stored beside the table (TOAST), and was left as it was.
    Unchanged,
    Text(String),
}

/// The columns of a row that are told.
pub(crate) type Row = Vec<(String, Value)>;

/// What becomes of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Insert(Row),
    /// `key` is what the row was known by before, where that has changed.
    Update {
        key: Option<Row>,
        row: Row,
    },
    Delete(Row),
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Begin,
    Commit,
    Row(Table, Act),
    /// All of them at once.
    Truncate(Vec<Table>),
    /// What somebody has written into the log for somebody else (`pg_logical_emit_message`).
    Message,
}

/// Reads a change.
pub(crate) fn parse(text: &str) -> Result<Change, Malformed> {
    let mut rest = Rest { text, at: 0 };
    match text {
        "BEGIN" => return Ok(Change::Begin),
        "COMMIT" => return Ok(Change::Commit),
        _ if text.starts_with("message: ") => return Ok(Change::Message),
        _ => {}
    }
    rest.expect("table ", "it begins with no word that is known")?;
    let mut tables = vec![rest.table()?];
    while rest.take(", ") {
        tables.push(rest.table()?);
    }
    rest.expect(": ", "a colon is missing after the table")?;
    if rest.take("TRUNCATE:") {
        // Sequences are set in the end, and tables that were emptied with others are named.
        return match rest.left() {
            " (no-flags)" | " restart_seqs" | " cascade" | " restart_seqs cascade" => {
                Ok(Change::Truncate(tables))
            }
            _ => Err(rest.malformed("what is said of the emptying is unknown")),
        };
    }
    let (Some(table), true) = (tables.pop(), tables.is_empty()) else {
        return Err(rest.malformed("only an emptying is of several tables"));
    };
    let act = if rest.take("INSERT:") {
        Act::Insert(rest.row()?)
    } else if rest.take("UPDATE:") {
        let key = if rest.take(" old-key:") { Some(rest.row_before(" new-tuple:")?) } else { None };
        Act::Update { key, row: rest.row()? }
    } else {
        rest.expect("DELETE:", "it is neither of a row that comes, changes or goes")?;
        Act::Delete(rest.row()?)
    };
    Ok(Change::Row(table, act))
}

/// What is left to be read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn left(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    fn take(&mut self, word: &str) -> bool {
        let is_there = self.left().starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    fn expect(&mut self, word: &str, expected: &'static str) -> Result<(), Malformed> {
        if self.take(word) { Ok(()) } else { Err(self.malformed(expected)) }
    }

    fn table(&mut self) -> Result<Table, Malformed> {
        let schema = self.name()?;
        self.expect(".", "a table's name has no schema")?;
        Ok(Table { schema, name: self.name()? })
    }

    fn name(&mut self) -> Result<String, Malformed> {
        if self.take("\"") {
            return self.quoted('"');
        }
        let is_plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_';
        let length = self.left().bytes().take_while(is_plain).count();
        let name = self.left().get(..length).unwrap_or_default().to_owned();
        self.at += length;
        if name.is_empty() { Err(self.malformed("a name is missing")) } else { Ok(name) }
    }

    /// What stands up to the next quote that is not doubled.
    fn quoted(&mut self, quote: char) -> Result<String, Malformed> {
        let mut found = String::new();
        loop {
            let left = self.left();
            let end = left.find(quote).ok_or_else(|| self.malformed("a quote does not end"))?;
            found.push_str(left.get(..end).unwrap_or_default());
            self.at += end + 1;
            if !self.left().starts_with(quote) {
                return Ok(found);
            }
            self.at += 1;
            found.push(quote);
        }
    }

    /// The columns up to the end.
    fn row(&mut self) -> Result<Row, Malformed> {
        let row = self.columns()?;
        if self.left().is_empty() { Ok(row) } else { Err(self.malformed("a row does not end here")) }
    }

    fn row_before(&mut self, word: &str) -> Result<Row, Malformed> {
        let row = self.columns()?;
        self.expect(word, "a key is not followed by a row")?;
        Ok(row)
    }

    /// At least one: a row of which nothing is told (`(no-tuple-data)`) could not be found again.
    fn columns(&mut self) -> Result<Row, Malformed> {
        let mut row = Row::new();
        while self.left().starts_with(' ') && !self.left().starts_with(" new-tuple:") {
            self.at += 1;
            let name = self.name()?;
            self.kind()?;
            row.push((name, self.value()?));
            if row.len() > MAX_COLUMNS {
                return Err(self.malformed("a row has more columns than a table can have"));
            }
        }
        if row.is_empty() { Err(self.malformed("nothing is told of a row")) } else { Ok(row) }
    }

    /// A column's type, in brackets: it may have some itself, and quoted names.
    fn kind(&mut self) -> Result<(), Malformed> {
        self.expect("[", "a column has no type")?;
        let mut depth = 1_usize;
        while depth > 0 {
            let next = self.left().bytes().next().ok_or_else(|| self.malformed("a type does not end"))?;
            self.at += 1;
            match next {
                b'[' => depth += 1,
                b']' => depth -= 1,
                b'"' => drop(self.quoted('"')?),
                _ => {}
            }
        }
        self.expect(":", "a column has no value")
    }

    fn value(&mut self) -> Result<Value, Malformed> {
        if self.take("'") || self.take("B'") {
            return self.quoted('\'').map(Value::Text);
        }
        let length = self.left().find(' ').unwrap_or(self.left().len());
        let word = self.left().get(..length).unwrap_or_default();
        self.at += length;
        match word {
            "" => Err(self.malformed("a value is missing")),
            "null" => Ok(Value::Null),
            "unchanged-toast-datum" => Ok(Value::Unchanged),
            // Numbers and booleans.
            word if word.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                Ok(Value::Text(word.to_owned()))
            }
            _ => Err(self.malformed("a value is neither quoted nor a number")),
        }
    }
}

#[cfg(test)]
mod tests;
